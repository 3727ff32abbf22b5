//! What of a flow's data is on its way, lost or delivered, range by range (RFC 8985 section 5.2, RFC 6675 section 3).
//!
//! A flow whose data all left at one time needs none of this: `SND.UNA..SND.NXT` and the time of sending say it. Only
//! when a second burst leaves while the first is out, or when something is lost, does a flow take a [`Board`] out of a
//! pool that all flows share: an ordered list of [`Record`]s, each a range sent at one time. Both pools are bounded, and
//! so is the list of each flow; where no room is left knowledge is given up, never data: ranges melt into one, and what
//! the peer said of them is forgotten, as if it had reneged (RFC 2018 section 8).

use crate::Instant;
use crate::seq::SeqNum;
use crate::wire::tcp_options::SackBlock;
use alloc::boxed::Box;

/// No board, no record.
pub(crate) const NONE: u32 = u32::MAX;
/// Most records of one flow: what a peer can make an ACK cost.
const MOST_RECORDS: u16 = 512;

/// A point in time, coarser than [`Instant`] and wrapping: about microseconds, 73 minutes around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// Binary logarithm of its unit, in nanoseconds.
    const SHIFT: u32 = 10;

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a clock that wraps")]
    pub(crate) fn of(now: Instant) -> Self {
        Stamp((now.0 >> Self::SHIFT) as u32)
    }

    /// Nanoseconds from `earlier` to this; 0 if it is not earlier.
    #[inline]
    pub(crate) fn ns_since(self, earlier: Stamp) -> u64 {
        let units = self.0.wrapping_sub(earlier.0).cast_signed().max(0);
        u64::from(units.unsigned_abs()) << Self::SHIFT
    }

    #[inline]
    pub(crate) fn is_after(self, other: Stamp) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    fn later_of(self, other: Stamp) -> Stamp {
        if other.is_after(self) { other } else { self }
    }
}

/// What is known of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On its way, as far as is known.
    Sent,
    /// Taken to be lost, and not sent again yet.
    Lost,
    /// The peer has it (RFC 2018).
    Sacked,
}

/// A range; it begins where the one before it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) end: SeqNum,
    /// When it was last sent.
    pub(crate) at: Stamp,
    next: u32,
    pub(crate) fate: Fate,
    /// It was sent more than once.
    pub(crate) repeated: bool,
}

/// The ranges of one flow, from SND.UNA to `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranges {
    head: u32,
    tail: u32,
    pub(crate) end: SeqNum,
    count: u16,
    /// Bytes the peer has beyond SND.UNA.
    pub(crate) sacked: u32,
    /// Bytes taken to be lost and not sent again.
    pub(crate) lost: u32,
}

/// A range that has been found delivered, for the caller to learn from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) start: SeqNum,
    pub(crate) end: SeqNum,
    pub(crate) at: Stamp,
    pub(crate) repeated: bool,
}

/// All records of a core.
#[derive(Debug)]
pub(crate) struct Records {
    slots: Box<[Record]>,
    free: u32,
    used: u32,
}

impl Records {
    pub(crate) fn new(capacity: u32) -> Self {
        let record = |index| Record {
            end: SeqNum(0),
            at: Stamp(0),
            next: if index + 1 < capacity { index + 1 } else { NONE },
            fate: Fate::Sent,
            repeated: false,
        };
        Records {
            slots: (0..capacity).map(record).collect(),
            free: if capacity == 0 { NONE } else { 0 },
            used: 0,
        }
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    fn take(&mut self, record: Record) -> Option<u32> {
        let index = self.free;
        let slot = self.slots.get_mut(index as usize)?;
        self.free = slot.next;
        *slot = record;
        self.used += 1;
        Some(index)
    }

    /// Frees a record; gives the one behind it.
    fn free(&mut self, index: u32) -> u32 {
        let next = core::mem::replace(&mut self.slots[index as usize].next, self.free);
        self.free = index;
        self.used -= 1;
        next
    }

    #[inline]
    fn at(&mut self, index: u32) -> &mut Record {
        &mut self.slots[index as usize]
    }
}

impl Ranges {
    pub(crate) const fn new(una: SeqNum) -> Self {
        Ranges {
            head: NONE,
            tail: NONE,
            end: una,
            count: 0,
            sacked: 0,
            lost: 0,
        }
    }

