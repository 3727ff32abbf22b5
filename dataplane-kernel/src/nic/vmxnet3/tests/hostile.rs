//! A device that lies: everything it writes is counted, nothing it writes leads outside, and what it says that is right
//! is still understood.

use super::super::fake_device::{END, START};
use super::{BODIES, BUFFERS, Bench, HEADS, JUMBO, ORDINARY};
use crate::hw::dma::testing::device_write;
use crate::nic::Nic;
use netstack::TxOffload;
use proptest::prelude::*;

const BODY: u64 = 1 << 16;

#[test]
fn lengths_no_frame_can_have_give_the_buffer_back() {
    let mut bench = Bench::receiving(&ORDINARY);
    for (place, len) in (0..).zip([0, 1, 13, 2049, 0x3fff]) {
        bench.device.with(|state| state.report(place | START | END, len));
    }
    assert!(bench.poll(64).is_empty());
    assert_eq!(bench.counter("nic.rx_bad_length"), 5);
    for (place, len) in [(5, 14), (6, 2048)] {
        bench.device.with(|state| state.report(place | START | END, len));
        assert_eq!(u64::from(bench.poll(1)[0].len), len);
    }
    bench.post();
    assert_eq!(bench.pool.available() + HEADS + 2, BUFFERS, "none was lost");
}

#[test]
fn buffers_it_does_not_have_are_no_frames() {
    let mut bench = Bench::receiving(&ORDINARY);
    // The one that is never posted, one beyond the ring, and some of rings that have none or are not there.
    for first in [511, 512, 0xfff, BODY, BODY | 31, 2 << 16, 0x3ff << 16] {
        bench.device.with(|state| state.report(first | START | END, 60));
    }
    assert!(bench.poll(64).is_empty());
    assert_eq!(bench.counter("nic.rx_bad_descriptor"), 7);
    assert!(bench.device.receive(&[8; 60]));
    let frames = bench.poll(64);
    assert_eq!(bench.data(&frames[0]), [8; 60]);
}

#[test]
fn buffers_it_passes_over_are_lent_again() {
    let mut bench = Bench::receiving(&ORDINARY);
    for place in [10, 11, 200, 510] {
        bench.device.with(|state| state.report(place | START | END, 60));
    }
    // Again, which it cannot have.
    for place in [10, 11, 510] {
        bench.device.with(|state| state.report(place | START | END, 60));
    }
    let frames = bench.poll(64);
    assert_eq!((frames.len(), bench.counter("nic.rx_bad_descriptor")), (4, 3));
    bench.free(frames);
    bench.post();
    assert_eq!(bench.pool.available(), BUFFERS - HEADS);
}

#[test]
fn frames_without_an_end_or_a_start_or_with_a_bad_part_are_skipped() {
    let endless: std::vec::Vec<_> = (0..100).map(|place| (BODY | place, 2048)).collect();
    let (empty, overfull) = (
        [(START, 2048), (BODY, 0), (BODY | 1, 2048)],
        [(START, 2048), (BODY, 2049)],
    );
    let (headless, short) = ([(BODY, 7), (BODY | 1, 7)], [(START, 13), (BODY, 2048)]);
    let twice = [(START, 2048), (BODY, 2048)];
    for parts in [&endless[..], &empty, &overfull, &headless, &short, &twice] {
        let mut bench = Bench::receiving(&JUMBO);
        for &(first, second) in parts {
            bench.device.with(|state| state.report(first, second));
        }
        bench.device.with(|state| state.report(5 | START | END, 60));
        let frames: std::vec::Vec<_> = (0..10).flat_map(|_| bench.poll(16)).collect();
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].len, frames[0].continues), (60, false));
        assert_eq!(bench.counter("nic.rx_bad_length"), 1);
        bench.post();
        assert_eq!(
            bench.pool.available() + HEADS + BODIES + 1,
            BUFFERS,
            "none was lost"
        );
    }
}

#[test]
fn frames_it_was_not_given_are_not_done() {
    let mut bench = Bench::new();
    let finish = |bench: &mut Bench, last: &[u32]| {
        last.iter()
            .for_each(|last| bench.device.with(|state| state.finish(*last)));
        bench.nic.reclaim_tx();
    };
    finish(&mut bench, &[0, 511, 7]);
    assert!(bench.nic.tx_idle());
    let send = |bench: &mut Bench| {
        bench.nic.begin_tx().unwrap();
        bench.nic.commit_tx(4000, &[], TxOffload::Complete)
    };
    let [first, second] = [send(&mut bench), send(&mut bench)];
    finish(&mut bench, &[0, 3, 2, 0xfff]);
    assert!(!bench.nic.tx_done(first) && !bench.nic.tx_done(second));
    finish(&mut bench, &[1, 1]);
    assert!(bench.nic.tx_done(first) && !bench.nic.tx_done(second));
    finish(&mut bench, &[3]);
    assert!(bench.nic.tx_done(second) && bench.nic.tx_idle());
    assert_eq!(bench.counter("nic.tx_bad_descriptor"), 8);
}

/// One thing a device may do.
#[derive(Clone, Debug)]
enum Move {
    Scribble { tx: bool, place: u64, word: u64 },
    Report { first: u64, second: u64 },
    Finish(u32),
    Behave(usize),
}

fn a_move() -> impl Strategy<Value = Move> {
    let first =
        (0..520_u64, 0..3_u64, 0..4_u64).prop_map(|(place, ring, ends)| place | ring << 16 | ends << 14);
    prop_oneof![
        (any::<bool>(), 0..1024_u64, any::<u64>()).prop_map(|(tx, place, word)| Move::Scribble {
            tx,
            place,
            word
        }),
        (first, 0..2100_u64).prop_map(|(first, second)| Move::Report { first, second }),
        (0..520_u32).prop_map(Move::Finish),
        (14..9000_usize).prop_map(Move::Behave),
        (14..9000_usize).prop_map(Move::Behave),
    ]
}

proptest! {
    /// Whatever the device does: no panic, no buffer twice, none lost.
    #[test]
    fn no_buffer_is_ever_owned_twice(moves in proptest::collection::vec(a_move(), 1..200)) {
        let mut bench = Bench::receiving(&JUMBO);
        let mut held = std::vec::Vec::new();
        for one in moves {
            bench.device.with(|state| match one {
                Move::Scribble { tx, place, word } => {
                    let active = state.active.as_ref().unwrap();
                    let ring = if tx { &active.tx_done } else { &active.rx_done };
                    device_write(ring.at + 16 * (place % u64::from(ring.size)) + 8, &word.to_le_bytes());
                }
                Move::Report { first, second } => state.report(first, second),
                Move::Finish(last) => state.finish(last),
                Move::Behave(len) => { state.receive(0, &std::vec![1; len]); }
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
            let own = bench.nic.rx.parts.len() + bench.nic.rx.spare.len() + (HEADS + BODIES) as usize;
            prop_assert_eq!(bench.pool.available() as usize + held.len() + own, BUFFERS as usize);
        }
        prop_assert!(bench.pool.counters().any(|counter| counter == ("pool.bad_frees", 0)));
    }
}
