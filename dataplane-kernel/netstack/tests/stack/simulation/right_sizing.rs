//! Receive windows that grow with what the way holds, and no further than memory goes.

use super::bottleneck::{Bottleneck, Way};
use super::node::Node;
use netstack::{Config, Instant};
use std::net::Ipv4Addr;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const SECOND_NS: u64 = 1_000_000_000;
/// 100 Mbit/s.
const FRAME_NS: u64 = 120_000;
const RTT_NS: u64 = 100_000_000;
const NOW: Instant = Instant(1 << 40);

/// A long fat pipe: it holds 1.25 MB, and the queue before it as much.
fn long_fat_pipe(change: impl Fn(&mut Config)) -> Way {
    let mut sender = Node::new(SENDER, NOW, |_| {});
    let mut receiver = Node::new(RECEIVER, NOW, |config| {
        config.rx_buffers = 16384;
        change(config);
    });
    receiver.listen();
    sender.connect(RECEIVER, NOW);
    Way::new(sender, receiver, Bottleneck::new(FRAME_NS, 900), RTT_NS, NOW)
}

fn mbit_per_second(bytes: u64, seconds: u64) -> u64 {
    bytes * 8 / seconds / 1_000_000
}

#[test]
fn a_long_fat_pipe_is_filled() {
    let mut way = long_fat_pipe(|_| {});
    way.run(2 * SECOND_NS);
    let then = mbit_per_second(way.run(20 * SECOND_NS), 20);
    assert!(then >= 90, "{then} of 100 Mbit/s");
}

/// The same without: a window of 256 KiB each 100 ms.
#[test]
fn a_window_of_one_size_is_the_limit() {
    let mut way = long_fat_pipe(|config| config.tcp.receive_window_max_bytes = 0);
    way.run(3 * SECOND_NS);
    let then = mbit_per_second(way.run(10 * SECOND_NS), 10);
    assert!((18..=22).contains(&then), "{then} Mbit/s");
}

/// A flow that is not limited by its window is given no larger one.
#[test]
fn who_has_enough_gets_no_more() {
    let mut way = long_fat_pipe(|_| {});
    way.router.frame_ns = 4 * FRAME_NS;
    let room = way.receiver.stack.counters().window_room;
    way.router.most = 60;
    way.run(20 * SECOND_NS);
    let grown = room - way.receiver.stack.counters().window_room;
    // The way holds 312 KB, its queue 90 KB.
    assert!(grown <= 1 << 20, "{grown}");
}

/// Many flows on one fat pipe, whose windows would come to 400 MB.
#[test]
fn many_flows_are_promised_no_more_than_there_is() {
    const BUFFERS: u32 = 4096;
    const RESERVE: u32 = 512;
    const FLOWS: u64 = 100;
    let mut sender = Node::new(SENDER, NOW, |config| config.tcp.send_queue_bytes = 1 << 20);
    let mut receiver = Node::new(RECEIVER, NOW, |config| {
        (config.rx_buffers, config.rx_reserve) = (BUFFERS, RESERVE);
        config.udp_held_buffers = 0;
        config.tcp.receive_window_bytes = 1 << 16;
    });
    receiver.listen();
    for _ in 0..FLOWS {
        sender.connect(RECEIVER, NOW);
    }
    let mut way = Way::new(
        sender,
        receiver,
        Bottleneck::new(FRAME_NS / 50, 20_000),
        RTT_NS / 5,
        NOW,
    );
    let room = way.receiver.stack.counters().window_room;
    assert_eq!(room, u64::from(BUFFERS - RESERVE) / 2 * 1024);
    way.run(2 * SECOND_NS);
    let counters = way.receiver.stack.counters();
    assert!(counters.window_room < room / 8, "{counters:?}");
    assert_eq!(counters.flows, FLOWS);
    // An app that stops taking data has all it is owed, and that is in the pool.
    way.receiver.hoards = true;
    way.run(2 * SECOND_NS);
    let counters = way.receiver.stack.counters();
    let held = counters.buffers_queued + counters.buffers_lent;
    assert!(held <= u64::from(BUFFERS - RESERVE), "{counters:?}");
    // What windows had grown by comes back with the last flow.
    let (stack, driver) = (&mut way.receiver.stack, &mut way.receiver.driver);
    stack.abort_all(driver, way.now);
    assert_eq!(stack.counters().window_room, room);
}