    /// Appends what was sent at `at`, up to `end`; there may be no room for even one range, and then nothing happens.
    pub(crate) fn push(&mut self, records: &mut Records, una: SeqNum, end: SeqNum, at: Stamp) {
        if !end.after(self.end) {
            return;
        }
        let record = Record {
            end,
            at,
            next: NONE,
            fate: Fate::Sent,
            repeated: false,
        };
        let index = if self.count < MOST_RECORDS {
            records.take(record)
        } else {
            None
        };
        match index {
            Some(index) if self.tail == NONE => {
                (self.head, self.tail, self.count) = (index, index, 1);
            }
            Some(index) => {
                records.at(self.tail).next = index;
                self.tail = index;
                self.count += 1;
            }
            // Then `end` stays, and whoever looks knows.
            None if self.tail == NONE => return,
            None => self.melt_into_tail(records, una, record),
        }
        self.end = end;
    }

    /// There is no record left for this: the last one takes it in, if nothing special is known of that one, or all melt
    /// into one of which nothing is known.
    fn melt_into_tail(&mut self, records: &mut Records, una: SeqNum, record: Record) {
        if records.at(self.tail).fate != Fate::Sent {
            self.melt(records, una);
        }
        let tail = records.at(self.tail);
        tail.end = record.end;
        tail.at = tail.at.later_of(record.at);
        tail.repeated = true;
    }

    /// Forgets all but the extent: one range on its way, sent when the last part of it was.
    pub(crate) fn melt(&mut self, records: &mut Records, una: SeqNum) {
        let end = self.end;
        let mut at = None;
        let mut index = self.head;
        while index != NONE {
            let record = records.at(index);
            at = Some(at.map_or(record.at, |latest: Stamp| latest.later_of(record.at)));
            index = records.free(index);
        }
        *self = Ranges::new(una);
        if let Some(at) = at {
            self.push(records, una, end, at);
            if self.tail != NONE {
                records.at(self.tail).repeated = true;
            }
        }
    }

    /// Frees all records.
    pub(crate) fn clear(&mut self, records: &mut Records) {
        while self.head != NONE {
            self.head = records.free(self.head);
        }
        *self = Ranges::new(self.end);
    }

    /// SND.UNA moves from `una` to `ack`. What had not been known to be delivered is told to `delivered`.
    pub(crate) fn acknowledge(
        &mut self,
        records: &mut Records,
        mut una: SeqNum,
        ack: SeqNum,
        mut delivered: impl FnMut(Delivered),
    ) {
        while self.head != NONE && una.before(ack) {
            let record = *records.at(self.head);
            let end = record.end.earlier_of(ack);
            let len = una.distance_to(end);
            match record.fate {
                Fate::Sacked => self.sacked -= len,
                Fate::Lost | Fate::Sent => {
                    self.lost -= if record.fate == Fate::Lost { len } else { 0 };
                    delivered(Delivered {
                        start: una,
                        end,
                        at: record.at,
                        repeated: record.repeated,
                    });
                }
            }
            if record.end.after(ack) {
                return;
            }
            una = end;
            self.head = records.free(self.head);
            self.count -= 1;
            if self.head == NONE {
                self.tail = NONE;
            }
        }
        self.end = self.end.later_of(ack);
    }

    /// The peer has `block`, which lies between `una` and `end`. What is news is told to `delivered`.
    pub(crate) fn sack(
        &mut self,
        records: &mut Records,
        una: SeqNum,
        block: SackBlock,
        mut delivered: impl FnMut(Delivered),
    ) {
        let (mut start, mut index, mut before) = (una, self.head, NONE);
        while index != NONE && start.before(block.end) {
            let record = *records.at(index);
            if record.end.after(block.start) && record.fate != Fate::Sacked {
                if start.before(block.start) {
                    // Its front is not meant.
                    if self.split(records, index, block.start).is_none() {
                        return;
                    }
                } else {
                    if record.end.after(block.end) && self.split(records, index, block.end).is_none() {
                        return;
                    }
                    self.mark_sacked(records, start, index, &mut delivered);
                    index = self.join(records, before, index);
                }
            }
            let record = records.at(index);
            start = record.end;
            before = index;
            index = record.next;
        }
        if index != NONE && before != NONE {
            // What follows may have been known before.
            self.join(records, before, index);
        }
    }

