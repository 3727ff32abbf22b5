//! Frames in.

use super::super::fake_device::GOOD;
use super::super::regs::Producer;
use super::{BODIES, BUFFERS, Bench, HEADS, JUMBO, ORDINARY};
use crate::nic::{Offloads, Wanted};
use netstack::RxChecksum;
use std::vec::Vec;

const FRAME: [u8; 60] = [0xab; 60];

#[test]
fn frames_arrive_whole_and_in_order_over_many_turns_of_the_rings() {
    let mut bench = Bench::receiving(&ORDINARY);
    let mut expected = 0;
    for turn in 0..5000_u32 {
        let burst = 1 + turn % 32;
        for i in 0..burst {
            let mut frame = std::vec![0; 60 + (i as usize * 43) % 1454];
            frame[..4].copy_from_slice(&(expected + i).to_le_bytes());
            assert!(bench.device.receive(&frame));
        }
        let frames = bench.poll(64);
        assert_eq!(frames.len(), burst as usize);
        for (i, frame) in (0..).zip(&frames) {
            assert_eq!(bench.data(frame)[..4], (expected + i).to_le_bytes());
            assert_eq!(usize::from(frame.len), 60 + (i as usize * 43) % 1454);
        }
        expected += burst;
        bench.free(frames);
        bench.post();
    }
    assert_eq!(bench.counter("nic.rx_frames"), u64::from(expected));
    assert_eq!(
        bench.pool.available(),
        BUFFERS - HEADS,
        "the others are in the ring"
    );
}

#[test]
fn long_frames_come_in_parts_from_both_rings_among_short_ones() {
    let mut bench = Bench::receiving(&JUMBO);
    assert_eq!(bench.device.pending(), [0, HEADS, BODIES]);
    for turn in 0..2000_usize {
        let sizes = [9014, 60, 2048, 2049, 4096 + turn % 2000];
        for (number, size) in sizes.into_iter().enumerate() {
            let byte = (turn * 5 + number).to_le_bytes()[0];
            assert!(bench.device.receive(&std::vec![byte; size]));
        }
        let mut parts = Vec::new();
        while parts
            .iter()
            .map(|part: &crate::nic::RxFrame| !part.continues as usize)
            .sum::<usize>()
            < 5
        {
            parts.extend(bench.poll(4));
        }
        let mut frames: Vec<Vec<u8>> = std::vec![Vec::new()];
        for part in &parts {
            frames.last_mut().unwrap().extend(bench.data(part));
            if !part.continues {
                frames.push(Vec::new());
            }
        }
        for (number, size) in sizes.into_iter().enumerate() {
            let byte = (turn * 5 + number).to_le_bytes()[0];
            assert_eq!(frames[number], std::vec![byte; size]);
        }
        bench.free(parts);
        bench.post();
    }
    assert_eq!(bench.pool.available(), BUFFERS - HEADS - BODIES);
}

#[test]
fn merged_segments_take_as_many_buffers_as_they_need() {
    let mut bench = Bench::receiving(&Wanted::default());
    let bytes: Vec<u8> = (0..65_549_u32).map(|i| i.to_le_bytes()[i as usize % 2]).collect();
    for _ in 0..40 {
        assert!(bench.device.receive(&bytes));
        let parts = bench.poll(8);
        assert_eq!(parts.len(), 33);
        let all: Vec<u8> = parts.iter().flat_map(|part| bench.data(part)).collect();
        assert!(all == bytes);
        assert_eq!(parts[0].checksum, RxChecksum::Good, "said of the last part");
        bench.free(parts);
        bench.post();
    }
}

#[test]
fn checksums_are_vouched_for_where_that_is_agreed_on() {
    for (offloads, said, expected) in [
        (Offloads::all(), GOOD, RxChecksum::Good),
        (Offloads::all(), 0, RxChecksum::Unknown),
        (Offloads::empty(), GOOD, RxChecksum::Unknown),
    ] {
        let mut bench = Bench::receiving(&Wanted { offloads, ..ORDINARY });
        assert!(bench.device.with(|state| state.receive(said, &FRAME)));
        assert_eq!(bench.poll(1)[0].checksum, expected);
    }
}

#[test]
fn the_device_is_told_of_buffers_only_if_it_wants_to_be() {
    let mut bench = Bench::receiving(&JUMBO);
    assert!(bench.device.doorbells().is_empty());
    bench.device.with(|state| state.want_doorbells(1));
    bench.post();
    assert!(bench.device.doorbells().is_empty(), "there is nothing new");
    assert!(bench.device.receive(&[1; 5000]));
    let parts = bench.poll(8);
    bench.free(parts);
    bench.post();
    let [heads, bodies] = Producer::RX;
    // All but one of each ring; and then one of the first and two of the second more.
    assert_eq!(bench.device.doorbells(), [(heads, 0), (bodies, 1)]);
    assert_eq!(bench.counter("nic.rx_doorbells"), 1);
}

#[test]
fn a_pool_that_is_empty_is_counted_once_and_frames_are_cut_short() {
    let mut bench = Bench::wanting(&JUMBO);
    let all: Vec<_> = std::iter::from_fn(|| bench.pool.alloc()).collect();
    let mut all = all.into_iter();
    all.by_ref().take(3).for_each(|buf| bench.pool.free(buf));
    bench.post();
    bench.post();
    assert_eq!(bench.counter("nic.rx_no_buffer"), 1);
    assert_eq!(bench.device.pending(), [0, 3, 0]);
    assert!(
        !bench.device.receive(&[1; 5000]),
        "there are no buffers to go on in"
    );
    assert!(bench.device.receive(&FRAME));
    let frames = bench.poll(8);
    assert_eq!(frames.len(), 1);
    assert_eq!(bench.data(&frames[0]), FRAME);
    assert_eq!(bench.counter("nic.rx_cut_short"), 1);
    bench.post();
    assert_eq!(bench.device.pending(), [0, 2, 0], "the buffer went back");
}
