//! The side that measures.

use crate::message::{HEADER_BYTES, message};
use libix::{Error, Flow, Handler, Io, RecvBuf, Status};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Round trips of each size at least, whatever they take, and at most.
const MIN_ROUND_TRIPS: usize = 5;
const MAX_ROUND_TRIPS: usize = 100_000;

/// One size's figures. Times are one way: half of a round trip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Of the message.
    pub bytes: u32,
    /// How many were measured.
    pub round_trips: usize,
    /// The shortest.
    pub least_us: f64,
    /// The middle one.
    pub median_us: f64,
    /// All of them.
    pub mean_us: f64,
    /// What goes through at the mean.
    pub goodput_mbit_s: f64,
}

impl Row {
    /// Names of the columns of [`Row::csv`].
    pub const CSV_HEADER: &str = "bytes,round_trips,least_us,median_us,mean_us,goodput_mbit_s";

    /// Of these round trips, of which there is at least one, in nanoseconds.
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn new(bytes: u32, round_trips_ns: &mut [u64]) -> Self {
        round_trips_ns.sort_unstable();
        let count = round_trips_ns.len();
        let one_way_us = |round_trip_ns: u64| round_trip_ns as f64 / 2e3;
        let mean_us = round_trips_ns.iter().map(|&ns| one_way_us(ns)).sum::<f64>() / count as f64;
        Row {
            bytes,
            round_trips: count,
            least_us: one_way_us(round_trips_ns[0]),
            median_us: one_way_us(round_trips_ns[count / 2]),
            mean_us,
            goodput_mbit_s: 8.0 * f64::from(bytes) / mean_us,
        }
    }

    /// A line, without its end.
    #[must_use]
    pub fn csv(&self) -> String {
        format!(
            "{},{},{:.2},{:.2},{:.2},{:.3}",
            self.bytes, self.round_trips, self.least_us, self.median_us, self.mean_us, self.goodput_mbit_s
        )
    }
}

/// The measuring side: give it to [`libix::run`]. It prints a line of CSV for each size, as soon as that is known.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    /// Sizes to come, the next one last.
    sizes: Vec<u32>,
    time_per_size: Duration,
    message: Arc<[u8]>,
    /// How much of it has come back.
    returned: usize,
    began: Instant,
    sent: Instant,
    /// The first round trip of a size is not counted.
    is_warm: bool,
    round_trips_ns: Vec<u64>,
    failure: Option<String>,
}

impl Client {
    /// Of these sizes, each for so long.
    #[must_use]
    pub fn new(server: SocketAddr, mut sizes: Vec<u32>, time_per_size: Duration) -> Self {
        sizes.reverse();
        Client {
            server,
            sizes,
            time_per_size,
            message: Arc::new([]),
            returned: 0,
            began: Instant::now(),
            sent: Instant::now(),
            is_warm: false,
            round_trips_ns: Vec::new(),
            failure: None,
        }
    }

    /// Why it could not be finished, if it could not.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match &self.failure {
            Some(failure) => Some(failure),
            None => (!self.sizes.is_empty()).then_some("stopped before the end"),
        }
    }

    fn fail(&mut self, io: &mut Io, why: String) {
        self.failure.get_or_insert(why);
        io.stop();
    }

    fn next_size(&mut self, io: &mut Io, flow: Flow) {
        let Some(&size) = self.sizes.last() else {
            io.stop();
            return;
        };
        self.message = message(size).into();
        self.is_warm = false;
        self.began = Instant::now();
        self.ping(io, flow);
    }

    fn ping(&mut self, io: &mut Io, flow: Flow) {
        self.returned = 0;
        self.sent = Instant::now();
        // An error says that the flow is gone, which `on_dead` tells.
        let _ = io.send(flow, Arc::clone(&self.message));
    }

    fn on_pong(&mut self, io: &mut Io, flow: Flow) {
        let round_trip = self.sent.elapsed();
        if core::mem::replace(&mut self.is_warm, true) {
            self.round_trips_ns
                .push(u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX));
        }
        let count = self.round_trips_ns.len();
        let is_enough = count >= MIN_ROUND_TRIPS && self.began.elapsed() >= self.time_per_size;
        if !is_enough && count < MAX_ROUND_TRIPS {
            self.ping(io, flow);
            return;
        }
        if let Some(size) = self.sizes.pop() {
            println!("{}", Row::new(size, &mut self.round_trips_ns).csv());
        }
        self.round_trips_ns.clear();
        self.next_size(io, flow);
    }
}

impl Handler for Client {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.connect(self.server)?;
        println!("{}", Row::CSV_HEADER);
        Ok(())
    }

    fn on_connected(&mut self, io: &mut Io, flow: Flow, result: Result<(), Status>) {
        match result {
            Ok(()) => self.next_size(io, flow),
            Err(status) => {
                let why = format!("cannot connect to {}: {status}", self.server);
                self.fail(io, why);
            }
        }
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        let end = self.returned + data.len();
        if self.message.get(self.returned..end) != Some(&*data) {
            self.fail(io, "what came back is not what was sent".into());
            return;
        }
        self.returned = end;
        drop(data);
        if end > HEADER_BYTES && end == self.message.len() {
            self.on_pong(io, flow);
        }
    }

    fn on_dead(&mut self, io: &mut Io, _: Flow, reason: Result<(), Status>) {
        if !self.sizes.is_empty() {
            let why = reason
                .err()
                .map_or("the responder has closed it", Status::message);
            self.fail(io, format!("the connection is gone: {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn a_row_is_one_way() {
        let row = Row::new(1_000, &mut [4_000, 2_000, 6_000]);
        assert_eq!(row.csv(), "1000,3,1.00,2.00,2.00,4000.000");
        assert_eq!(Row::CSV_HEADER.split(',').count(), row.csv().split(',').count());
    }
}
