//! One load on one guest: rate, latency, CPU time, instructions.

use crate::counts::Counts;
use crate::cpu::CpuTime;
use crate::guest::{PORT, Running};
use crate::load::{self, Kind, Load, float};
use crate::netns::{GUEST, Namespace};
use crate::pin;
use anyhow::Result;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

/// A row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Case {
    /// What a request is.
    pub(crate) kind: Kind,
    /// On how many connections.
    pub(crate) connections: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Tcp => "TCP echo",
            Kind::Udp => "UDP echo",
            Kind::Connect => "connect + echo + reset",
            Kind::Get => "memcached get",
        };
        write!(f, "{what}, {}", self.connections)
    }
}

impl std::str::FromStr for Case {
    type Err = String;

    /// `tcp:16`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no case; write tcp:16, udp:16, connect:16 or get:16");
        let (kind, connections) = text.split_once(':').ok_or_else(wrong)?;
        let kind = clap::ValueEnum::from_str(kind, false).map_err(|_| wrong())?;
        Ok(Self {
            kind,
            connections: connections.parse().map_err(|_| wrong())?,
        })
    }
}

/// Result of one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Median latency, microseconds.
    pub(crate) p50_us: f64,
    /// 99th percentile, microseconds.
    pub(crate) p99_us: f64,
    /// Failed connections and lost datagrams.
    pub(crate) failures: u64,
    /// Microseconds of the virtual CPU's thread per request.
    pub(crate) vcpu_us: f64,
    /// Microseconds of QEMU's main loop per request.
    pub(crate) main_loop_us: f64,
    /// Microseconds of the client per request.
    pub(crate) client_us: f64,
}

impl Case {
    /// The load to apply to whoever serves there.
    pub(crate) fn load(self, to: Ipv4Addr, window: Duration) -> Load {
        let to = SocketAddrV4::new(to, PORT);
        Load {
            kind: self.kind,
            to,
            connections: self.connections,
            size: 64,
            depth: 1,
            window,
            warm_up: window / 4,
        }
    }

    /// Applies the load for `window` and reads the clocks around it.
    pub(crate) fn measure(self, on: &Running, namespace: &Namespace, window: Duration) -> Result<Measured> {
        let load = self.load(GUEST, window);
        let clocks = || {
            Ok((
                CpuTime::of(on.qemu)?,
                rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime),
            ))
        };
        let (outcome, before, after) = namespace.run(|| {
            pin::client()?;
            load::run(&load, clocks)
        })?;
        let qemu = after.0.since(&before.0);
        let client = Duration::try_from(after.1 - before.1)?;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / float(outcome.answered.max(1));
        Ok(Measured {
            rate: outcome.rate(),
            p50_us: outcome.latency_us(0.5),
            p99_us: outcome.latency_us(0.99),
            failures: outcome.errors + outcome.lost,
            vcpu_us: each(qemu.vcpu),
            main_loop_us: each(qemu.main_loop),
            client_us: each(client),
        })
    }

    /// Applies the load for `window`; what ran meanwhile, and for how many requests.
    pub(crate) fn count(
        self,
        namespace: &Namespace,
        counts: &Path,
        window: Duration,
    ) -> Result<(Counts, u64)> {
        let load = self.load(GUEST, window);
        let (outcome, before, after) = namespace.run(|| load::run(&load, || Counts::read(counts)))?;
        Ok((after.since(&before), outcome.answered.max(1)))
    }
}

/// What a guest without load runs for a while.
pub(crate) fn idle(counts: &Path) -> Result<Counts> {
    let before = Counts::read(counts)?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(Counts::read(counts)?.since(&before))
}
