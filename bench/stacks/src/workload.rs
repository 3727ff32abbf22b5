//! One stack under one load, for a while.

use crate::calls::{Calls, Direct, Udp};
use crate::ixion::Ixion;
use crate::pair::Pair;
use crate::smoltcp::Smoltcp;
use std::time::{Duration, Instant};

/// Whose stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    /// Ours.
    Ixion,
    /// Ours, with time that passes, so that delayed acknowledgements are sent and timers looked after.
    IxionInTime,
    /// The crate.
    Smoltcp,
    /// No stack: calls of `libix::rpc`, a session for a connection and a long request for bulk.
    Calls,
    /// The same over our UDP.
    CallsOverUdp,
}

impl Which {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Which::Ixion => "ixion",
            Which::IxionInTime => "ixion-in-time",
            Which::Smoltcp => "smoltcp",
            Which::Calls => "calls",
            Which::CallsOverUdp => "calls-over-udp",
        }
    }
}

/// What it has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Load {
    /// 64-byte echoes on random connections, one at a time.
    One,
    /// The same, 32 at a time (on so many different connections, if there are).
    Many,
    /// 1460-byte segments on one connection.
    Bulk,
    /// Connections opened and closed.
    Churn,
}

/// What to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    pub(crate) stack: Which,
    #[arg(value_enum)]
    pub(crate) load: Load,
    /// Established connections.
    #[arg(long, default_value_t = 1)]
    pub(crate) flows: u32,
    /// For how long, at least.
    #[arg(long, default_value_t = 500)]
    pub(crate) milliseconds: u64,
}

/// Requests at a time of [`Load::Many`].
pub(crate) const MANY: u32 = 32;
/// Virtual time between the requests of [`Which::IxionInTime`].
const STEP_NS: u64 = 1000;

/// Nanoseconds per request, segment or connection, both sides together.
pub(crate) fn measure(options: &Options) -> f64 {
    match options.stack {
        Which::Ixion => drive(&mut Ixion::open(options.flows), options),
        Which::IxionInTime => {
            let mut pair = Ixion::open(options.flows);
            pair.step_ns = STEP_NS;
            drive(&mut pair, options)
        }
        Which::Smoltcp => drive(&mut Smoltcp::open(options.flows), options),
        Which::Calls => drive(&mut Calls::<Direct>::open(options.flows), options),
        Which::CallsOverUdp => drive(&mut Calls::<Udp>::open(options.flows), options),
    }
}

fn drive(pair: &mut impl Pair, options: &Options) -> f64 {
    let flows = options.flows;
    let mut random = Random(1);
    match options.load {
        Load::One => repeat(options, || {
            pair.requests(&[random.below(flows)]);
            1
        }),
        Load::Many => {
            let count = MANY.min(flows);
            let mut picked = vec![0; count as usize];
            repeat(options, || {
                // One out of each of so many ranges: all different.
                for (range, pick) in (0..count).zip(&mut picked) {
                    let (start, end) = (part(flows, range, count), part(flows, range + 1, count));
                    *pick = start + random.below(end - start);
                }
                pair.requests(&picked);
                count
            })
        }
        Load::Bulk => repeat(options, || {
            pair.bulk(1024);
            1024
        }),
        Load::Churn => repeat(options, || {
            pair.churn(64);
            64
        }),
    }
}

fn part(flows: u32, range: u32, of: u32) -> u32 {
    u32::try_from(u64::from(flows) * u64::from(range) / u64::from(of)).unwrap_or(flows)
}

/// Calls `work`, which tells how much it has done, until time is up; the clock is read now and then only.
fn repeat(options: &Options, mut work: impl FnMut() -> u32) -> f64 {
    let enough = Duration::from_millis(options.milliseconds);
    let mut run = |until: Duration, mut calls: u32| {
        let (start, mut done) = (Instant::now(), 0u64);
        loop {
            for _ in 0..calls {
                done += u64::from(work());
            }
            let elapsed = start.elapsed();
            if elapsed >= until {
                return (elapsed.as_secs_f64() * 1e9 / float(done), calls);
            }
            if elapsed < until / 50 {
                calls = (calls * 2).min(1 << 12);
            }
        }
    };
    // Caches and predictors get a tenth of the time to learn.
    let (_, calls) = run(enough / 10, 1);
    run(enough, calls).0
}

#[allow(clippy::cast_precision_loss, reason = "a count of events")]
fn float(count: u64) -> f64 {
    count as f64
}

/// A linear congruential generator; its upper half is random enough to pick connections.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(((self.0 >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
    }
}
