use super::{Fate, NONE, Ranges, Records, Stamp};
use crate::seq::SeqNum;
use crate::wire::tcp_options::SackBlock;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

const ISS: SeqNum = SeqNum(u32::MAX - 20);

fn block(start: u32, end: u32) -> SackBlock {
    SackBlock {
        start: ISS + start,
        end: ISS + end,
    }
}

/// Fate and time of each byte from `una` on, as the records have it, and the counters proven against them.
fn bytes(ranges: &Ranges, records: &Records, una: u32) -> Vec<(Fate, u32, bool)> {
    let (mut all, mut index, mut start, mut count) = (Vec::new(), ranges.head, ISS + una, 0);
    while let Some(record) = records.slots.get(index as usize) {
        let len = start.distance_to(record.end);
        assert!(len > 0 && len < 1000, "an empty record");
        all.extend((0..len).map(|_| (record.fate, record.at.0, record.repeated)));
        start = record.end;
        if record.next == NONE {
            assert_eq!(ranges.tail, index);
        }
        index = record.next;
        count += 1;
    }
    assert_eq!(start, ranges.end);
    assert_eq!(count, ranges.count);
    let sum = |fate| all.iter().filter(|(f, ..)| *f == fate).count();
    assert_eq!(
        (sum(Fate::Lost), sum(Fate::Sacked)),
        (ranges.lost as usize, ranges.sacked as usize)
    );
    all
}

#[derive(Clone, Debug)]
enum Op {
    Push(u32),
    Ack(u32),
    Sack(u32, u32),
    Lose(u32),
    Again(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (1u32..20).prop_map(Op::Push),
        (1u32..15).prop_map(Op::Ack),
        (0u32..60, 1u32..20).prop_map(|(start, len)| Op::Sack(start, len)),
        (0u32..4).prop_map(Op::Lose),
        (1u32..10).prop_map(Op::Again),
    ]
}

proptest! {
    /// Against a model that keeps every byte by itself.
    #[test]
    fn as_if_every_byte_had_its_own(ops in proptest::collection::vec(op(), 1..80)) {
        let mut records = Records::new(400);
        let mut ranges = Ranges::new(ISS);
        let mut model: Vec<(Fate, u32, bool)> = vec![];
        let mut una = 0u32;
        for (time, op) in (0u32..).zip(ops) {
            let (len, end) = (u32::try_from(model.len()).unwrap(), ISS + una);
            match op {
                Op::Push(more) => {
                    ranges.push(&mut records, ISS + una, end + (len + more), Stamp(time));
                    model.extend((0..more).map(|_| (Fate::Sent, time, false)));
                }
                Op::Ack(count) => {
                    let count = count.min(len);
                    let mut told = 0;
                    ranges.acknowledge(&mut records, end, end + count, |d| told += d.start.distance_to(d.end));
                    let news = model.drain(..count as usize).filter(|(f, ..)| *f != Fate::Sacked).count();
                    prop_assert_eq!(told as usize, news);
                    una += count;
                }
                Op::Sack(start, count) if start < len => {
                    let stop = (start + count).min(len);
                    let mut told = 0;
                    ranges.sack(&mut records, end, block(una + start, una + stop), |d| told += d.start.distance_to(d.end));
                    let mut news = 0;
                    for byte in &mut model[start as usize..stop as usize] {
                        news += u32::from(byte.0 != Fate::Sacked);
                        byte.0 = Fate::Sacked;
                    }
                    prop_assert_eq!(told, news);
                }
                Op::Sack(..) => {}
                Op::Lose(rest) => {
                    ranges.mark_lost(&mut records, end, |_, record| record.at.0 % 4 == rest);
                    for byte in &mut model {
                        if byte.0 == Fate::Sent && byte.1 % 4 == rest {
                            byte.0 = Fate::Lost;
                        }
                    }
                }
                Op::Again(count) => {
                    let Some(lost) = ranges.next_lost(&records, end, end) else { continue };
                    let to = lost.end.earlier_of(lost.start + count);
                    ranges.sent_again(&mut records, end, lost.start, to, Stamp(time));
                    let first = end.distance_to(lost.start) as usize;
                    for byte in &mut model[first..end.distance_to(to) as usize] {
                        prop_assert_eq!(byte.0, Fate::Lost);
                        *byte = (Fate::Sent, time, true);
                    }
                }
            }
            let got = bytes(&ranges, &records, una);
            prop_assert_eq!(got.len(), model.len());
            for (got, wanted) in got.iter().zip(&model) {
                // Of what is delivered, the time no longer matters.
                prop_assert!(got == wanted || got.0 == Fate::Sacked && wanted.0 == Fate::Sacked);
            }
        }
        ranges.clear(&mut records);
        prop_assert_eq!(records.used(), 0);
    }
}

#[test]
fn without_records_it_forgets_and_stays_whole() {
    let mut records = Records::new(3);
    let mut ranges = Ranges::new(ISS);
    for n in 1..=3 {
        ranges.push(&mut records, ISS, ISS + 10 * n, Stamp(n));
    }
    let mut told = 0;
    ranges.sack(&mut records, ISS, block(12, 14), |_| told += 1);
    assert_eq!((told, ranges.sacked), (0, 0), "no room to remember it");
    ranges.sack(&mut records, ISS, block(20, 30), |_| told += 1);
    assert_eq!((told, ranges.sacked), (1, 10));
    ranges.push(&mut records, ISS, ISS + 40, Stamp(4));
    assert_eq!((ranges.sacked, ranges.lost, records.used()), (0, 0, 1));
    assert_eq!(bytes(&ranges, &records, 0), vec![(Fate::Sent, 4, true); 40]);
    ranges.clear(&mut records);
    assert_eq!(records.used(), 0);
}

/// Else a flow with as many holes as it may have would send one segment per timeout.
#[test]
fn without_a_record_left_a_large_range_is_still_sent_again_piece_by_piece() {
    let mut records = Records::new(2);
    let mut ranges = Ranges::new(ISS);
    ranges.push(&mut records, ISS, ISS + 100, Stamp(1));
    ranges.mark_all_lost(&mut records, ISS);
    ranges.sent_again(&mut records, ISS, ISS, ISS + 10, Stamp(2));
    assert_eq!((ranges.lost, records.used()), (90, 2));
    for (time, start) in (3..).zip((10..100).step_by(10)) {
        ranges.sent_again(&mut records, ISS, ISS + start, ISS + (start + 10), Stamp(time));
        assert_eq!(ranges.lost, 90 - start);
    }
    bytes(&ranges, &records, 0);
}

#[test]
fn what_a_timeout_takes_to_be_lost_is_one_range() {
    let mut records = Records::new(20);
    let mut ranges = Ranges::new(ISS);
    for (time, start) in (1..).zip((0..100).step_by(10)) {
        ranges.push(&mut records, ISS, ISS + (start + 10), Stamp(time));
    }
    ranges.sack(&mut records, ISS, block(20, 50), |_| {});
    ranges.mark_all_lost(&mut records, ISS);
    assert_eq!((ranges.lost, ranges.sacked, records.used()), (70, 30, 3));
    ranges.forget_sacked(&mut records);
    ranges.mark_all_lost(&mut records, ISS);
    assert_eq!((ranges.lost, ranges.sacked, records.used()), (100, 0, 1));
    bytes(&ranges, &records, 0);
}
