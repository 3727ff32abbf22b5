//! Frames in.

use super::{Bench, GUEST_CSUM};
use crate::nic::Nic;
use netstack::RxChecksum;

const FRAME: [u8; 60] = [0xab; 60];

#[test]
fn frames_arrive_whole_and_in_order_over_many_turns_of_the_ring() {
    let mut bench = Bench::receiving(&[]);
    let mut expected = 0;
    for turn in 0..5000_u32 {
        let burst = 1 + turn % 32;
        for i in 0..burst {
            let mut frame = std::vec![0; 60 + (i as usize * 43) % 1454];
            frame[..4].copy_from_slice(&(expected + i).to_le_bytes());
            assert!(bench.device.rx(|queue| queue.receive(0, &frame)));
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
    assert_eq!(bench.pool.available(), 32, "the other 32 are in the queue");
}

#[test]
fn a_budget_is_kept_and_the_rest_comes_next() {
    let mut bench = Bench::receiving(&[]);
    for i in 0..20 {
        bench.device.rx(|queue| queue.receive(0, &[i; 60]));
    }
    assert_eq!(bench.poll(8).len(), 8);
    assert_eq!(bench.poll(0).len(), 0);
    let rest = bench.poll(64);
    assert_eq!(rest.len(), 12);
    assert_eq!(bench.data(&rest[0])[0], 8);
}

#[test]
fn buffers_used_out_of_order_are_the_right_ones() {
    let mut bench = Bench::receiving(&[]);
    bench.device.rx(|queue| {
        let chains: std::vec::Vec<_> = core::iter::from_fn(|| queue.take()).collect();
        assert_eq!(chains.len(), 32);
        for (i, chain) in (0..32_u8).zip(&chains).rev() {
            crate::hw::dma::testing::device_write(chain.parts[0].0 + 12, &[i; 60]);
            queue.give_back(chain.head.into(), 72);
        }
    });
    let frames = bench.poll(64);
    let order: std::vec::Vec<_> = frames.iter().map(|frame| bench.data(frame)[0]).collect();
    assert_eq!(order, (0..32).rev().collect::<std::vec::Vec<_>>());
    bench.free(frames);
    bench.post();
    assert_eq!(bench.device.rx(|queue| queue.pending()), 32);
}

#[test]
fn an_empty_pool_is_counted_and_the_queue_filled_later() {
    let mut bench = Bench::receiving(&[]);
    let hoarded: std::vec::Vec<_> = core::iter::from_fn(|| bench.pool.alloc()).collect();
    for _ in 0..32 {
        assert!(bench.device.rx(|queue| queue.receive(0, &FRAME)));
    }
    let frames = bench.poll(64);
    bench.post();
    bench.post();
    assert!(!bench.device.rx(|queue| queue.receive(0, &FRAME)));
    assert_eq!(bench.counter("nic.rx_no_buffer"), 1);

    bench.free(frames);
    hoarded.into_iter().for_each(|buf| bench.pool.free(buf));
    bench.post();
    assert_eq!(bench.device.rx(|queue| queue.pending()), 32);
    assert!(bench.device.rx(|queue| queue.receive(0, &FRAME)));
    assert_eq!(bench.poll(64).len(), 1);
}

#[test]
fn the_checksum_is_vouched_for_by_flags_that_were_agreed_on() {
    for (features, flags, expected) in [
        (&[GUEST_CSUM][..], 0, RxChecksum::Unknown),
        (&[GUEST_CSUM], 1, RxChecksum::Good),
        (&[GUEST_CSUM], 2, RxChecksum::Good),
        (&[GUEST_CSUM], 4, RxChecksum::Unknown),
        (&[], 3, RxChecksum::Unknown),
    ] {
        let mut bench = Bench::receiving(features);
        assert_eq!(bench.nic.features().rx_checksum, !features.is_empty());
        bench.device.rx(|queue| queue.receive(flags, &FRAME));
        assert_eq!(
            bench.poll(1)[0].checksum,
            expected,
            "flags {flags} with {features:?}"
        );
    }
}
