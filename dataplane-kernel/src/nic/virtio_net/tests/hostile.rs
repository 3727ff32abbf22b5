//! A device that lies: everything it writes is counted, nothing it writes leads outside, and what it says that is right
//! is still understood.

use super::{Bench, EVENT_IDX, MRG_RXBUF};
use crate::hw::dma::testing::device_write;
use crate::nic::Nic;
use netstack::TxOffload;
use proptest::prelude::*;

#[test]
fn buffers_it_does_not_have_are_skipped() {
    let mut bench = Bench::receiving(&[]);
    let head = bench.device.rx(|queue| queue.take()).unwrap().head;
    bench.device.rx(|queue| {
        for id in [32, 33, 0xffff, 0x1_0000 + u32::from(head), u32::MAX] {
            queue.give_back(id, 72);
        }
        queue.give_back(head.into(), 72);
        queue.give_back(head.into(), 72);
    });
    assert_eq!(bench.poll(64).len(), 1);
    assert_eq!(bench.counter("nic.rx_bad_descriptor"), 6);
}

#[test]
fn lengths_no_frame_can_have_give_the_buffer_back() {
    let mut bench = Bench::receiving(&[]);
    for len in [0, 1, 11, 12, 25, 2049, 0x1_0000 + 100, u32::MAX] {
        bench.device.rx(|queue| {
            let head = queue.take().unwrap().head;
            queue.give_back(head.into(), len);
        });
    }
    assert!(bench.poll(64).is_empty());
    assert_eq!(bench.counter("nic.rx_bad_length"), 8);
    bench.post();
    assert_eq!(bench.device.rx(|queue| queue.pending()), 32, "none was lost");
    for len in [26, 2048] {
        bench.device.rx(|queue| {
            let head = queue.take().unwrap().head;
            queue.give_back(head.into(), len);
        });
        assert_eq!(u32::from(bench.poll(1)[0].len), len - 12);
    }
}

#[test]
fn an_impossible_used_index_is_not_followed() {
    for features in [&[][..], &[EVENT_IDX]] {
        let mut bench = Bench::receiving(features);
        for lie in [33, 1000, 0xffff] {
            bench.device.rx(|queue| queue.set_used_index(lie));
            assert!(bench.poll(64).is_empty());
        }
        assert_eq!(bench.counter("nic.bad_used_index"), 3);
        assert!(bench.device.rx(|queue| queue.receive(0, &[7; 60])));
        assert_eq!(bench.poll(64).len(), 1, "the truth is still believed");
    }
}

#[test]
fn frames_it_does_not_have_are_skipped() {
    let mut bench = Bench::new(&[]);
    bench.nic.begin_tx().unwrap();
    let first = bench.nic.commit_tx(60, &[], TxOffload::Complete);
    bench.nic.kick();
    bench.device.tx(|queue| {
        for id in [1, 31, 32, u32::MAX] {
            queue.give_back(id, 0);
        }
    });
    bench.nic.reclaim_tx();
    assert!(!bench.nic.tx_done(first));
    bench.device.tx(|queue| {
        queue.give_back(0, u32::MAX);
        queue.give_back(0, 0);
    });
    bench.nic.reclaim_tx();
    assert!(bench.nic.tx_done(first));
    assert_eq!(bench.counter("nic.tx_bad_descriptor"), 5);
    bench.device.tx(|queue| queue.set_used_index(999));
    bench.nic.reclaim_tx();
    assert_eq!(bench.counter("nic.bad_used_index"), 1);
}

