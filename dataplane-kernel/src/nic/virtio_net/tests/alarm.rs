//! The interrupt of a queue whose core sleeps.

use super::super::fake_device::FakeDevice;
use super::queues;
use super::{Bench, CTRL_VQ, EVENT_IDX, MQ};
use crate::arch::syscall_entry::testing::CORE;
use crate::hw::pci::msix::testing::message;
use crate::nic::{Alarm, Health, Nic};

const FRAME: [u8; 60] = [1; 60];

/// A driver that has an interrupt, whose receive queue is full.
fn bench(features: &[u32]) -> Bench {
    let device = FakeDevice::offering(features);
    device.with(|state| state.vectors = 3);
    let mut bench = Bench::of(device);
    bench.post();
    bench
}

/// Both ways to suppress interrupts.
fn benches() -> [(Bench, bool); 2] {
    [(bench(&[]), false), (bench(&[EVENT_IDX]), true)]
}

/// A frame arrives; whether the device interrupts.
fn arrives(bench: &Bench, by_event: bool) -> bool {
    bench.device.rx(|queue| {
        let before = queue.used_index();
        assert!(queue.receive(0, &FRAME));
        queue.interrupts(before, by_event)
    })
}

fn take(bench: &mut Bench, count: usize) {
    let frames = bench.poll(64);
    assert_eq!(frames.len(), count);
    bench.free(frames);
    bench.post();
}

#[test]
fn a_frame_that_comes_after_the_alarm_is_set_interrupts() {
    for (mut bench, by_event) in benches() {
        for round in 0..70_000 {
            assert_eq!(bench.nic.arm(), Alarm::Set);
            if round % 3 == 0 {
                assert_eq!(bench.nic.arm(), Alarm::Set, "again");
            }
            assert!(arrives(&bench, by_event), "round {round}");
            bench.nic.disarm();
            assert!(!arrives(&bench, by_event), "round {round}: the core is awake");
            take(&mut bench, 2);
        }
    }
}

#[test]
fn a_frame_that_comes_before_is_found() {
    for (mut bench, by_event) in benches() {
        assert!(!arrives(&bench, by_event));
        assert_eq!(bench.nic.arm(), Alarm::TooLate);
        take(&mut bench, 1);
        assert_eq!(bench.nic.arm(), Alarm::Set);
    }
}

#[test]
fn a_frame_that_comes_while_the_alarm_is_being_set_is_found_or_interrupts() {
    // The device writes its index, then reads whether it is to interrupt; the driver the other way round.
    for (mut bench, by_event) in benches() {
        let mut before = bench.device.rx(|queue| queue.used_index());
        let asked = |bench: &Bench, before| bench.device.rx(|queue| queue.interrupts(before, by_event));
        for _ in 0..70_000 {
            // Both steps of the driver's come between the device's two.
            bench.device.rx(|queue| assert!(queue.receive(0, &FRAME)));
            let alarm = bench.nic.arm();
            assert!(alarm == Alarm::TooLate || asked(&bench, before));
            take(&mut bench, 1);
            before = before.wrapping_add(1);
            // Both steps of the device's come between the driver's two, or after them.
            bench.nic.rx.ring.arm();
            bench.device.rx(|queue| assert!(queue.receive(0, &FRAME)));
            let interrupts = asked(&bench, before);
            assert!(interrupts && !bench.nic.rx.ring.arm());
            take(&mut bench, 1);
            before = before.wrapping_add(1);
            bench.nic.disarm();
        }
    }
}

#[test]
fn after_frames_were_taken_the_alarm_has_to_be_set_anew() {
    for (mut bench, by_event) in benches() {
        assert_eq!(bench.nic.arm(), Alarm::Set);
        assert!(arrives(&bench, by_event));
        take(&mut bench, 1);
        assert_eq!(bench.nic.arm(), Alarm::Set);
        assert!(arrives(&bench, by_event));
        assert_eq!(bench.nic.arm(), Alarm::TooLate);
    }
}

#[test]
fn of_more_than_a_batch_the_rest_keeps_the_core_awake() {
    for (mut bench, by_event) in benches() {
        (0..5).for_each(|_| _ = arrives(&bench, by_event));
        let batch = bench.poll(3);
        bench.free(batch);
        assert_eq!(bench.nic.arm(), Alarm::TooLate);
        take(&mut bench, 2);
        assert_eq!(bench.nic.arm(), Alarm::Set);
    }
}

