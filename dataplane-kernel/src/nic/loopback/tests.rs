//! What is sent is received, and no buffer is lost on the way.

use super::{BUFFERS, Loopback};
use crate::hw::dma::testing::{device_write, memory};
use crate::mem::mbuf::{Pool, testing};
use crate::nic::{Alarm, MAX_PARTS, Nic, Offloads, RxFrame, Wanted};
use netstack::{RxChecksum, Span, TxOffload};
use std::vec::Vec;

const POOL: u32 = 1000;

struct Bench {
    nic: Loopback,
    pool: Pool,
}

impl Bench {
    fn new(offloads: Offloads) -> Self {
        let pool = testing::pool(POOL);
        let wanted = Wanted {
            offloads,
            ..Wanted::default()
        };
        let mut nic = Loopback::new(pool.region(), &wanted);
        let mut pool = pool;
        nic.refill(&mut pool);
        Bench { nic, pool }
    }

    fn send(&mut self, header: &[u8], payload: &[Span], offload: TxOffload) {
        self.nic.begin_tx().unwrap()[..header.len()].copy_from_slice(header);
        let ticket = self.nic.commit_tx(header.len(), payload, offload);
        assert!(self.nic.tx_done(ticket) && self.nic.tx_idle());
    }

    /// The next frame, and what is said of its checksum.
    fn receive(&mut self) -> Option<(Vec<u8>, RxChecksum)> {
        let mut parts: Vec<RxFrame> = Vec::new();
        let count = self.nic.poll_rx(1, &mut |part| parts.push(part));
        assert_eq!(count, parts.len());
        let checksum = parts.first()?.checksum;
        let mut frame = Vec::new();
        for (number, part) in (1..).zip(&parts) {
            assert_eq!(part.continues, number < count);
            frame.extend(self.pool.region().bytes(part.buf.0, part.offset, part.len));
        }
        parts.into_iter().for_each(|part| self.pool.free(part.buf));
        self.nic.refill(&mut self.pool);
        Some((frame, checksum))
    }

    fn counter(&self, name: &str) -> u64 {
        self.nic.counters().find(|counter| counter.0 == name).unwrap().1
    }
}

fn span(bytes: &[u8]) -> Span {
    let address = memory(bytes.len().max(1), 64).phys(0).0;
    device_write(address, bytes);
    Span {
        address,
        len: u32::try_from(bytes.len()).unwrap(),
    }
}

#[test]
fn frames_come_back_in_order_whatever_they_are_made_of() {
    let mut bench = Bench::new(Offloads::all());
    for turn in 0..500_usize {
        let lens = [60 + turn % 40, turn * 37 % 3000, 0, turn * 101 % 20_000];
        let pieces: Vec<Vec<u8>> = (0..)
            .zip(lens)
            .map(|(number, len)| {
                (0..len)
                    .map(|i| (i * 7 + turn + number).to_le_bytes()[0])
                    .collect()
            })
            .collect();
        let payload: Vec<Span> = pieces[1..].iter().map(|piece| span(piece)).collect();
        bench.send(&pieces[0], &payload, TxOffload::Complete);
        bench.send(&[9; 60], &[], TxOffload::Complete);
        let (frame, checksum) = bench.receive().unwrap();
        assert!(frame == pieces.concat(), "{turn}");
        assert_eq!(checksum, RxChecksum::Good);
        assert_eq!(bench.receive().unwrap().0, [9; 60]);
        assert_eq!(bench.receive(), None);
    }
    assert_eq!(
        bench.pool.available(),
        POOL - u32::try_from(BUFFERS).unwrap(),
        "none is missing"
    );
    assert_eq!(bench.counter("nic.rx_frames"), 1000);
    assert_eq!(bench.counter("nic.tx_bytes"), bench.counter("nic.rx_bytes"));
}

