//! One load on one guest: rate, latency, CPU time, instructions.

use crate::counts::Counts;
use crate::cpu::Clocks;
use crate::guest::Running;
use crate::load::{self, Kind, Load, float};
use crate::netns::Namespace;
use crate::pin;
use crate::server::Service;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddrV4;
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
            Kind::Http => "HTTP GET",
        };
        write!(f, "{what}, {}", self.connections)
    }
}

impl std::str::FromStr for Case {
    type Err = String;

    /// `tcp:16`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no case; write tcp:16, udp:16, connect:16, get:16 or http:16");
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

/// Instructions per request.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Instructions {
    /// Ring 0, working.
    pub(crate) kernel: f64,
    /// Ring 3.
    pub(crate) app: f64,
    /// Looking for work.
    pub(crate) idle: f64,
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, app, idle } = self;
        write!(f, "kernel {kernel:.0}, app {app:.0}, idle {idle:.0}")
    }
}

impl Instructions {
    /// Those of `requests` requests together, for each.
    pub(crate) fn of_each(ran: &Counts, requests: u64) -> Self {
        let split = ran.split();
        let each = |count| float(count) / float(requests);
        Self {
            kernel: each(split.kernel),
            app: each(split.app),
            idle: each(split.idle),
        }
    }
}

impl Case {
    /// What must be served for it.
    pub(crate) fn service(self) -> Service {
        match self.kind {
            Kind::Tcp | Kind::Udp | Kind::Connect => Service::Echo,
            Kind::Get => Service::Memcached,
            Kind::Http => Service::Http,
        }
    }

    /// The load to apply to whoever serves there.
    pub(crate) fn load(self, to: SocketAddrV4, window: Duration) -> Load {
        Load {
            kind: self.kind,
            to,
            connections: self.connections,
            busy: None,
            size: 64,
            depth: 1,
            window,
            warm_up: window / 4,
        }
    }

    /// Applies the load for `window` and reads the clocks around it.
    pub(crate) fn measure(
        self,
        to: SocketAddrV4,
        on: &Running,
        namespace: &Namespace,
        window: Duration,
    ) -> Result<Measured> {
        measure(&self.load(to, window), on, namespace)
    }

    /// Applies the load for `window`; what ran meanwhile, and for how many requests.
    pub(crate) fn count(
        self,
        to: SocketAddrV4,
        namespace: &Namespace,
        counts: &Path,
        window: Duration,
    ) -> Result<(Counts, u64)> {
        let load = self.load(to, window);
        let (outcome, before, after) = namespace.run(|| load::run(&load, || Counts::read(counts)))?;
        Ok((after.since(&before), outcome.answered.max(1)))
    }
}

/// Applies the load and reads the clocks around its window.
pub(crate) fn measure(load: &Load, on: &Running, namespace: &Namespace) -> Result<Measured> {
    let (outcome, before, after) = namespace.run(|| {
        pin::client()?;
        load::run(load, || Clocks::read(on.qemu))
    })?;
    let used = after.since(&before)?;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / float(outcome.answered.max(1));
    Ok(Measured {
        rate: outcome.rate(),
        p50_us: outcome.latency_us(0.5),
        p99_us: outcome.latency_us(0.99),
        failures: outcome.errors + outcome.lost,
        vcpu_us: each(used.vcpu),
        main_loop_us: each(used.main_loop),
        client_us: each(used.client),
    })
}

/// What a guest without load runs for a while.
pub(crate) fn idle(counts: &Path) -> Result<Counts> {
    let before = Counts::read(counts)?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(Counts::read(counts)?.since(&before))
}
