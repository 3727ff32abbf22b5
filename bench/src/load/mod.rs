//! The load generator: closed loop, one thread, one epoll set. Each connection has a fixed number of requests
//! outstanding and sends the next one when an answer is complete.
//!
//! After a warm-up, a window is measured; the caller can look at clocks and counters at its two ends. [`open`] is the other
//! kind, an open loop.

mod client;
mod connection;
pub(crate) mod open;
#[cfg(test)]
mod tests;

use ::load::workload::{Reply, Workload};
use anyhow::{Result, anyhow, ensure};
use client::Client;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// A GET of `/` of an HTTP server, on connections that stay. All answers must be as long as the first.
    Http,
}

/// Of [`Kind::Http`].
const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// Of [`Kind::Get`].
const KEY: &str = "etc:user:0123456789:profile:en";

impl Kind {
    /// Whether requests go over connections that stay.
    fn stays(self) -> bool {
        matches!(self, Kind::Tcp | Kind::Get | Kind::Http)
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
    /// Of these so many have a request outstanding at a time, drawn at random [default: all].
    #[arg(long)]
    pub(crate) busy: Option<usize>,
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
            Kind::Http => HTTP_REQUEST.to_vec(),
            _ => vec![b'x'; self.size as usize],
        }
    }

    /// Prepares the server for requests; bytes of an answer.
    fn prepare(&self) -> Result<usize> {
        match self.kind {
            Kind::Tcp | Kind::Udp | Kind::Connect => Ok(self.size as usize),
            Kind::Get => self.store(),
            Kind::Http => self.http_answer_len(),
        }
    }

    /// Stores what will be asked for.
    fn store(&self) -> Result<usize> {
        let mut stream = TcpStream::connect(self.to)?;
        let size = self.size as usize;
        write!(stream, "set {KEY} 0 0 {size}\r\n{}\r\n", "v".repeat(size))?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer)?;
        ensure!(answer == *b"STORED\r\n", "the server does not store");
        Ok(format!("VALUE {KEY} 0 {size}\r\n\r\nEND\r\n").len() + size)
    }

    /// Asks once to see.
    fn http_answer_len(&self) -> Result<usize> {
        let mut stream = TcpStream::connect(self.to)?;
        stream.write_all(HTTP_REQUEST)?;
        let mut reader = Workload::web("", "").reader();
        let (mut len, mut buffer) = (0, [0; 4096]);
        loop {
            let got = stream.read(&mut buffer)?;
            ensure!(got > 0, "the server closed instead of an answer");
            let mut read = 0;
            while read < got {
                let (count, reply) = reader
                    .advance(&buffer[read..got])
                    .map_err(|_| anyhow!("the server does not speak HTTP"))?;
                (read, len) = (read + count, len + count);
                if let Some(reply) = reply {
                    ensure!(reply == Reply::Good, "the server does not have it");
                    return Ok(len);
                }
            }
        }
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
    let answer_len = load.prepare()?;
    let mut client = Client::open(load, answer_len)?;
    client.run_until(Instant::now() + load.warm_up)?;
    client.forget();
    let before = at_edge()?;
    let start = Instant::now();
    client.run_until(start + load.window)?;
    let elapsed = start.elapsed();
    let after = at_edge()?;
    Ok((client.outcome(elapsed), before, after))
}
