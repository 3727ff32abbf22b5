//! Transmitting. A frame is a run of descriptors: a buffer of this queue's with the headers, then payload where it lies. The
//! first one says what the device is to do, and is shown last; the last one is reported.
//!
//! A frame's first place in the ring is also its header buffer, and frames are let go of in the order they were queued.

use super::descriptor::{self, LAST, MAX_PIECE};
use super::ring::{CommandRing, CompletionRing};
use crate::hw::dma::DmaBuffers;
use crate::nic::pairs::Progress;
use crate::nic::segments;
use crate::nic::tickets::Tickets;
use alloc::boxed::Box;
use alloc::vec;
use netstack::wire::vlan::VlanId;
use netstack::{MAX_SEGMENTS_BYTES, MAX_TX_SPANS, Span, TxOffload, TxTicket};

#[allow(clippy::cast_possible_truncation, reason = "2048")]
const BUFFER_LEN: u32 = DmaBuffers::BYTES as u32;

/// Longest run: headers, payload, and what is left of it where spans are longer than a descriptor may be.
#[allow(clippy::cast_possible_truncation, reason = "a few dozen")]
pub(super) const MAX_RUN: u16 =
    DmaBuffers::RUN + MAX_TX_SPANS as u16 + (MAX_SEGMENTS_BYTES / MAX_PIECE) as u16;

/// What the transmit queue counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Frames queued.
    pub(super) frames: u64,
    /// Bytes of those.
    pub(super) bytes: u64,
    /// Frames that found no room.
    pub(super) ring_full: u64,
    /// Reports that are not of the oldest frame the device has: skipped.
    pub(super) bad_descriptor: u64,
    /// Times the device was told of frames.
    pub(super) doorbells: u64,
}

#[derive(Debug)]
pub(super) struct Tx {
    ring: CommandRing,
    done_ring: CompletionRing,
    pub(super) counters: Counters,
    headers: DmaBuffers,
    /// Per place: descriptors of the frame that starts there, if one does.
    runs: Box<[u8]>,
    /// What each frame's first descriptor says: the tag to insert, if there is one.
    tag: u64,
    tickets: Tickets,
    /// Frames the device was told of, counted the same.
    told: u32,
}

impl Tx {
    /// A queue whose frames start in `headers`, which must be as many as the ring has descriptors; into which the device inserts
    /// tags of `vlan`.
    pub(super) fn new(
        ring: CommandRing,
        done_ring: CompletionRing,
        headers: DmaBuffers,
        vlan: Option<VlanId>,
    ) -> Self {
        Tx {
            done_ring,
            counters: Counters::default(),
            headers,
            runs: vec![0; ring.size().into()].into(),
            tag: vlan.map_or(0, |vlan| descriptor::tagged(vlan.control())),
            tickets: Tickets::default(),
            told: 0,
            ring,
        }
    }

    /// See [`crate::nic::Nic::begin_tx`].
    #[inline]
    pub(super) fn begin(&mut self) -> Option<&mut [u8]> {
        if self.ring.room() < MAX_RUN {
            self.counters.ring_full += 1;
            return None;
        }
        Some(self.headers.run(self.ring.next()))
    }

    /// See [`crate::nic::Nic::commit_tx`]. A frame that was not begun is not sent, and done at once.
    #[inline]
    pub(super) fn commit(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        if self.ring.room() < MAX_RUN {
            return self.tickets.refuse();
        }
        let head = self.ring.next();
        let most = DmaBuffers::BYTES * usize::from(DmaBuffers::RUN);
        #[allow(clippy::cast_possible_truncation, reason = "at most a run's length")]
        let header_len = header_len.clamp(1, most) as u32;
        if let TxOffload::Segments { ip, start, .. } = offload {
            segments::prepare(self.headers.run(head), ip, start);
        }
        let mut what = descriptor::offload(offload, header_len) | self.tag;

        let payload = payload.get(..MAX_TX_SPANS).unwrap_or(payload);
        let (mut address, mut len) = (self.headers.phys(head).0, header_len);
        // What goes over several header buffers takes as many descriptors, so that no other frame has these buffers.
        let (mut most, mut left, mut spans) = (BUFFER_LEN, MAX_SEGMENTS_BYTES, payload.iter());
        let mut first = 0;
        loop {
            while len > most {
                first = self.post(head, first, address, descriptor::data(most) | what);
                (address, len, what) = (address + u64::from(most), len - most, 0);
            }
            most = MAX_PIECE;
            let Some(span) = spans.find(|span| span.len > 0).filter(|_| left > 0) else {
                break;
            };
            first = self.post(head, first, address, descriptor::data(len) | what);
            (address, len, what) = (span.address, span.len.min(left), 0);
            left -= len;
        }
        first = self.post(head, first, address, descriptor::data(len) | what | LAST);
        self.ring.show(head, first);
        self.queued(head, header_len + MAX_SEGMENTS_BYTES - left)
    }

    /// Posts a descriptor of the frame that starts with number `head`; gives the second word of the frame's first one, which is
    /// `first` if this is another.
    #[inline(always)]
    fn post(&mut self, head: u16, first: u64, address: u64, second: u64) -> u64 {
        if self.ring.next() == head {
            self.ring.post_hidden(address, second);
            return second;
        }
        self.ring.post(address, second);
        first
    }

    /// The frame whose descriptors start with number `head` is posted.
    #[inline]
    fn queued(&mut self, head: u16, bytes: u32) -> TxTicket {
        let (count, place) = (self.ring.next().wrapping_sub(head), self.ring.place(head));
        #[allow(clippy::cast_possible_truncation, reason = "at most MAX_RUN")]
        if let Some(run) = self.runs.get_mut(usize::from(place)) {
            *run = count as u8;
        }
        self.counters.frames += 1;
        self.counters.bytes += u64::from(bytes);
        self.tickets.issue()
    }

    /// See [`crate::nic::Nic::tx_done`].
    #[inline]
    pub(super) fn is_done(&self, ticket: TxTicket) -> bool {
        self.tickets.is_done(ticket)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tickets.is_idle()
    }

    /// See [`crate::nic::Nic::reclaim_tx`]. A device that never stops reporting is looked at again in the next cycle.
    #[inline]
    pub(super) fn reclaim(&mut self) {
        for _ in 0..self.done_ring.size() {
            let Some((first, _)) = self.done_ring.take() else {
                return;
            };
            let oldest = self.ring.oldest();
            let run = self.runs.get(usize::from(self.ring.place(oldest)));
            let count = run.map_or(0, |run| u16::from(*run));
            let last = self.ring.place(oldest.wrapping_add(count).wrapping_sub(1));
            if self.is_idle() || descriptor::sent(first) != last {
                self.counters.bad_descriptor += 1;
                continue;
            }
            self.ring.take(count);
            self.tickets.let_go();
        }
    }

    /// Whether the device has sent anything since this was last asked.
    pub(super) fn progress(&mut self) -> Progress {
        self.tickets.progress()
    }

    /// Lets go of all frames, because the device was reset, and is not going to touch them any more.
    pub(super) fn restart(&mut self) {
        self.ring.restart();
        self.done_ring.restart();
        self.tickets.abandon();
        self.told = self.tickets.queued();
    }

    /// The place to write into the doorbell, if there are frames the device was not told of.
    #[inline]
    pub(super) fn news(&mut self) -> Option<u16> {
        if self.told == self.tickets.queued() {
            return None;
        }
        self.told = self.tickets.queued();
        self.counters.doorbells += 1;
        Some(self.ring.place(self.ring.next()))
    }
}