#[test]
fn frames_of_more_buffers_than_any_or_of_empty_ones_give_them_back() {
    for (count, second) in [(u16::MAX, 100), (35, 100), (3, 0), (3, 2049), (3, u32::MAX)] {
        let mut bench = Bench::receiving(&[MRG_RXBUF]);
        let mut left = u32::from(count);
        bench.device.rx(|queue| {
            let chain = queue.take().unwrap();
            device_write(chain.parts[0].0 + 10, &count.to_le_bytes());
            queue.give_back(chain.head.into(), 2048);
        });
        left -= 1;
        while left > 0 {
            let head = bench.device.rx(|queue| queue.take()).unwrap().head;
            bench.device.rx(|queue| queue.give_back(head.into(), second));
            left -= 1;
            assert!(bench.poll(64).is_empty());
            bench.post();
        }
        assert_eq!(bench.counter("nic.rx_bad_length"), 1, "{count}, {second}");
        assert_eq!(bench.device.rx(|queue| queue.pending()), 32, "none was lost");
        assert_eq!(bench.pool.available(), 32);
        assert!(bench.device.rx(|queue| queue.receive(0, &[7; 60])));
        assert_eq!(bench.poll(64).len(), 1, "what comes next is a frame");
    }
}

#[test]
fn a_frame_of_no_buffers_is_one_of_one() {
    let mut bench = Bench::receiving(&[MRG_RXBUF]);
    bench.device.rx(|queue| {
        let chain = queue.take().unwrap();
        device_write(chain.parts[0].0 + 10, &[0, 0]);
        queue.give_back(chain.head.into(), 72);
    });
    assert_eq!(bench.poll(64).len(), 1);
}

/// One thing a device may do.
#[derive(Clone, Debug)]
enum Move {
    RxUsed { id: u32, len: u32, count: u16 },
    RxIndex(u16),
    TxUsed { id: u32 },
    TxIndex(u16),
    Event(u16),
    Behave,
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        (0..40_u32, 0..2100_u32, 0..5_u16).prop_map(|(id, len, count)| Move::RxUsed { id, len, count }),
        any::<u16>().prop_map(Move::RxIndex),
        (0..40_u32).prop_map(|id| Move::TxUsed { id }),
        any::<u16>().prop_map(Move::TxIndex),
        any::<u16>().prop_map(Move::Event),
        Just(Move::Behave),
        Just(Move::Behave),
    ]
}

proptest! {
    /// Whatever the device does: no panic, no buffer twice, none lost.
    #[test]
    fn no_buffer_is_ever_owned_twice(moves in proptest::collection::vec(a_move(), 1..200)) {
        let mut bench = Bench::receiving(&[EVENT_IDX, MRG_RXBUF]);
        let mut held = std::vec::Vec::new();
        for one in moves {
            match one {
                Move::RxUsed { id, len, count } => bench.device.rx(|queue| {
                    if let Some(chain) = queue.take() {
                        device_write(chain.parts[0].0 + 10, &count.to_le_bytes());
                    }
                    queue.give_back(id, len);
                }),
                Move::RxIndex(index) => bench.device.rx(|queue| queue.set_used_index(index)),
                Move::TxUsed { id } => bench.device.tx(|queue| queue.give_back(id, 0)),
                Move::TxIndex(index) => bench.device.tx(|queue| queue.set_used_index(index)),
                Move::Event(event) => bench.device.tx(|queue| queue.set_available_event(event)),
                Move::Behave => { bench.device.rx(|queue| queue.receive(0, &[1; 60])); }
            }
            held.extend(bench.poll(64));
            if held.len() > 16 {
                let back = core::mem::take(&mut held);
                bench.free(back);
            }
            if bench.nic.begin_tx().is_some() {
                bench.nic.commit_tx(60, &[], TxOffload::Complete);
            }
            bench.nic.reclaim_tx();
            bench.post();
            let mut indices: std::vec::Vec<_> = held.iter().map(|frame| frame.buf.0).collect();
            indices.sort_unstable();
            indices.dedup();
            prop_assert_eq!(indices.len(), held.len());
            prop_assert!(bench.nic.rx.parts.len() <= crate::nic::MAX_PARTS);
            prop_assert_eq!(bench.pool.available() as usize + held.len() + 32, 64);
        }
        prop_assert!(bench.pool.counters().any(|counter| counter == ("pool.bad_frees", 0)));
    }
}