#[test]
fn the_interrupt_follows_the_core_to_other_processors() {
    let mut bench = bench(&[EVENT_IDX]);
    let aim = |bench: &Bench| {
        bench
            .device
            .with(|state| message(state.table.as_ref().unwrap(), 0))
    };
    assert_eq!(aim(&bench), None, "masked before anybody sleeps");
    for core in [0, 3, 1, 0] {
        CORE.set(core);
        assert_eq!(bench.nic.arm(), Alarm::Set);
        assert_eq!(aim(&bench), Some((0xfee0_0000 | (core as u64) << 12, 0x41)));
        bench.nic.disarm();
    }
    CORE.set(300);
    assert_eq!(bench.nic.arm(), Alarm::Unavailable, "no message reaches it");
}

#[test]
fn each_receive_queue_has_its_own_interrupt_and_no_other_queue_has_one() {
    let device = FakeDevice::offering(&[CTRL_VQ, MQ]);
    device.with(|state| state.vectors = 3);
    let (mut pairs, mut pool) = queues::pairs_of(&device, 4);
    let vectors = device.with(|state| state.queue_vectors.clone());
    assert_eq!(vectors, [(0, 0), (2, 1), (4, 2)].into());
    for (core, pair) in pairs.iter_mut().enumerate() {
        pair.refill(&mut pool);
        CORE.set(core);
        let expected = if core < 3 { Alarm::Set } else { Alarm::Unavailable };
        assert_eq!(pair.arm(), expected, "there were three");
    }
    for number in 0..3 {
        let sends = device.with(|state| message(state.table.as_ref().unwrap(), number));
        assert_eq!(sends, Some((0xfee0_0000 | u64::from(number) << 12, 0x41)));
    }
}

#[test]
fn a_device_without_interrupts_or_room_for_them_wakes_nobody() {
    let mut without = Bench::receiving(&[]);
    assert_eq!(without.nic.arm(), Alarm::Unavailable);
    let device = FakeDevice::offering(&[]);
    device.with(|state| (state.vectors, state.refuse_vectors) = (3, true));
    let mut refused = Bench::of(device);
    refused.post();
    assert_eq!(refused.nic.arm(), Alarm::Unavailable);
    assert_eq!(refused.device.rx(|queue| queue.available_flags()), 1);
}

#[test]
fn a_queue_that_the_pool_has_no_buffers_for_is_looked_at() {
    let mut bench = bench(&[]);
    let mut held = std::vec::Vec::new();
    while let Some(buf) = bench.pool.alloc() {
        held.push(buf);
    }
    assert!(arrives(&bench, false) || !held.is_empty());
    let frames = bench.poll(8);
    bench.nic.refill(&mut bench.pool);
    assert_eq!(bench.nic.arm(), Alarm::Unavailable);
    bench.free(frames);
    bench.post();
    assert_eq!(bench.nic.arm(), Alarm::Set);
}

#[test]
fn a_device_that_is_reset_meanwhile_interrupts_again_when_it_is_back() {
    for (mut bench, by_event) in benches() {
        assert_eq!(bench.nic.arm(), Alarm::Set);
        bench.device.with(|state| state.status = 0);
        bench.device.with(|state| state.queue_vectors.clear());
        assert_eq!(bench.nic.check(), Health::LinkUp);
        assert_eq!(bench.device.with(|state| state.queue_vectors[&0]), 0);
        bench.post();
        assert!(!arrives(&bench, by_event), "nobody sleeps");
        take(&mut bench, 1);
        assert_eq!(bench.nic.arm(), Alarm::Set);
        assert!(arrives(&bench, by_event));
    }
}

#[test]
fn a_pair_whose_device_is_down_has_no_alarm() {
    let device = FakeDevice::offering(&[CTRL_VQ, MQ]);
    device.with(|state| state.vectors = 4);
    let (mut pairs, mut pool) = queues::pairs_of(&device, 2);
    pairs.iter_mut().for_each(|pair| pair.refill(&mut pool));
    device.with(|state| state.status = 0);
    assert_eq!(pairs[0].check(), Health::LinkDown);
    assert_eq!(pairs[1].arm(), Alarm::Unavailable, "before it has followed");
    assert_eq!(pairs[0].arm(), Alarm::Unavailable, "after it has");
    pairs[1].poll_rx(8, &mut |frame| panic!("{frame:?}"));
    assert_eq!(pairs[0].check(), Health::LinkUp);
    assert_eq!(pairs[0].arm(), Alarm::Set);
}
