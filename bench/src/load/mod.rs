//! The load generator: closed loop, one thread, one epoll set. Each connection has a fixed number of requests
//! outstanding and sends the next one when an answer is complete.
//!
//! After a warm-up, a window is measured; the caller can look at clocks and counters at its two ends.

mod client;
mod connection;
#[cfg(test)]
mod tests;

use anyhow::{Result, ensure};
use client::Client;
use hdrhistogram::Histogram;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Bytes to a TCP echo server and back, on connections that stay.
    Tcp,
    /// A datagram to a UDP echo server and back; one lost is sent again after 300 ms.
    Udp,
    /// Connect, one TCP echo, reset; again.
    Connect,
    /// A `get` of a value to a memcached server, on connections that stay. The key has 30 bytes, as keys of Facebook's
    /// ETC have.
    Get,
}

/// Of [`Kind::Get`].
const KEY: &str = "etc:user:0123456789:profile:en";

impl Kind {
    /// Whether requests go over connections that stay.
    fn stays(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Get)
    }
}

/// A load to apply.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Load {
    /// What a request is.
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// The server.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) to: SocketAddrV4,
    /// Connections, or bound UDP sockets.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Bytes of a request and of its answer, or of a value.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=65536))]
    pub(crate) size: u32,
    /// Requests outstanding on each TCP connection.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) depth: u32,
    /// Seconds measured.
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) window: Duration,
    /// Seconds of load before that.
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub(crate) warm_up: Duration,
}

impl Load {
    /// A request.
    fn message(&self) -> Vec<u8> {
        match self.kind {
            Kind::Get => format!("get {KEY}\r\n").into_bytes(),
            _ => vec![b'x'; self.size as usize],
        }
    }

    /// Bytes of its answer.
    fn answer_len(&self) -> usize {
        let size = self.size as usize;
        match self.kind {
            Kind::Get => format!("VALUE {KEY} 0 {size}\r\n\r\nEND\r\n").len() + size,
            _ => size,
        }
    }

    /// Stores what will be asked for.
    fn prepare(&self) -> Result<()> {
        if self.kind != Kind::Get {
            return Ok(());
        }
        let mut stream = TcpStream::connect(self.to)?;
        let value = "v".repeat(self.size as usize);
        write!(stream, "set {KEY} 0 0 {}\r\n{value}\r\n", self.size)?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        ensure!(answer == *b"STORED\r\n", "the server does not store");
        Ok(())
    }
}

/// Parses `1.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What happened in the window.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Its true length.
    pub(crate) elapsed: Duration,
    /// Requests answered.
    pub(crate) answered: u64,
    /// Connections that failed.
    pub(crate) errors: u64,
    /// Datagrams given up on.
    pub(crate) lost: u64,
    /// From request to answer, nanoseconds. For [`Kind::Connect`], from `connect`.
    pub(crate) latency_ns: Histogram<u64>,
}

impl Outcome {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        float(self.answered) / self.elapsed.as_secs_f64()
    }

    /// The latency that this share (0..=1) of the requests stayed below, in microseconds.
    pub(crate) fn latency_us(&self, share: f64) -> f64 {
        float(self.latency_ns.value_at_quantile(share)) / 1e3
    }
}

/// As a float, for ratios.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts far below 2^52, and shown with few digits"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Applies the load and measures. `at_edge` is called when the window begins and when it has ended.
pub(crate) fn run<T>(load: &Load, mut at_edge: impl FnMut() -> Result<T>) -> Result<(Outcome, T, T)> {
    load.prepare()?;
    let mut client = Client::open(load)?;
    client.run_until(Instant::now() + load.warm_up)?;
    client.forget();
    let before = at_edge()?;
    let start = Instant::now();
    client.run_until(start + load.window)?;
    let elapsed = start.elapsed();
    let after = at_edge()?;
    Ok((client.outcome(elapsed), before, after))
}
