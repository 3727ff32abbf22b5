//! Frames in.

use super::{Bench, GUEST_CSUM, MRG_RXBUF};
use crate::nic::{Nic, Offloads};
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
    let partial = RxChecksum::Partial {
        start: 34,
        offset: 16,
    };
    for (features, flags, expected) in [
        (&[GUEST_CSUM][..], 0, RxChecksum::Unknown),
        (&[GUEST_CSUM], 1, partial),
        (&[GUEST_CSUM], 3, partial),
        (&[GUEST_CSUM], 2, RxChecksum::Good),
        (&[GUEST_CSUM], 4, RxChecksum::Unknown),
        (&[], 3, RxChecksum::Unknown),
    ] {
        let mut bench = Bench::receiving(features);
        let trusted = bench.nic.offloads().contains(Offloads::RX_CHECKSUM);
        assert_eq!(trusted, !features.is_empty());
        bench.device.rx(|queue| queue.receive(flags, &FRAME));
        assert_eq!(
            bench.poll(1)[0].checksum,
            expected,
            "flags {flags} with {features:?}"
        );
    }
}

#[test]
fn a_frame_over_several_buffers_is_passed_on_in_its_parts() {
    let mut bench = Bench::receiving(&[GUEST_CSUM, MRG_RXBUF]);
    for turn in 0..500_u32 {
        let lengths = [60, 2036, 2037, 9014, 2048 * 20 - 12];
        let frames = lengths.map(|len: u32| (0..len).map(|i| (i * 7 + turn).to_le_bytes()[0]).collect());
        for frame in &frames {
            let frame: &std::vec::Vec<u8> = frame;
            assert!(bench.device.rx(|queue| queue.receive(2, frame)));
        }
        let parts = bench.poll(64);
        let mut parts = parts.into_iter();
        for frame in &frames {
            let mut got = std::vec::Vec::new();
            let mut first = true;
            loop {
                let part = parts.next().unwrap();
                assert_eq!(part.offset, if first { 12 } else { 0 });
                assert!(!first || part.checksum == RxChecksum::Good);
                got.extend(bench.data(&part));
                let continues = part.continues;
                bench.free(std::vec![part]);
                first = false;
                if !continues {
                    break;
                }
            }
            assert!(got == *frame, "{} of {} bytes", got.len(), frame.len());
        }
        assert!(parts.next().is_none());
        bench.post();
    }
    assert_eq!(bench.counter("nic.rx_frames"), 2500);
    assert_eq!(bench.pool.available(), 32);
}

#[test]
fn a_frame_is_passed_on_when_all_of_it_is_there() {
    let mut bench = Bench::receiving(&[MRG_RXBUF]);
    bench.device.rx(|queue| {
        let chains: std::vec::Vec<_> = core::iter::from_fn(|| queue.take()).take(3).collect();
        crate::hw::dma::testing::device_write(chains[0].parts[0].0 + 10, &[3, 0]);
        for chain in &chains[..2] {
            queue.give_back(chain.head.into(), 2048);
        }
        (chains[2].head, chains.len())
    });
    assert!(bench.poll(64).is_empty());
    bench.post();
    let last = bench.device.rx(|queue| queue.used_index());
    assert_eq!(last, 2);
    bench
        .device
        .rx(|queue| queue.give_back(2_u32.wrapping_sub(0), 100));
    let parts: std::vec::Vec<_> = bench
        .poll(1)
        .into_iter()
        .map(|part| (part.offset, part.len, part.continues))
        .collect();
    assert_eq!(parts, [(12, 2036, true), (0, 2048, true), (0, 100, false)]);
}