#[test]
fn checksums_are_said_to_be_left_out_where_they_are() {
    let partial = TxOffload::Partial { start: 34, offset: 6 };
    let segments = TxOffload::Segments {
        ip: 14,
        start: 34,
        mss: 1460,
    };
    let left_out = |offset| RxChecksum::Partial { start: 34, offset };
    for (offload, expected) in [
        (TxOffload::Complete, RxChecksum::Good),
        (partial, left_out(6)),
        (segments, left_out(16)),
    ] {
        let mut bench = Bench::new(Offloads::all());
        bench.send(&[1; 60], &[], offload);
        assert_eq!(bench.receive().unwrap().1, expected);
    }
    let mut bench = Bench::new(Offloads::empty());
    bench.send(&[1; 60], &[], TxOffload::Complete);
    assert_eq!(bench.receive().unwrap().1, RxChecksum::Unknown);
}

#[test]
fn what_is_not_verified_is_not_left_out_and_what_is_not_merged_is_cut() {
    let all = Offloads::RX_CHECKSUM | Offloads::TX_CHECKSUM | Offloads::TSO | Offloads::LRO;
    let checksums = Offloads::RX_CHECKSUM | Offloads::TX_CHECKSUM;
    for (wanted, agreed) in [
        (Offloads::all(), all),
        (Offloads::all() - Offloads::LRO, checksums),
        (Offloads::all() - Offloads::TSO, checksums),
        (Offloads::all() - Offloads::TX_CHECKSUM, Offloads::RX_CHECKSUM),
        (Offloads::all() - Offloads::RX_CHECKSUM, Offloads::empty()),
    ] {
        assert_eq!(Bench::new(wanted).nic.offloads(), agreed);
    }
}

#[test]
fn frames_wait_for_those_before_them_and_are_dropped_if_there_is_nothing_to_wait_for() {
    let mut bench = Bench::new(Offloads::all());
    let mut sent = 0;
    while bench.nic.begin_tx().is_some() {
        bench.send(&[1; 60], &[], TxOffload::Complete);
        sent += 1;
    }
    assert_eq!(sent, BUFFERS - MAX_PARTS + 1);
    assert_eq!(bench.counter("nic.tx_ring_full"), 1);
    let all: Vec<_> = core::iter::from_fn(|| bench.receive()).collect();
    assert_eq!(all.len(), sent);

    // Somebody has all buffers, of the card's too.
    let mut held: Vec<_> = core::iter::from_fn(|| bench.pool.alloc()).collect();
    while bench.nic.begin_tx().is_some() && bench.counter("nic.tx_dropped") == 0 {
        bench.send(&[1; 60], &[], TxOffload::Complete);
        bench.nic.poll_rx(1, &mut |part| held.push(part.buf));
        bench.nic.refill(&mut bench.pool);
    }
    assert_eq!(bench.counter("nic.tx_dropped"), 1);
    assert_eq!(held.len(), POOL as usize);
    assert!(bench.counter("nic.rx_no_buffer") > 0);
    held.into_iter().for_each(|buf| bench.pool.free(buf));
    bench.nic.refill(&mut bench.pool);
    bench.send(&[2; 60], &[], TxOffload::Complete);
    assert_eq!(bench.receive().unwrap().0, [2; 60]);
}

#[test]
fn frames_of_impossible_lengths_are_dropped_and_counted() {
    let mut bench = Bench::new(Offloads::all());
    let long = [0; 40_000];
    bench.send(&[1; 13], &[], TxOffload::Complete);
    bench.send(&[1; 60], &[span(&long), span(&long)], TxOffload::Complete);
    assert_eq!(bench.receive(), None);
    assert_eq!(bench.counter("nic.tx_bad_length"), 2);
    let longest = [3; MAX_PARTS * 2048 - 60];
    bench.send(&[3; 60], &[span(&longest)], TxOffload::Complete);
    assert_eq!(bench.receive().unwrap().0.len(), MAX_PARTS * 2048);
}

#[test]
fn who_sleeps_misses_nothing() {
    let mut bench = Bench::new(Offloads::all());
    assert_eq!(bench.nic.arm(), Alarm::Set);
    bench.send(&[1; 60], &[], TxOffload::Complete);
    assert_eq!(bench.nic.arm(), Alarm::TooLate);
    bench.receive();
    assert_eq!(bench.nic.arm(), Alarm::Set);
}
