//! How much gets through a link that loses at random: one flow, 25 ms, nothing else in the way.

use super::link::{Link, Quality};
use super::node::Node;
use crate::harness::random::Random;
use netstack::{Config, CongestionControl, Instant};
use std::net::Ipv4Addr;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const RTT_NS: u64 = 25_000_000;
const SECOND_NS: u64 = 1_000_000_000;
/// The device takes a frame in this time at least: 1 Gbit/s.
const FRAME_NS: u64 = 12_000;
/// A turn of the driver's.
const LEAST_STEP_NS: u64 = 20_000;

/// What a run came to.
#[derive(Debug)]
#[allow(dead_code, reason = "shown where a bound is not kept")]
struct Run {
    algorithm: CongestionControl,
    mbit_per_second: f64,
    lost: u64,
    repeated: u64,
    timeouts: u64,
    recoveries: u64,
    in_vain: u64,
}

/// A minute of virtual time, with `loss` of 100,000 data segments lost.
fn run(algorithm: CongestionControl, loss: u64, seed: u64) -> Run {
    let mut random = Random::new(seed);
    let start = Instant(1 << 40);
    let end = start.after_ns(60 * SECOND_NS);
    let mut now = start;
    let change = |config: &mut Config| {
        config.tcp.congestion = algorithm;
        config.tcp.receive_window_bytes = 1 << 23;
    };
    let mut sender = Node::new(SENDER, now, change);
    let mut receiver = Node::new(RECEIVER, now, change);
    let quality = Quality {
        delay_ns: RTT_NS / 2,
        jitter_ns: 0,
        loss: 0,
        duplicates: 0,
    };
    let (mut up, mut down) = (Link::new(quality), Link::new(quality));
    receiver.listen();
    sender.connect(RECEIVER, now);
    let mut lost = 0;
    while now < end {
        sender.step(now, &mut down);
        receiver.step(now, &mut up);
        let mut frames: Vec<_> = sender.driver.sent.drain(..).collect();
        let busy_ns = frames.len() as u64 * FRAME_NS;
        let sent = frames.len();
        frames.retain(|frame| frame.len() < 500 || random.below(100_000) >= loss);
        lost += (sent - frames.len()) as u64;
        up.carry(frames, now, &mut random);
        down.carry(receiver.driver.sent.drain(..).collect(), now, &mut random);
        let deadlines = [
            up.next(),
            down.next(),
            sender.stack.next_deadline(),
            receiver.stack.next_deadline(),
        ];
        let next = deadlines.into_iter().flatten().min().unwrap_or(end);
        now = next.max(now.after_ns(busy_ns.max(LEAST_STEP_NS)));
    }
    let counters = sender.stack.counters();
    // Slow start without a bottleneck may fill the receiver's pool.
    lost += receiver.stack.counters().tcp_data_dropped;
    Run {
        algorithm,
        mbit_per_second: receiver.received as f64 * 8.0 / 60e6,
        lost,
        repeated: counters.tcp_retransmits,
        timeouts: counters.tcp_timeouts,
        recoveries: counters.tcp_fast_retransmits,
        in_vain: counters.tcp_spurious,
    }
}

/// What Reno can get at this loss (Mathis et al. 1997), in Mbit/s: MSS / RTT * sqrt(3 / (2 * p)).
fn mathis(loss: u64) -> f64 {
    let p = loss as f64 / 100_000.0;
    1448.0 * 8.0 / 0.025 * (1.5 / p).sqrt() / 1e6
}

/// What Linux' CUBIC was measured at for so much loss, in Mbit/s (docs/benchmarks.md, "Loss").
const LINUX: [(u64, f64); 3] = [(100, 18.9), (1000, 5.1), (5000, 1.8)];

/// Each loss costs what the algorithm says, and no more: neither timeouts nor windows that are cut too far. At such short
/// round trips CUBIC is as Reno.
#[test]
fn random_loss_costs_the_window_it_reduces() {
    for (loss, linux) in LINUX {
        for algorithm in [CongestionControl::NewReno, CongestionControl::Cubic] {
            let runs: Vec<Run> = (0..3).map(|seed| run(algorithm, loss, seed)).collect();
            let mean = runs.iter().map(|run| run.mbit_per_second).sum::<f64>() / 3.0;
            assert!(
                mean >= 0.75 * mathis(loss),
                "{mean} of {}: {runs:#?}",
                mathis(loss)
            );
            if algorithm == CongestionControl::Cubic {
                assert!(mean >= 0.9 * linux, "{mean} of {linux}: {runs:#?}");
            }
            for run in &runs {
                assert!(run.repeated <= run.lost + run.lost / 10 + 5, "{run:?}");
                assert!(run.in_vain <= 2 && run.timeouts <= run.lost / 30 + 1, "{run:?}");
            }
            eprintln!("{algorithm:?} {loss}: {mean:.2} of {:.2}", mathis(loss));
        }
    }
}

/// What the peer has beyond a hole is not in the network, so a recovery that waits long for one segment must not make the
/// next loss widen the window: in these runs it did, up to twenty times what the losses allow.
#[test]
fn no_loss_widens_the_window() {
    for seed in [80, 133] {
        let run = run(CongestionControl::Cubic, 1000, seed);
        assert!(run.mbit_per_second <= 1.3 * mathis(1000), "{run:?}");
    }
}
