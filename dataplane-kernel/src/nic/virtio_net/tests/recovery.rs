//! A device that fails, and comes back or does not.

use super::super::fake_device::FakeDevice;
use super::super::init;
use super::super::regs::status;
use super::queues::pairs;
use super::{Bench, CTRL_VQ, EVENT_IDX, GUEST_CSUM, GUEST_TSO, MQ, MRG_RXBUF, RSS};
use crate::nic::{Health, Nic, Offloads};
use netstack::{TxOffload, TxTicket};
use std::vec::Vec;

/// What happens to a device.
type Cause<'a> = &'a dyn Fn(&mut Bench);

fn send(bench: &mut Bench) -> TxTicket {
    bench.nic.begin_tx().unwrap()[..60].fill(7);
    let ticket = bench.nic.commit_tx(60, &[], TxOffload::Complete);
    bench.nic.kick();
    ticket
}

/// Both ways it works, and all buffers but those lent to the device are in the pool.
fn assert_works(bench: &mut Bench, number: u8) {
    bench.post();
    let frame = [number; 90];
    assert!(bench.device.rx(|queue| queue.receive(0, &frame)));
    let frames = bench.poll(8);
    assert_eq!(frames.len(), 1);
    assert_eq!(bench.data(&frames[0]), frame);
    bench.free(frames);
    let ticket = send(bench);
    let sent = bench.device.tx(|queue| {
        let sent = queue.take().unwrap();
        queue.give_back(sent.head.into(), 0);
        sent
    });
    assert_eq!(sent.bytes()[12..], [7; 60]);
    bench.nic.reclaim_tx();
    assert!(bench.nic.tx_done(ticket) && bench.nic.tx_idle());
    bench.post();
    let lent: u32 = bench.device.rx(|queue| queue.pending()).into();
    assert_eq!((lent, bench.pool.available()), (32, 32));
}

#[test]
fn segments_are_not_merged_any_more_once_that_is_asked_for_and_frames_go_on() {
    let [tso4, tso6] = GUEST_TSO;
    let mut bench = Bench::receiving(&[GUEST_CSUM, MRG_RXBUF, tso4, tso6]);
    assert!(bench.nic.offloads().contains(Offloads::LRO));
    assert_works(&mut bench, 1);
    let ticket = send(&mut bench);
    assert!(bench.nic.stop_merging());
    assert!(bench.nic.tx_done(ticket), "nobody waits for a frame that is lost");
    assert!(!bench.nic.offloads().contains(Offloads::LRO));
    let merging = 1 << tso4 | 1 << tso6;
    bench.device.with(|device| {
        assert_eq!(device.accepted & merging, 0);
        assert_ne!(device.accepted & 1 << MRG_RXBUF, 0);
    });
    assert_works(&mut bench, 2);
    assert!(bench.nic.stop_merging());
    assert_eq!(bench.counter("nic.resets"), 1, "once");
    let bench = &mut Bench::receiving(&[]);
    assert!(bench.nic.stop_merging() && bench.counter("nic.resets") == 0);
}

#[test]
fn after_a_reset_frames_go_on_and_no_buffer_is_missing() {
    let hang = |bench: &mut Bench| {
        (0..3).for_each(|_| assert_eq!(bench.nic.check(), Health::LinkUp));
    };
    let state = |state: u8| move |bench: &mut Bench| bench.device.with(|device| device.status = state);
    let needs_reset = state(init::WORKING | status::NEEDS_RESET);
    let (lost, mut number) = (state(0), 0);
    let causes: [(Cause<'_>, &str); 3] = [
        (&needs_reset, "nic.needs_reset"),
        (&lost, "nic.lost"),
        (&hang, "nic.tx_stalls"),
    ];
    for features in [&[][..], &[EVENT_IDX], &[MRG_RXBUF, EVENT_IDX]] {
        for (cause, counter) in causes {
            let mut bench = Bench::receiving(features);
            assert_works(&mut bench, number);
            let lost = send(&mut bench);
            // One frame that nobody has taken yet, and half of one.
            bench.device.rx(|queue| queue.receive(0, &[number; 70]));
            bench.device.rx(|queue| {
                let half = queue.take().unwrap();
                crate::hw::dma::testing::device_write(half.parts[0].0 + 10, &[2, 0]);
                queue.give_back(half.head.into(), 2048);
            });
            let taken = bench.poll(8);
            bench.free(taken);
            cause(&mut bench);
            assert_eq!(bench.nic.check(), Health::LinkUp, "at once, with one pair");
            assert!(bench.counter(counter) > 0);
            assert_eq!(bench.counter("nic.resets"), 1, "{counter}");
            bench.nic.reclaim_tx();
            assert!(bench.nic.tx_done(lost), "nobody waits for a frame that is lost");
            number += 1;
            assert_works(&mut bench, number);
            assert_eq!(bench.nic.check(), Health::LinkUp);
            assert_eq!(bench.counter("nic.resets"), 1);
        }
    }
}

#[test]
fn a_device_that_does_not_come_back_is_left_alone_and_keeps_nobody_waiting() {
    let stuck: fn(&FakeDevice) = |device| device.with(|state| (state.status, state.stuck) = (0x40, true));
    let refuses: fn(&FakeDevice) =
        |device| device.with(|state| (state.status, state.refuse_features) = (0, true));
    let gone: fn(&FakeDevice) = |device| device.with(|state| (state.status, state.stuck) = (0xff, true));
    for (cause, words) in [(stuck, "stuck"), (refuses, "refuses"), (gone, "gone")] {
        let mut bench = Bench::receiving(&[]);
        let before = send(&mut bench);
        cause(&bench.device);
        assert_eq!(bench.nic.check(), Health::Failed, "{words}");
        assert_eq!(bench.nic.check(), Health::Failed);
        for _ in 0..200 {
            let ticket = send(&mut bench);
            assert!(bench.nic.tx_done(ticket) && bench.nic.tx_done(before), "{words}");
        }
        bench.post();
        assert!(bench.poll(8).is_empty() && !bench.nic.link_up());
    }
}

#[test]
fn a_device_of_several_pairs_comes_back_when_each_core_has_put_its_queues_back() {
    let (mut pairs, device, mut pool) = pairs(&[CTRL_VQ, MQ, RSS], 3);
    assert!(pairs[0].set_table(&[9; 40], &[1; 128]));
    for pair in &mut pairs {
        pair.refill(&mut pool);
        pair.begin_tx().unwrap();
        pair.commit_tx(60, &[], TxOffload::Complete);
        pair.kick();
    }
    device.with(|state| {
        state.status = 0;
        state.commands.clear();
    });
    assert_eq!(pairs[0].check(), Health::LinkDown, "two have not parked");
    assert!(
        device.with(|state| state.queues.is_empty()),
        "it touches no memory"
    );
    for pair in &mut pairs[1..] {
        pair.poll_rx(8, &mut |frame| panic!("{frame:?}"));
        assert!(pair.tx_idle());
        pair.kick();
    }
    assert_eq!(pairs[0].check(), Health::LinkUp);
    let told: Vec<_> = device.with(|state| {
        state
            .commands
            .iter()
            .map(|command| command[..2].to_vec())
            .collect()
    });
    assert_eq!(told, [[4, 1]], "the table, again");
    for (number, pair) in (0..).zip(&mut pairs) {
        pair.poll_rx(8, &mut |frame| panic!("{frame:?}"));
        pair.kick();
        assert_eq!(pair.check(), Health::LinkUp);
        assert_eq!(device.queue(2 * number, |queue| queue.pending()), 32);
    }
}
