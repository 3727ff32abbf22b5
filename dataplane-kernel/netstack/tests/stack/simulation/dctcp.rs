//! DCTCP before a router that marks (RFC 8257 section 1): a full link, a short queue.

use super::bottleneck::{Bottleneck, Way};
use super::node::Node;
use netstack::{Config, CongestionControl, Instant};
use std::net::Ipv4Addr;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// 1 Gbit/s.
const FRAME_NS: u64 = 12_000;
const RTT_NS: u64 = 400_000;
/// Frames from which the router marks: a third of what the way holds.
const MARKS_FROM: u64 = 11;
const NOW: Instant = Instant(1 << 40);

/// Half a second after the start: the share of the link in percent, and the router.
fn run(flows: u32, change: impl Fn(&mut Config)) -> (u64, Bottleneck) {
    let mut sender = Node::new(SENDER, NOW, &change);
    let mut receiver = Node::new(RECEIVER, NOW, &change);
    receiver.listen();
    for _ in 0..flows {
        sender.connect(RECEIVER, NOW);
    }
    let mut router = Bottleneck::new(FRAME_NS, 200);
    router.marks_from = MARKS_FROM;
    let mut way = Way::new(sender, receiver, router, RTT_NS, NOW);
    way.run(500_000_000);
    way.router.forget();
    let bytes = way.run(1_000_000_000);
    // A frame takes the link as long as 1500 bytes do.
    (bytes * 100 * FRAME_NS / 1448 / 1_000_000_000, way.router)
}

#[test]
fn the_link_is_full_and_the_queue_is_short() {
    for flows in [1, 4] {
        let (percent, router) = run(flows, |config| {
            config.tcp.congestion = CongestionControl::Dctcp;
            config.tcp.ecn = netstack::EcnPolicy::Ask;
        });
        assert!(percent >= 95, "{percent} %, {router:?}");
        assert!(
            router.longest <= 4 * MARKS_FROM && router.dropped == 0,
            "{router:?}"
        );
        assert!(router.marked > 0);
    }
}

/// What marks are for: nothing has to be sent again. CUBIC reduces by a fixed share, so that the link is not always full.
#[test]
fn cubic_with_ecn_loses_nothing() {
    let (percent, router) = run(4, |config| config.tcp.ecn = netstack::EcnPolicy::Ask);
    assert!(percent >= 80 && router.dropped == 0, "{percent} %, {router:?}");
}

/// Without it the queue is as long as it can be.
#[test]
fn cubic_without_ecn_fills_the_queue() {
    let (percent, router) = run(1, |config| config.tcp.ecn = netstack::EcnPolicy::Off);
    assert!(
        percent >= 90 && router.longest >= 100 && router.marked == 0,
        "{router:?}"
    );
}
