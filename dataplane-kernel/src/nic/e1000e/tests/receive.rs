//! Frames in.

use super::super::regs::Queue;
use super::{BUFFERS, Bench, JUMBO, QUEUE};
use netstack::RxChecksum;

const FRAME: [u8; 60] = [0xab; 60];

#[test]
fn frames_arrive_whole_and_in_order_over_many_turns_of_the_ring() {
    let mut bench = Bench::receiving();
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
        BUFFERS - QUEUE,
        "the others are in the queue"
    );
}

#[test]
fn the_tail_is_written_for_half_a_queue_at_a_time() {
    let mut bench = Bench::receiving();
    assert_eq!(bench.device.with(|state| state.rx_doorbells), 1);
    for count in 1..=10_000_u64 {
        assert!(bench.device.receive(&FRAME));
        let frames = bench.poll(8);
        bench.free(frames);
        bench.post();
        let doorbells = bench.device.with(|state| state.rx_doorbells);
        assert_eq!(doorbells, 1 + count / 255, "after {count} frames");
        assert_eq!(bench.counter("nic.rx_doorbells"), doorbells);
    }
}

#[test]
fn a_budget_is_kept_and_the_rest_comes_next() {
    let mut bench = Bench::receiving();
    for i in 0..20 {
        bench.device.receive(&[i; 60]);
    }
    assert_eq!(bench.poll(8).len(), 8);
    assert_eq!(bench.poll(0).len(), 0);
    let rest = bench.poll(64);
    assert_eq!(rest.len(), 12);
    assert_eq!(bench.data(&rest[0])[0], 8);
}

#[test]
fn an_empty_pool_is_counted_and_the_queue_filled_later() {
    let mut bench = Bench::receiving();
    let hoarded: std::vec::Vec<_> = core::iter::from_fn(|| bench.pool.alloc()).collect();
    while bench.device.receive(&FRAME) {}
    let frames = bench.poll(1000);
    assert_eq!(frames.len(), QUEUE as usize);
    bench.post();
    bench.post();
    assert!(!bench.device.receive(&FRAME));
    assert_eq!(bench.counter("nic.rx_no_buffer"), 1);

    // A card without buffers gets the first there is.
    let mut frames = frames.into_iter();
    bench.pool.free(frames.next().unwrap().buf);
    bench.post();
    assert!(bench.device.receive(&FRAME));
    assert_eq!(bench.poll(64).len(), 1);
    bench.free(frames.collect());
    hoarded.into_iter().for_each(|buf| bench.pool.free(buf));
    bench.post();
    assert_eq!(bench.device.with(|state| state.pending(Queue::RX)), QUEUE);
}

#[test]
fn the_checksum_is_vouched_for_if_the_card_found_it_right() {
    for (status, errors, expected) in [
        (0x03, 0x00, RxChecksum::Unknown),
        (0x23, 0x00, RxChecksum::Good),
        (0x73, 0x00, RxChecksum::Good),
        (0x23, 0x20, RxChecksum::Unknown),
        (0x27, 0x00, RxChecksum::Unknown),
    ] {
        let mut bench = Bench::receiving();
        bench.device.with(|state| state.receive(status, errors, &FRAME));
        let frames = bench.poll(1);
        assert_eq!(
            frames[0].checksum, expected,
            "status {status:#x}, errors {errors:#x}"
        );
    }
}

#[test]
fn a_long_frame_is_passed_on_in_its_parts() {
    let mut bench = Bench::wanting(&JUMBO);
    bench.post();
    for turn in 0..2000_u32 {
        let lengths = [60, 2048, 2049, 9014];
        let frames = lengths.map(|len: u32| (0..len).map(|i| (i * 7 + turn).to_le_bytes()[0]).collect());
        for frame in &frames {
            let frame: &std::vec::Vec<u8> = frame;
            let pieces = frame.chunks(2048).count();
            for (number, piece) in frame.chunks(2048).enumerate() {
                let status = if number + 1 < pieces { 0x01 } else { 0x23 };
                bench.device.with(|state| state.receive(status, 0, piece));
            }
        }
        let mut parts = bench.poll(64).into_iter();
        for frame in &frames {
            let mut got = std::vec::Vec::new();
            loop {
                let part = parts.next().unwrap();
                assert!(!got.is_empty() || part.checksum == RxChecksum::Good);
                got.extend(bench.data(&part));
                let continues = part.continues;
                bench.free(std::vec![part]);
                if !continues {
                    break;
                }
            }
            assert!(got == *frame, "{} of {} bytes", got.len(), frame.len());
        }
        assert!(parts.next().is_none());
        bench.post();
    }
    assert_eq!(bench.counter("nic.rx_frames"), 8000);
    assert_eq!(bench.pool.available(), BUFFERS - QUEUE);
}
