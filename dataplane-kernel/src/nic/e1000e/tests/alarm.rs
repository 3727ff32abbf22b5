//! The interrupt of a queue whose core sleeps.

use super::super::fake_device::FakeDevice;
use super::super::regs::{Queue, Register};
use super::super::{E1000e, Model};
use super::queues::pairs_of;
use crate::arch::syscall_entry::testing::CORE;
use crate::hw::pci::msix::testing::message;
use crate::mem::mbuf::Pool;
use crate::nic::{Alarm, Health, Nic, Offloads};
use std::vec::Vec;

const FRAME: [u8; 60] = [1; 60];

/// Two pairs whose receive queues are full, of a card with so many interrupts.
fn pairs(vectors: u16) -> (Vec<E1000e<FakeDevice>>, FakeDevice, Pool) {
    let device = FakeDevice::default();
    device.with(|state| state.vectors = vectors);
    let (mut pairs, mut pool) = pairs_of(&device, Model::I82574l, Offloads::all());
    for pair in &mut pairs {
        pair.refill(&mut pool);
        pair.kick();
    }
    (pairs, device, pool)
}

/// A frame arrives at this queue; gives the messages that the card sends.
fn arrives(device: &FakeDevice, queue: u16) -> Vec<u16> {
    device.with(|state| {
        assert!(state.receive_at(Queue::RX.number(queue), 0, 0x23, 0, &FRAME));
        core::mem::take(&mut state.messages)
    })
}

fn take(pair: &mut E1000e<FakeDevice>, pool: &mut Pool, count: usize) {
    let mut frames = Vec::new();
    pair.poll_rx(64, &mut |frame| frames.push(frame));
    assert_eq!(frames.len(), count);
    frames.into_iter().for_each(|frame| pool.free(frame.buf));
    pair.refill(pool);
    pair.kick();
}

#[test]
fn a_frame_that_comes_after_the_alarm_is_set_interrupts_by_its_queues_vector() {
    let (mut pairs, device, mut pool) = pairs(5);
    for round in 0..2000 {
        for (number, pair) in (0..).zip(&mut pairs) {
            assert!(arrives(&device, number).is_empty(), "the core is awake");
            take(pair, &mut pool, 1);
            assert_eq!(pair.arm(), Alarm::Set);
            if round % 3 == 0 {
                assert_eq!(pair.arm(), Alarm::Set, "again");
            }
            assert_eq!(arrives(&device, number), [number]);
            assert!(arrives(&device, number).is_empty(), "once");
            pair.disarm();
            take(pair, &mut pool, 2);
        }
    }
}

#[test]
fn a_frame_that_comes_before_is_found_and_does_not_interrupt_later() {
    let (mut pairs, device, mut pool) = pairs(5);
    arrives(&device, 0);
    assert_eq!(pairs[0].arm(), Alarm::TooLate);
    take(&mut pairs[0], &mut pool, 1);
    assert_eq!(pairs[0].arm(), Alarm::Set);
    assert!(device.with(|state| state.messages.is_empty()));
    assert_eq!(arrives(&device, 0), [0]);
}

#[test]
fn after_an_interrupt_the_alarm_has_to_be_set_anew() {
    let (mut pairs, device, mut pool) = pairs(5);
    assert_eq!(pairs[1].arm(), Alarm::Set);
    assert_eq!(arrives(&device, 1), [1]);
    assert_eq!(pairs[1].arm(), Alarm::TooLate);
    take(&mut pairs[1], &mut pool, 1);
    assert_eq!(pairs[1].arm(), Alarm::Set);
    assert_eq!(arrives(&device, 1), [1]);
}

#[test]
fn a_frame_that_comes_between_the_clearing_of_its_cause_and_the_look_is_found_or_interrupts() {
    // The card writes the descriptor, then raises the cause. Whatever of the two the driver comes between, it sees the frame.
    let (mut pairs, device, _) = pairs(5);
    device.with(|state| {
        assert!(state.receive_at(Queue::RX, 0, 0x23, 0, &FRAME));
        state.set(Register::ICR, 0);
    });
    assert_eq!(pairs[0].arm(), Alarm::TooLate, "written, and not raised yet");
}

#[test]
fn the_interrupt_follows_the_core_to_other_processors() {
    let (mut pairs, device, _) = pairs(5);
    let aim = |number| device.with(|state| message(state.table.as_ref().unwrap(), number));
    assert_eq!(aim(0), None, "masked before anybody sleeps");
    for core in [2, 0, 5] {
        CORE.set(core);
        assert_eq!(pairs[0].arm(), Alarm::Set);
        assert_eq!(aim(0), Some((0xfee0_0000 | (core as u64) << 12, 0x41)));
        assert_eq!(aim(1), None);
        pairs[0].disarm();
    }
}

#[test]
fn a_card_without_interrupts_wakes_nobody_and_is_told_of_none() {
    let (mut none, device, _) = pairs(0);
    assert_eq!(none[0].arm(), Alarm::Unavailable);
    none[0].disarm();
    for register in [Register::IVAR, Register::EIAC, Register::IMS, Register::CTRL_EXT] {
        assert_eq!(device.register(register), 0);
    }
    let (mut one, device, _) = pairs(1);
    assert_eq!((one[0].arm(), one[1].arm()), (Alarm::Set, Alarm::Unavailable));
    assert_eq!(device.register(Register::IVAR), 8);
}

#[test]
fn a_queue_that_the_pool_has_no_buffers_for_is_looked_at() {
    let (mut pairs, device, mut pool) = pairs(5);
    let held: Vec<_> = core::iter::from_fn(|| pool.alloc()).collect();
    arrives(&device, 0);
    pairs[0].poll_rx(8, &mut |_| ());
    pairs[0].refill(&mut pool);
    assert_eq!(pairs[0].arm(), Alarm::Unavailable);
    held.into_iter().for_each(|buf| pool.free(buf));
    pairs[0].refill(&mut pool);
    assert_eq!(pairs[0].arm(), Alarm::Set);
}

#[test]
fn a_card_that_is_reset_meanwhile_interrupts_again_when_it_is_back() {
    let (mut pairs, device, mut pool) = pairs(5);
    assert_eq!((pairs[0].arm(), pairs[1].arm()), (Alarm::Set, Alarm::Set));
    device.set(Register::RCTL, 0);
    assert_eq!(pairs[0].check(), Health::LinkDown, "the other has not parked");
    assert_eq!(
        (pairs[0].arm(), pairs[1].arm()),
        (Alarm::Unavailable, Alarm::Unavailable)
    );
    pairs[1].poll_rx(8, &mut |frame| panic!("{frame:?}"));
    assert_eq!(pairs[0].check(), Health::LinkUp);
    for (number, pair) in (0..).zip(&mut pairs) {
        take(pair, &mut pool, 0);
        assert!(arrives(&device, number).is_empty(), "nobody sleeps");
        take(pair, &mut pool, 1);
        assert_eq!(pair.arm(), Alarm::Set);
        assert_eq!(arrives(&device, number), [number]);
    }
}
