//! A client that keeps calling, and says how often and how fast it was answered.

use crate::service::ECHO;
use hdrhistogram::Histogram;
use libix::rpc::{Client, Config, Event, Refused, Session};
use libix::{Error, Handler, Io, RecvBuf, UdpPort};
use std::net::SocketAddr;
use std::time::Duration;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who serves.
    pub server: SocketAddr,
    /// Bytes of a request, and of its answer.
    pub size: usize,
    /// Sessions, and calls under way on each.
    pub sessions: usize,
    /// See above.
    pub outstanding: usize,
    /// How long.
    pub time: Duration,
}

/// The client: give it to [`libix::run`].
#[derive(Debug)]
pub struct Caller {
    plan: Plan,
    client: Option<Client>,
    sessions: Vec<Session>,
    /// When each call was made, by its tag: session, and place in it.
    called_at: Vec<Duration>,
    began: Duration,
    ended: Duration,
    round_trips_ns: Histogram<u64>,
    failure: Option<String>,
}

impl Caller {
    /// Of this plan.
    ///
    /// # Panics
    /// If memory for the histogram is missing.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Caller {
            plan,
            client: None,
            sessions: Vec::new(),
            called_at: vec![Duration::ZERO; plan.sessions * plan.outstanding],
            began: Duration::ZERO,
            ended: Duration::ZERO,
            round_trips_ns: Histogram::new(3).expect("three digits are few enough"),
            failure: None,
        }
    }

    /// The figures in a line, or why there are none.
    ///
    /// # Errors
    /// If a call failed, or there was none.
    pub fn outcome(&self) -> Result<String, String> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let calls = self.round_trips_ns.len();
        if calls == 0 {
            return Err("stopped before the first answer".into());
        }
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let us = |share: f64| self.round_trips_ns.value_at_quantile(share) as f64 / 1e3;
        let seconds = (self.ended - self.began).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let rate = calls as f64 / seconds;
        let again = self
            .client
            .as_ref()
            .map_or(0, |client| client.counters().sent_again);
        Ok(format!(
            "{calls} calls of {} bytes in {seconds:.2} s: {rate:.0} a second; p50 {:.1} us, p99 {:.1} us; {again} packets sent again",
            self.plan.size,
            us(0.5),
            us(0.99),
        ))
    }

    fn call(&mut self, io: &mut Io, tag: usize) {
        let Some(client) = &mut self.client else {
            return;
        };
        let session = self.sessions[tag / self.plan.outstanding];
        let Ok(message) = client.message_of(&PAYLOAD[..self.plan.size]) else {
            return;
        };
        self.called_at[tag] = io.now();
        if client.call(io, session, ECHO, message, tag as u64) == Err(Refused::NoSession) {
            self.failure.get_or_insert("the session is over".into());
            io.stop();
        }
    }

    fn on_answer(&mut self, io: &mut Io, tag: u64, is_right: bool) {
        let Ok(tag) = usize::try_from(tag) else {
            return;
        };
        let now = io.now();
        if !is_right {
            self.failure
                .get_or_insert("what came back is not what was sent".into());
        }
        if self.failure.is_some() || now >= self.began + self.plan.time {
            self.ended = self.ended.max(now);
            io.stop();
            return;
        }
        let round_trip = now.saturating_sub(self.called_at[tag]);
        // It grows with what it is given.
        let _ = self
            .round_trips_ns
            .record(u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX));
        self.ended = now;
        self.call(io, tag);
    }
}

/// Longest message to measure with.
pub const MAX_BYTES: usize = 64 << 10;

static PAYLOAD: [u8; MAX_BYTES] = [0x5a; MAX_BYTES];

impl Handler for Caller {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        let mut client = Client::bind(io, &Config::default())?;
        for _ in 0..self.plan.sessions {
            // There is room for more than the command line allows.
            if let Ok(session) = client.connect(io, self.plan.server) {
                self.sessions.push(session);
            }
        }
        self.client = Some(client);
        self.began = io.now();
        for tag in 0..self.sessions.len() * self.plan.outstanding {
            self.call(io, tag);
        }
        Ok(())
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        if let Some(client) = &mut self.client {
            // There is no other port here.
            client.on_udp(io, port, peer, data);
        }
    }

    fn on_turn(&mut self, io: &mut Io) {
        if let Some(client) = &mut self.client {
            client.on_turn(io);
        }
        while let Some(event) = self.client.as_mut().and_then(Client::poll_event) {
            match event {
                Event::Done {
                    tag,
                    result: Ok(response),
                } => {
                    let is_right = *response.body == PAYLOAD[..self.plan.size];
                    drop(response);
                    self.on_answer(io, tag, is_right);
                }
                Event::Done {
                    result: Err(error), ..
                } => {
                    self.failure.get_or_insert(error.to_string());
                    io.stop();
                }
                Event::Connected(_) | Event::Ended(_) => {}
            }
        }
    }

    fn max_wait(&mut self, io: &Io) -> Option<Duration> {
        self.client.as_mut()?.max_wait(io)
    }
}
