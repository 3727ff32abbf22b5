//! Data that comes out of order (RFC 9293 section 3.10.7.4, seventh): kept in the buffers it came in, sorted, each byte
//! once. The lists' links stand in the buffer table, and how many buffers a flow may keep is bounded.

use super::Shared;
use super::flow::{Flow, Marks};
use super::receive::Arrival;
use crate::rx_buffers::{BufList, Meta, NO_BUFFER, RxBuffers};
use crate::seq::SeqNum;
use crate::wire::tcp_options::SackBlock;
use crate::{BufId, Env};

/// Most buffers beyond a gap: what a peer can make the search for a place among them cost.
const MOST_BEYOND: u16 = 1024;

impl Flow {
    /// Takes the data of an acceptable segment; gives the buffer back if nothing of it is needed.
    pub(crate) fn reassemble<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        let Some(meta) = self.wanted_part(&arrival) else {
            shared.counters.tcp_duplicate += 1;
            self.ack_now(shared);
            return Some(arrival.buf);
        };
        if self.is_kept_already(&shared.rx, meta) {
            let end = arrival.segment.seq + u32::try_from(arrival.segment.payload.len()).unwrap_or(0);
            self.note_twice(arrival.segment.seq, end);
        }
        let in_order = meta.seq == self.rcv_nxt;
        if !self.may_hold_more(shared) || !(in_order || self.may_keep_beyond(shared)) {
            self.drop_for_lack_of_room(shared);
            return Some(arrival.buf);
        }
        let index = match shared.rx.take_in(arrival.buf, meta) {
            Ok(index) => index,
            Err(buf) => return Some(buf),
        };
        if in_order && self.beyond.is_empty() {
            self.append_received(shared, index);
            self.owe_ack(shared);
            return None;
        }
        // RFC 5681 section 4.2: at once, whether the segment makes a gap or fills one.
        self.ack_now(shared);
        if in_order {
            self.append_received(shared, index);
            self.join_beyond(shared, env);
        } else {
            shared.counters.tcp_out_of_order += 1;
            self.beyond_latest = meta.seq;
            self.beyond_buffers += 1;
            let held = &mut self.beyond_buffers;
            insert(&mut self.beyond, &mut shared.rx, index, |buf| {
                *held = held.saturating_sub(1);
                env.free_rx(buf);
            });
        }
        None
    }

    /// The part of a segment's data that has not come before, lies in the window and before the FIN.
    fn wanted_part(&self, arrival: &Arrival<'_>) -> Option<Meta> {
        let segment = arrival.segment;
        let len = u16::try_from(segment.payload.len()).ok()?;
        let mut meta = Meta::of_flow(self.index, self.generation, segment.seq, arrival.offset, len);
        if meta.seq.before(self.rcv_nxt) {
            meta.trim_front(meta.seq.distance_to(self.rcv_nxt));
        }
        let mut limit = self.rcv_nxt + self.receive_window();
        if self.marks.has(Marks::FIN_AHEAD) {
            limit = limit.earlier_of(self.fin_seq);
        }
        meta.truncate(u32::try_from(meta.seq.signed_distance_to(limit)).unwrap_or(0));
        (meta.len > 0).then_some(meta)
    }

    /// All of it lies beyond a gap already.
    fn is_kept_already(&self, rx: &RxBuffers, meta: Meta) -> bool {
        self.beyond_ranges(rx)
            .any(|range| meta.seq.at_or_after(range.start) && meta.end().at_or_before(range.end))
    }

    /// Half of what a flow may hold, and only while buffers are plenty, so that the missing piece finds room.
    fn may_keep_beyond(&self, shared: &Shared) -> bool {
        u32::from(self.beyond_buffers) < (self.max_buffers() / 2).min(MOST_BEYOND.into())
            && shared.rx.scarcity() == 0
    }

    /// A gap was filled: what continues the stream now is no longer beyond it.
    fn join_beyond<E: Env>(&mut self, shared: &mut Shared, env: &mut E) {
        while !self.beyond.is_empty() {
            let seq = shared.rx.meta(self.beyond.head()).seq;
            if seq.after(self.rcv_nxt) {
                return;
            }
            let Some(index) = shared.rx.pop_front(&mut self.beyond) else {
                return;
            };
            self.beyond_buffers = self.beyond_buffers.saturating_sub(1);
            let meta = shared.rx.meta_mut(index);
            meta.trim_front(seq.distance_to(self.rcv_nxt));
            if meta.len == 0 {
                env.free_rx(shared.rx.give_back(index));
            } else {
                self.append_received(shared, index);
            }
        }
    }

    /// Frees what is beyond a gap.
    pub(crate) fn drop_beyond<E: Env>(&mut self, shared: &mut Shared, env: &mut E) {
        while let Some(index) = shared.rx.pop_front(&mut self.beyond) {
            env.free_rx(shared.rx.give_back(index));
        }
        self.beyond_buffers = 0;
    }

    /// What is there beyond the first gap, piece by piece that hang together.
    pub(crate) fn beyond_ranges<'a>(
        &self,
        rx: &'a RxBuffers,
    ) -> impl Iterator<Item = SackBlock> + Clone + 'a {
        let mut index = self.beyond.head();
        core::iter::from_fn(move || {
            if index == NO_BUFFER {
                return None;
            }
            let start = rx.meta(index).seq;
            let mut end = rx.meta(index).end();
            index = rx.next(index);
            while index != NO_BUFFER && rx.meta(index).seq == end {
                end = rx.meta(index).end();
                index = rx.next(index);
            }
            Some(SackBlock { start, end })
        })
    }
}

