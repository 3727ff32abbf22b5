//! A device that fails, and comes back or does not.

use super::super::regs::Producer;
use super::{BODIES, BUFFERS, Bench, HEADS, JUMBO};
use crate::nic::{Health, Nic};
use netstack::TxTicket;

/// What happens to a device.
type Cause<'a> = &'a dyn Fn(&mut Bench);

fn send(bench: &mut Bench) -> TxTicket {
    bench.nic.begin_tx().unwrap()[..60].fill(7);
    let ticket = bench.nic.commit_tx(60, &[], Default::default());
    bench.nic.kick();
    ticket
}

/// Both ways it works, and all buffers but those lent to the device are in the pool.
fn assert_works(bench: &mut Bench, number: u8) {
    bench.post();
    for len in [90, 9000] {
        assert!(bench.device.receive(&std::vec![number; len]));
        let parts = bench.poll(8);
        let all: std::vec::Vec<u8> = parts.iter().flat_map(|part| bench.data(part)).collect();
        assert!(all == std::vec![number; len]);
        bench.free(parts);
    }
    let ticket = send(bench);
    assert!(bench.device.doorbells().iter().any(|bell| bell.0 == Producer::TX));
    assert_eq!(bench.device.send().unwrap().bytes, [7; 60]);
    bench.nic.reclaim_tx();
    assert!(bench.nic.tx_done(ticket) && bench.nic.tx_idle());
    bench.post();
    assert_eq!(bench.pool.available(), BUFFERS - HEADS - BODIES);
    assert_eq!(bench.device.pending(), [0, HEADS, BODIES]);
}

#[test]
fn after_a_reset_frames_go_on_and_no_buffer_is_missing() {
    let lost = |bench: &mut Bench| bench.device.with(|state| state.active = None);
    let stopped = |events| move |bench: &mut Bench| bench.device.with(|state| state.raise(events));
    let (rx_stopped, tx_stopped) = (stopped(1), stopped(2));
    let hang = |bench: &mut Bench| (0..3).for_each(|_| assert_eq!(bench.nic.check(), Health::LinkUp));
    let causes: [(Cause<'_>, [u64; 2]); 4] = [
        (&lost, [1, 0]),
        (&rx_stopped, [0, 1]),
        (&tx_stopped, [0, 1]),
        (&hang, [0, 0]),
    ];
    for (cause, counted) in causes {
        let mut bench = Bench::receiving(&JUMBO);
        for number in 0..40 {
            assert_works(&mut bench, number);
        }
        let ticket = send(&mut bench);
        // One frame that nobody has taken yet, and half of one.
        assert!(bench.device.receive(&[2; 70]));
        bench.device.with(|state| state.report(81 | 1 << 15, 2048));
        let taken = bench.poll(1);
        bench.free(taken);
        cause(&mut bench);
        assert_eq!(bench.nic.check(), Health::LinkUp, "at once, with one pair");
        let counters = ["nic.lost", "nic.needs_reset"].map(|name| bench.counter(name));
        assert_eq!((counters, bench.counter("nic.resets")), (counted, 1));
        assert!(bench.nic.tx_done(ticket), "nobody waits for a frame that is lost");
        for number in 3..40 {
            assert_works(&mut bench, number);
        }
        assert_eq!(bench.nic.check(), Health::LinkUp);
        assert_eq!(bench.counter("nic.resets"), 1);
    }
}

#[test]
fn what_a_device_has_counted_is_not_forgotten_over_a_reset() {
    let mut bench = Bench::receiving(&JUMBO);
    bench.device.with(|state| state.failures = [0, 0, 5, 1]);
    bench.nic.check();
    bench.device.with(|state| {
        state.active = None;
        state.failures = [0; 4];
    });
    bench.nic.check();
    bench.device.with(|state| state.failures = [0, 0, 2, 0]);
    bench.nic.check();
    let names = ["nic.rx_missed", "nic.rx_errors", "nic.resets"];
    assert_eq!(names.map(|name| bench.counter(name)), [7, 1, 1]);
}

#[test]
fn a_device_that_is_gone_or_stays_down_is_left_alone() {
    let gone = |bench: &mut Bench| bench.device.with(|state| state.gone = true);
    let refuses = |bench: &mut Bench| {
        bench.device.with(|state| {
            state.active = None;
            state.refusal = 1;
        });
    };
    let causes: [Cause<'_>; 2] = [&gone, &refuses];
    for cause in causes {
        let mut bench = Bench::receiving(&JUMBO);
        let before = send(&mut bench);
        cause(&mut bench);
        assert_eq!(bench.nic.check(), Health::Failed);
        assert_eq!(bench.nic.check(), Health::Failed);
        assert_eq!(bench.counter("nic.lost"), 1);
        for _ in 0..600 {
            let ticket = send(&mut bench);
            assert!(bench.nic.tx_done(ticket) && bench.nic.tx_done(before));
        }
        bench.post();
        assert!(bench.poll(8).is_empty() && !bench.nic.link_up());
    }
}

#[test]
fn a_device_that_is_stopped_has_let_go_of_everything() {
    let mut bench = Bench::receiving(&JUMBO);
    let ticket = send(&mut bench);
    bench.nic.stop();
    assert!(bench.nic.tx_done(ticket) && bench.nic.tx_idle());
    assert!(bench.device.with(|state| state.active.is_none()));
}
