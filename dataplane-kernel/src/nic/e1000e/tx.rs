//! Transmitting. A frame is a run of data descriptors: a buffer of this queue's with the headers, then payload where it
//! lies; the last one is reported done (SDM, sections 3.3.7 and 3.4). In front of it stands a context descriptor if the
//! card is to compute the checksum in another place than for the frame before: between TCP and UDP. A frame that the card is
//! to cut has one of its own.
//!
//! A frame's first place in the ring is also its header buffer, and frames are let go of in the order they were queued.

use super::descriptor::{self, Context};
use super::ring::DescriptorRing;
use crate::hw::dma::DmaBuffers;
use crate::nic::pairs::Progress;
use crate::nic::segments;
use crate::nic::tickets::Tickets;
use alloc::boxed::Box;
use alloc::vec;
use netstack::wire::vlan::VlanId;
use netstack::{MAX_SEGMENTS_BYTES, MAX_TX_SPANS, Span, TxOffload, TxTicket};

/// Most bytes of a descriptor: what the 82540EM takes without doubt (the limit of Intel's own driver).
const MAX_PIECE: u32 = 4096;

#[allow(clippy::cast_possible_truncation, reason = "2048")]
const BUFFER_LEN: u32 = DmaBuffers::BYTES as u32;

/// Longest run: context, headers, payload, and what is left of it where spans are longer than a descriptor may be.
#[allow(clippy::cast_possible_truncation, reason = "a few dozen")]
pub(super) const MAX_RUN: u16 =
    1 + DmaBuffers::RUN + MAX_TX_SPANS as u16 + (MAX_SEGMENTS_BYTES / MAX_PIECE) as u16;

/// What the transmit queue counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Frames queued.
    pub(super) frames: u64,
    /// Bytes of those.
    pub(super) bytes: u64,
    /// Frames that found no room.
    pub(super) ring_full: u64,
    /// Context descriptors.
    pub(super) contexts: u64,
    /// Times the tail was written.
    pub(super) doorbells: u64,
}

#[derive(Debug)]
pub(super) struct Tx {
    ring: DescriptorRing,
    pub(super) counters: Counters,
    headers: DmaBuffers,
    /// Per place: descriptors of the frame that starts there, if one does.
    runs: Box<[u8]>,
    /// The one the card goes by.
    context: Option<Context>,
    /// What all data descriptors say: the tag to insert, if there is one.
    tag: u64,
    tickets: Tickets,
}

impl Tx {
    /// A queue whose frames start in `headers`, which must be as many as the ring has descriptors; into which the card inserts
    /// tags of `vlan`.
    pub(super) fn new(ring: DescriptorRing, headers: DmaBuffers, vlan: Option<VlanId>) -> Self {
        Tx {
            counters: Counters::default(),
            headers,
            runs: vec![0; ring.size().into()].into(),
            context: None,
            tag: vlan.map_or(0, |vlan| descriptor::tagged(vlan.control())),
            tickets: Tickets::default(),
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
        let room = self.ring.room();
        if room < MAX_RUN {
            return self.tickets.refuse();
        }
        let head = self.ring.next();
        let most = DmaBuffers::BYTES * usize::from(DmaBuffers::RUN);
        #[allow(clippy::cast_possible_truncation, reason = "at most a run's length")]
        let header_len = header_len.min(most) as u32;
        let payload = payload.get(..MAX_TX_SPANS).unwrap_or(payload);
        let payload_len = payload
            .iter()
            .fold(0, |sum: u32, span| sum.saturating_add(span.len))
            .min(MAX_SEGMENTS_BYTES);
        if let TxOffload::Segments { ip, start, .. } = offload {
            // SDM, section 3.5.
            segments::prepare_without_length(self.headers.run(head), ip, start);
        }
        let context = Context::of(offload, header_len, payload_len);
        self.enter(context);
        let last = self.post_parts(head, header_len, payload, payload_len, context);
        self.ring.post(last.0, last.1 | descriptor::LAST);
        self.queued(head, room - self.ring.room(), header_len + payload_len)
    }

    /// Posts headers and payload in pieces, all but the last one, which it gives.
    #[inline]
    fn post_parts(
        &mut self,
        head: u16,
        header_len: u32,
        payload: &[Span],
        mut left: u32,
        context: Option<Context>,
    ) -> (u64, u64) {
        let (mut address, mut len) = (self.headers.phys(head).0, header_len);
        // What goes over several header buffers takes as many descriptors, so that no other frame has these buffers.
        let mut most = BUFFER_LEN;
        let mut spans = payload.iter();
        let data = |len, tag| descriptor::data(len, context) | tag;
        loop {
            while len > most {
                self.ring.post(address, data(most, self.tag));
                (address, len) = (address + u64::from(most), len - most);
            }
            most = MAX_PIECE;
            let Some(span) = spans.find(|span| span.len > 0).filter(|_| left > 0) else {
                return (address, data(len, self.tag));
            };
            self.ring.post(address, data(len, self.tag));
            (address, len) = (span.address, span.len.min(left));
            left -= len;
        }
    }

    /// Makes the card go by `context` for what is posted next, unless it does already.
    #[inline]
    fn enter(&mut self, context: Option<Context>) {
        if let Some(new) = context
            && self.context != context
        {
            let (first, second) = new.words();
            self.ring.post(first, second);
            self.context = context.filter(|context| !context.is_for_one_frame());
            self.counters.contexts += 1;
        }
    }

    /// A frame of `count` descriptors from `head` on is posted.
    #[inline]
    fn queued(&mut self, head: u16, count: u16, bytes: u32) -> TxTicket {
        #[allow(clippy::cast_possible_truncation, reason = "at most MAX_RUN")]
        if let Some(run) = self.runs.get_mut(usize::from(head)) {
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

    /// See [`crate::nic::Nic::reclaim_tx`].
    #[inline]
    pub(super) fn reclaim(&mut self) {
        while let Some(&count) = self.runs.get(usize::from(self.ring.oldest())) {
            let count = u16::from(count);
            if self.is_idle() || self.ring.done(count.wrapping_sub(1)).is_none() {
                return;
            }
            self.ring.take(count);
            self.tickets.let_go();
        }
    }

    /// Whether the card has sent anything since this was last asked.
    pub(super) fn progress(&mut self) -> Progress {
        self.tickets.progress()
    }

    /// Lets go of all frames, because the card was reset, and is not going to touch them any more.
    pub(super) fn restart(&mut self) {
        self.ring.restart();
        self.context = None;
        self.tickets.abandon();
    }

    /// The tail to write, if there is anything new to send.
    #[inline]
    pub(super) fn show(&mut self) -> Option<u16> {
        let tail = self.ring.show()?;
        self.counters.doorbells += 1;
        Some(tail)
    }
}