/// Puts a buffer where it belongs by its sequence number. Bytes that are there already are cut off it; buffers whose
/// bytes it all has are dropped for it.
fn insert(list: &mut BufList, rx: &mut RxBuffers, index: u32, mut free: impl FnMut(BufId)) {
    let before = last_before(list, rx, rx.meta(index).seq);
    if before != NO_BUFFER {
        let known = rx.meta(before).end();
        let meta = rx.meta_mut(index);
        if meta.seq.before(known) {
            meta.trim_front(meta.seq.distance_to(known));
        }
    }
    let mut next = if before == NO_BUFFER {
        list.head()
    } else {
        rx.next(before)
    };
    while next != NO_BUFFER && rx.meta(next).end().at_or_before(rx.meta(index).end()) {
        if let Some(gone) = rx.remove_after(list, before) {
            free(rx.give_back(gone));
        }
        next = if before == NO_BUFFER {
            list.head()
        } else {
            rx.next(before)
        };
    }
    if next != NO_BUFFER {
        let limit = rx.meta(next).seq;
        let meta = rx.meta_mut(index);
        if limit.before(meta.end()) {
            meta.truncate(meta.seq.distance_to(limit));
        }
    }
    if rx.meta(index).len == 0 {
        free(rx.give_back(index));
    } else {
        rx.insert_after(list, before, index);
    }
}

/// The last buffer of the list that begins at or before `seq`. Looks at the end first: most come in order of their own.
fn last_before(list: &BufList, rx: &RxBuffers, seq: SeqNum) -> u32 {
    let tail = list.tail();
    if tail != NO_BUFFER && rx.meta(tail).seq.at_or_before(seq) {
        return tail;
    }
    let mut before = NO_BUFFER;
    let mut at = list.head();
    while at != NO_BUFFER && rx.meta(at).seq.at_or_before(seq) {
        before = at;
        at = rx.next(at);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::insert;
    use crate::BufId;
    use crate::rx_buffers::{BufList, Meta, NO_BUFFER, RxBuffers};
    use crate::seq::SeqNum;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const START: SeqNum = SeqNum(u32::MAX - 30);

    fn count(list: &BufList, rx: &RxBuffers) -> usize {
        let first = Some(list.head()).filter(|at| *at != NO_BUFFER);
        core::iter::successors(first, |at| Some(rx.next(*at)).filter(|at| *at != NO_BUFFER)).count()
    }

    fn insert_all(pieces: &[(u32, u16)]) -> (BufList, RxBuffers, usize) {
        let mut rx = RxBuffers::new(64, 64);
        let mut list = BufList::EMPTY;
        let mut freed = 0;
        for (index, (offset, len)) in (0..).zip(pieces) {
            let meta = Meta::of_flow(0, 0, START + *offset, u16::try_from(*offset).unwrap(), *len);
            let index = rx.take_in(BufId(index), meta).unwrap();
            insert(&mut list, &mut rx, index, |_| freed += 1);
        }
        (list, rx, freed)
    }

    proptest! {
        /// Whatever comes, in whatever order: sorted, no byte twice, none missing, each byte at its place.
        #[test]
        fn every_byte_is_kept_once(pieces in proptest::collection::vec((0u32..60, 1u16..20), 0..40)) {
            let (list, rx, freed) = insert_all(&pieces);
            let mut bytes = BTreeSet::new();
            for (offset, len) in &pieces {
                bytes.extend(*offset..offset + u32::from(*len));
            }
            let mut seen = Vec::new();
            let mut index = list.head();
            while index != NO_BUFFER {
                let meta = rx.meta(index);
                let first = START.distance_to(meta.seq);
                prop_assert_eq!(u32::from(meta.offset), first);
                seen.extend(first..first + u32::from(meta.len));
                index = rx.next(index);
            }
            prop_assert_eq!(seen, bytes.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(count(&list, &rx) + freed, pieces.len());
        }
    }

    #[test]
    fn a_piece_that_covers_others_replaces_them() {
        let (list, rx, freed) = insert_all(&[(10, 5), (20, 5), (5, 30)]);
        assert_eq!((count(&list, &rx), freed), (1, 2));
        assert_eq!(rx.meta(list.head()).len, 30);
    }
}