    fn mark_sacked(
        &mut self,
        records: &mut Records,
        start: SeqNum,
        index: u32,
        delivered: &mut impl FnMut(Delivered),
    ) {
        let record = records.at(index);
        let len = start.distance_to(record.end);
        if record.fate == Fate::Lost {
            self.lost -= len;
        }
        self.sacked += len;
        record.fate = Fate::Sacked;
        delivered(Delivered {
            start,
            end: record.end,
            at: record.at,
            repeated: record.repeated,
        });
    }

    /// Cuts a record in two at `at`; `None` if there is no record for the second part.
    fn split(&mut self, records: &mut Records, index: u32, at: SeqNum) -> Option<()> {
        if self.count >= MOST_RECORDS {
            return None;
        }
        let rest = *records.at(index);
        let new = records.take(rest)?;
        let front = records.at(index);
        front.end = at;
        front.next = new;
        if self.tail == index {
            self.tail = new;
        }
        self.count += 1;
        Some(())
    }

    /// Makes two neighbours one if what is known of them is the same; gives the record in which `index` now is.
    fn join(&mut self, records: &mut Records, before: u32, index: u32) -> u32 {
        if before == NONE {
            return index;
        }
        let (first, second) = (*records.at(before), *records.at(index));
        let sacked = first.fate == Fate::Sacked && second.fate == Fate::Sacked;
        let alike = first.fate == second.fate && first.at == second.at && first.repeated == second.repeated;
        if !sacked && !alike {
            return index;
        }
        let next = records.free(index);
        let joined = records.at(before);
        joined.end = second.end;
        joined.at = first.at.later_of(second.at);
        joined.next = next;
        self.count -= 1;
        if self.tail == index {
            self.tail = before;
        }
        before
    }

    /// Takes to be lost what `is_lost` says of the ranges on their way; it is told where they begin. Gives the bytes.
    pub(crate) fn mark_lost(
        &mut self,
        records: &mut Records,
        una: SeqNum,
        mut is_lost: impl FnMut(SeqNum, &Record) -> bool,
    ) -> u32 {
        let (mut start, mut index, mut newly) = (una, self.head, 0);
        while index != NONE {
            let record = records.at(index);
            if record.fate == Fate::Sent && is_lost(start, record) {
                record.fate = Fate::Lost;
                newly += start.distance_to(record.end);
            }
            start = record.end;
            index = record.next;
        }
        self.lost += newly;
        newly
    }

    /// Takes the first `len` bytes to be lost, if they are on their way (for peers that do not tell). Gives the bytes.
    pub(crate) fn mark_front_lost(&mut self, records: &mut Records, una: SeqNum, len: u32) -> u32 {
        if self.head == NONE {
            return 0;
        }
        if records.at(self.head).end.after(una + len) && self.split(records, self.head, una + len).is_none() {
            return 0;
        }
        let head = records.at(self.head);
        if head.fate != Fate::Sent {
            return 0;
        }
        head.fate = Fate::Lost;
        let newly = una.distance_to(head.end);
        self.lost += newly;
        newly
    }

    /// What was taken to be lost and not sent again is on its way after all.
    pub(crate) fn unmark_lost(&mut self, records: &mut Records) {
        let mut index = self.head;
        while index != NONE {
            let record = records.at(index);
            if record.fate == Fate::Lost {
                record.fate = Fate::Sent;
            }
            index = record.next;
        }
        self.lost = 0;
    }

