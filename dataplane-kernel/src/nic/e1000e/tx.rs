//! Transmitting. A frame is a run of data descriptors: a buffer of this queue's with the headers, then payload where it
//! lies; the last one is reported done (SDM, sections 3.3.7 and 3.4). In front of it stands a context descriptor if the
//! card is to compute the checksum in another place than for the frame before: between TCP and UDP.
//!
//! A frame's first place in the ring is also its header buffer, and frames are let go of in the order they were queued.

use super::descriptor::{self, Context};
use super::ring::DescriptorRing;
use crate::hw::dma::DmaBuffers;
use alloc::boxed::Box;
use alloc::vec;
use netstack::{ChecksumOffload, MAX_TX_SPANS, Span, TxTicket};

/// Longest run: context, headers, payload.
#[allow(clippy::cast_possible_truncation, reason = "a few dozen")]
pub(super) const MAX_RUN: u16 = MAX_TX_SPANS as u16 + 2;

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
    /// Frames let go of, counted modulo 2^32. A frame's ticket is the number of frames before it.
    done: u32,
}

impl Tx {
    /// A queue whose frames start in `headers`, which must be as many as the ring has descriptors.
    pub(super) fn new(ring: DescriptorRing, headers: DmaBuffers) -> Self {
        Tx {
            counters: Counters::default(),
            headers,
            runs: vec![0; ring.size().into()].into(),
            context: None,
            done: 0,
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
        Some(self.headers.buffer(self.ring.next()))
    }

    /// See [`crate::nic::Nic::commit_tx`]. A frame that was not begun is not sent, and done at once.
    #[inline]
    pub(super) fn commit(
        &mut self,
        header_len: usize,
        payload: &[Span],
        checksum: ChecksumOffload,
    ) -> TxTicket {
        let room = self.ring.room();
        if room < MAX_RUN {
            return TxTicket(self.done.wrapping_sub(1));
        }
        let head = self.ring.next();
        let context = Context::of(checksum);
        self.enter(context);
        #[allow(clippy::cast_possible_truncation, reason = "at most a buffer's length")]
        let mut len = header_len.min(DmaBuffers::BYTES) as u32;
        let mut address = self.headers.phys(head).0;
        let mut bytes = len;
        for span in payload.get(..MAX_TX_SPANS).unwrap_or(payload) {
            if span.len == 0 {
                continue;
            }
            self.ring.post(address, descriptor::data(len, context));
            (address, len) = (span.address, span.len);
            bytes = bytes.wrapping_add(len);
        }
        self.ring
            .post(address, descriptor::data(len, context) | descriptor::LAST);
        self.queued(head, room - self.ring.room(), bytes)
    }

    /// Makes the card go by `context` for what is posted next, unless it does already.
    #[inline]
    fn enter(&mut self, context: Option<Context>) {
        if let Some(new) = context
            && self.context != context
        {
            let (first, second) = new.words();
            self.ring.post(first, second);
            self.context = context;
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
        let ticket = self.next_ticket();
        self.counters.frames += 1;
        self.counters.bytes += u64::from(bytes);
        TxTicket(ticket)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "modulo 2^32 is meant")]
    fn next_ticket(&self) -> u32 {
        self.counters.frames as u32
    }

    /// See [`crate::nic::Nic::tx_done`].
    #[inline]
    pub(super) fn is_done(&self, ticket: TxTicket) -> bool {
        let ahead = self.done.wrapping_sub(ticket.0);
        ahead != 0 && ahead < 1 << 31
    }

    pub(super) fn is_idle(&self) -> bool {
        self.done == self.next_ticket()
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
            self.done = self.done.wrapping_add(1);
        }
    }

    /// Lets go of all frames, because the card is not going to touch them any more.
    pub(super) fn abandon(&mut self) {
        self.ring.take_all();
        self.context = None;
        self.done = self.next_ticket();
    }

    /// The tail to write, if there is anything new to send.
    #[inline]
    pub(super) fn show(&mut self) -> Option<u16> {
        let tail = self.ring.show()?;
        self.counters.doorbells += 1;
        Some(tail)
    }
}
