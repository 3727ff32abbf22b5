//! A card that lies: everything it writes is counted, nothing it writes leads outside, and what it says that is right
//! is still understood.

use super::super::regs::Queue;
use super::{BUFFERS, Bench, JUMBO, QUEUE};
use crate::hw::dma::testing::device_write;
use crate::nic::Nic;
use netstack::TxOffload;
use proptest::prelude::*;

#[test]
fn lengths_no_frame_can_have_give_the_buffer_back() {
    let mut bench = Bench::receiving();
    for len in [0, 1, 13, 2049, u16::MAX] {
        bench.device.with(|state| state.report(len, 3, 0));
    }
    assert!(bench.poll(64).is_empty());
    assert_eq!(bench.counter("nic.rx_bad_length"), 5);
    for len in [14, 2048] {
        bench.device.with(|state| state.report(len, 3, 0));
        assert_eq!(bench.poll(1)[0].len, len);
    }
    bench.post();
    assert_eq!(bench.pool.available() + QUEUE + 2, BUFFERS, "none was lost");
}

#[test]
fn a_frame_over_several_buffers_is_skipped_to_its_end() {
    let mut bench = Bench::receiving();
    for (len, status) in [(2048, 1), (2048, 1), (100, 3), (60, 3)] {
        bench.device.with(|state| state.report(len, status, 0));
    }
    let frames = bench.poll(64);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].len, 60);
    assert_eq!(bench.counter("nic.rx_bad_length"), 1);
}

#[test]
fn a_long_frame_that_never_ends_or_has_a_bad_part_is_skipped_to_its_end() {
    let endless = [(2048, 1); 100];
    let empty = [(2048, 1), (0, 1), (2048, 1)];
    let overfull = [(2048, 1), (2049, 1)];
    let short = [(13, 1), (2048, 1)];
    for parts in [&endless[..], &empty, &overfull, &short] {
        let mut bench = Bench::wanting(&JUMBO);
        bench.post();
        for &(len, status) in parts.iter().chain(&[(100, 3), (60, 3)]) {
            bench.device.with(|state| state.report(len, status, 0));
        }
        let frames: std::vec::Vec<_> = (0..10).flat_map(|_| bench.poll(16)).collect();
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].len, frames[0].continues), (60, false));
        assert_eq!(bench.counter("nic.rx_bad_length"), 1);
        bench.post();
        assert_eq!(bench.pool.available() + QUEUE + 1, BUFFERS, "none was lost");
    }
}

#[test]
fn a_long_frame_that_is_damaged_is_counted_once() {
    let mut bench = Bench::wanting(&JUMBO);
    bench.post();
    for (status, errors) in [(1, 0), (1, 0), (3, 1), (3, 0)] {
        bench.device.with(|state| state.report(2048, status, errors));
    }
    assert_eq!(bench.poll(64).len(), 1);
    assert_eq!(bench.counter("nic.rx_bad_frame"), 1);
}

#[test]
fn damaged_frames_are_counted_and_skipped() {
    let mut bench = Bench::receiving();
    for errors in [1, 2, 4, 0x10, 0x80] {
        bench.device.with(|state| state.receive(0x23, errors, &[7; 60]));
    }
    bench.device.receive(&[8; 60]);
    let frames = bench.poll(64);
    assert_eq!(frames.len(), 1);
    assert_eq!(bench.data(&frames[0]), [8; 60]);
    assert_eq!(bench.counter("nic.rx_bad_frame"), 5);
}

#[test]
fn descriptors_it_was_not_shown_are_not_looked_at() {
    let mut bench = Bench::new();
    let everywhere = |bench: &Bench, queue| {
        bench.device.with(|state| {
            for index in 0..state.size(queue) {
                device_write(state.place(queue, index) + 8, &[0xff; 8]);
            }
        });
    };
    everywhere(&bench, Queue::RX);
    everywhere(&bench, Queue::TX);
    assert!(bench.poll(1000).is_empty());
    bench.nic.refill(&mut bench.pool);
    everywhere(&bench, Queue::RX);
    assert!(bench.poll(1000).is_empty());
    bench.nic.reclaim_tx();
    assert!(bench.nic.tx_idle());
    bench.nic.begin_tx().unwrap();
    let ticket = bench.nic.commit_tx(60, &[], TxOffload::Complete);
    everywhere(&bench, Queue::TX);
    bench.nic.reclaim_tx();
    assert!(!bench.nic.tx_done(ticket));
}

/// One thing a card may do.
#[derive(Clone, Debug)]
enum Move {
    Scribble { tx: bool, place: u32, word: u64 },
    Report { len: u16, status: u8, errors: u8 },
    Behave,
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        (any::<bool>(), 0..512_u32, any::<u64>()).prop_map(|(tx, place, word)| Move::Scribble {
            tx,
            place,
            word
        }),
        (0..2100_u16, any::<u8>(), any::<u8>()).prop_map(|(len, status, errors)| Move::Report {
            len,
            status,
            errors
        }),
        Just(Move::Behave),
        Just(Move::Behave),
    ]
}

proptest! {
    /// Whatever the card does: no panic, no buffer twice, none lost.
    #[test]
    fn no_buffer_is_ever_owned_twice(moves in proptest::collection::vec(a_move(), 1..200)) {
        let mut bench = Bench::wanting(&JUMBO);
        bench.post();
        let mut held = std::vec::Vec::new();
        for one in moves {
            bench.device.with(|state| match one {
                Move::Scribble { tx, place, word } => {
                    let queue = if tx { Queue::TX } else { Queue::RX };
                    device_write(state.place(queue, place) + 8, &word.to_le_bytes());
                }
                Move::Report { len, status, errors } => { state.report(len, status, errors); }
                Move::Behave => { state.receive(3, 0, &[1; 60]); }
            });
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
            prop_assert!(bench.nic.rx.parts.len() <= 5);
            prop_assert_eq!(bench.pool.available() as usize + held.len() + QUEUE as usize, BUFFERS as usize);
        }
        prop_assert!(bench.pool.counters().any(|counter| counter == ("pool.bad_frees", 0)));
    }
}