    /// The first range, from `from` on, that is lost; `from` is `una` or where an earlier one ended.
    pub(crate) fn next_lost(&self, records: &Records, una: SeqNum, from: SeqNum) -> Option<SackBlock> {
        let (mut start, mut index) = (una, self.head);
        while let Some(record) = records.slots.get(index as usize) {
            if record.fate == Fate::Lost && record.end.after(from) {
                let start = start.later_of(from);
                return Some(SackBlock {
                    start,
                    end: record.end,
                });
            }
            start = record.end;
            index = record.next;
        }
        None
    }

    /// `from..to`, the beginning of a range or part of one, was sent again.
    pub(crate) fn sent_again(
        &mut self,
        records: &mut Records,
        una: SeqNum,
        from: SeqNum,
        to: SeqNum,
        at: Stamp,
    ) {
        let (mut start, mut index, mut before) = (una, self.head, NONE);
        while index != NONE && start.before(to) {
            let record = *records.at(index);
            if record.end.after(from) {
                if start.before(from) {
                    // Only a probe of the last segment begins within a range; without a record for it all of the range
                    // counts as sent again.
                    if self.split(records, index, from).is_some() {
                        (start, before, index) = (from, index, records.at(index).next);
                        continue;
                    }
                } else if record.end.after(to)
                    && self.split(records, index, to).is_none()
                    && self.extend(records, before, index, to, at)
                {
                    return;
                }
                // Without a record for the rest all of it counts as sent again.
                let len = start.distance_to(records.at(index).end);
                let record = records.at(index);
                if record.fate == Fate::Lost {
                    self.lost -= len;
                }
                if record.fate != Fate::Sacked {
                    (record.fate, record.at, record.repeated) = (Fate::Sent, at, true);
                }
                index = self.join(records, before, index);
            }
            let record = records.at(index);
            (start, before, index) = (record.end, index, record.next);
        }
    }

    /// Without a record for the front of a lost range that was sent again: the one before takes it in, if that was, too.
    fn extend(&mut self, records: &mut Records, before: u32, index: u32, to: SeqNum, at: Stamp) -> bool {
        let is_lost = records.at(index).fate == Fate::Lost;
        let Some(front) = records.slots.get_mut(before as usize) else {
            return false;
        };
        if !is_lost || front.fate != Fate::Sent || !front.repeated {
            return false;
        }
        self.lost -= front.end.distance_to(to);
        (front.end, front.at) = (to, at);
        true
    }

    /// Takes all that is not known to be delivered to be lost; neighbours become one, as nothing is known of them any more.
    pub(crate) fn mark_all_lost(&mut self, records: &mut Records, una: SeqNum) {
        self.mark_lost(records, una, |_, _| true);
        let (mut before, mut index) = (NONE, self.head);
        while index != NONE {
            if before != NONE {
                let (first, second) = (*records.at(before), *records.at(index));
                if first.fate == Fate::Lost && second.fate == Fate::Lost {
                    let repeated = first.repeated || second.repeated;
                    for part in [before, index] {
                        let part = records.at(part);
                        (part.at, part.repeated) = (second.at, repeated);
                    }
                    index = self.join(records, before, index);
                }
            }
            before = index;
            index = records.at(index).next;
        }
    }

    /// Something of this was sent more than once, and no record of it was kept.
    pub(crate) fn mark_repeated(&mut self, records: &mut Records) {
        let mut index = self.head;
        while index != NONE {
            let record = records.at(index);
            record.repeated = true;
            index = record.next;
        }
    }

    /// The first range is known to have been delivered, and yet it is not acknowledged: the peer has reneged.
    pub(crate) fn front_is_sacked(&self, records: &Records) -> bool {
        records
            .slots
            .get(self.head as usize)
            .is_some_and(|record| record.fate == Fate::Sacked)
    }

    /// Forgets what the peer has told (RFC 2018 section 8).
    pub(crate) fn forget_sacked(&mut self, records: &mut Records) {
        let mut index = self.head;
        while index != NONE {
            let record = records.at(index);
            if record.fate == Fate::Sacked {
                record.fate = Fate::Sent;
            }
            index = record.next;
        }
        self.sacked = 0;
    }
}

#[cfg(test)]
mod tests;
