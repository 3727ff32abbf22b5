//! A card that fails, and comes back or does not.

use super::super::Model;
use super::super::regs::{Queue, Register, rctl};
use super::queues::pairs;
use super::{BUFFERS, Bench, QUEUE};
use crate::nic::{Health, Nic, Offloads};
use netstack::TxTicket;

/// What happens to a card.
type Cause<'a> = &'a dyn Fn(&mut Bench);

fn send(bench: &mut Bench) -> TxTicket {
    bench.nic.begin_tx().unwrap()[..60].fill(7);
    let ticket = bench.nic.commit_tx(60, &[], Default::default());
    bench.nic.kick();
    ticket
}

/// Both ways it works, and all buffers but those lent to the card are in the pool.
fn assert_works(bench: &mut Bench, number: u8) {
    bench.post();
    let frame = [number; 90];
    assert!(bench.device.receive(&frame));
    let frames = bench.poll(8);
    assert_eq!(frames.len(), 1);
    assert_eq!(bench.data(&frames[0]), frame);
    bench.free(frames);
    let ticket = send(bench);
    assert_eq!(bench.device.send().unwrap().bytes, [7; 60]);
    bench.nic.reclaim_tx();
    assert!(bench.nic.tx_done(ticket) && bench.nic.tx_idle());
    bench.post();
    assert_eq!(bench.pool.available(), BUFFERS - QUEUE);
}

#[test]
fn after_a_reset_frames_go_on_and_no_buffer_is_missing() {
    let lost = |bench: &mut Bench| bench.device.set(Register::RCTL, 0);
    let hang = |bench: &mut Bench| (0..3).for_each(|_| assert_eq!(bench.nic.check(), Health::LinkUp));
    let causes: [(Cause<'_>, u64); 2] = [(&lost, 1), (&hang, 0)];
    for (cause, lost) in causes {
        let mut bench = Bench::receiving();
        assert_works(&mut bench, 1);
        let ticket = send(&mut bench);
        // One frame that nobody has taken yet, and half of one.
        bench.device.receive(&[2; 70]);
        bench.device.with(|state| state.report(2048, 0x01, 0));
        let taken = bench.poll(8);
        bench.free(taken);
        cause(&mut bench);
        assert_eq!(bench.nic.check(), Health::LinkUp, "at once, with one pair");
        assert_eq!(
            (bench.counter("nic.lost"), bench.counter("nic.resets")),
            (lost, 1)
        );
        assert!(bench.nic.tx_done(ticket), "nobody waits for a frame that is lost");
        (3..40).for_each(|number| assert_works(&mut bench, number));
        assert_eq!(bench.nic.check(), Health::LinkUp);
        assert_eq!(bench.counter("nic.resets"), 1);
    }
}

#[test]
fn frames_for_all_stations_are_heard_after_a_reset_too() {
    let mut bench = Bench::receiving();
    assert!(bench.nic.hear_all_stations());
    for _ in 0..2 {
        assert_ne!(bench.device.register(Register::RCTL) & rctl::UPE, 0);
        assert_works(&mut bench, 1);
        bench.device.set(Register::RCTL, 0);
        assert_eq!(bench.nic.check(), Health::LinkUp);
    }
}

#[test]
fn a_queue_that_stands_still_while_the_link_is_down_is_no_reason_for_a_reset() {
    let mut bench = Bench::receiving();
    send(&mut bench);
    bench.device.set(Register::STATUS, 0x8_0081);
    (0..6).for_each(|_| assert_eq!(bench.nic.check(), Health::LinkDown));
    assert_eq!(bench.counter("nic.resets"), 0);
}

#[test]
fn a_card_that_does_not_come_back_is_left_alone_and_keeps_nobody_waiting() {
    for gone in [true, false] {
        let mut bench = Bench::receiving();
        let before = send(&mut bench);
        bench.device.with(|state| {
            (state.gone, state.stuck) = (gone, true);
            state.set(Register::RCTL, 0);
        });
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
fn a_card_of_two_pairs_comes_back_when_both_cores_have_put_their_queues_back() {
    let (mut pairs, device, mut pool) = pairs(Model::I82574l, Offloads::all());
    assert!(pairs[0].set_table(&[9; 40], &[1; 128]));
    for pair in &mut pairs {
        pair.refill(&mut pool);
        pair.begin_tx().unwrap();
        pair.commit_tx(60, &[], Default::default());
        pair.kick();
    }
    device.set(Register::RCTL, 0);
    device.set(Register::table(0), 0);
    assert_eq!(pairs[0].check(), Health::LinkDown, "the other has not parked");
    assert_eq!(device.register(Register::RCTL), 0, "it touches no memory");
    pairs[1].poll_rx(8, &mut |frame| panic!("{frame:?}"));
    assert!(pairs[1].tx_idle());
    assert_eq!(pairs[0].check(), Health::LinkUp);
    assert_ne!(device.register(Register::RCTL) & rctl::EN, 0);
    assert_eq!(
        device.register(Register::table(0)),
        0x8080_8080,
        "the table, again"
    );
    for (number, pair) in (0..).zip(&mut pairs) {
        pair.poll_rx(8, &mut |frame| panic!("{frame:?}"));
        pair.kick();
        assert_eq!(pair.check(), Health::LinkUp);
        assert_eq!(
            device.with(|state| state.pending(Queue::RX.number(number))),
            QUEUE
        );
    }
}
