//! Transmitting. A frame is a chain of descriptors: a buffer of this queue's with the device's header and the packet's,
//! then payload where it lies (virtio 1.2, section 5.1.6.2).
//!
//! Chains take consecutive descriptors, so a frame's place in the ring is also its header buffer, and frames are let
//! go of in the order they were queued, whatever the order the device used them in.

use super::header;
use super::ring::{Part, SplitQueue};
use crate::hw::dma::DmaBuffers;
use crate::mem::GuestPhys;
use crate::nic::pairs::Progress;
use crate::nic::tickets::Tickets;
use alloc::boxed::Box;
use alloc::vec;
use netstack::{MAX_TX_SPANS, Span, TxOffload, TxTicket};

/// Longest chain.
#[allow(clippy::cast_possible_truncation, reason = "a few dozen")]
pub(super) const MAX_CHAIN: u16 = MAX_TX_SPANS as u16 + 1;
const _: () = assert!(DmaBuffers::RUN <= MAX_CHAIN);

#[allow(clippy::cast_possible_truncation, reason = "2048")]
const BUFFER_LEN: u32 = DmaBuffers::BYTES as u32;

const HEADER: usize = header::LEN as usize;

/// What the transmit queue counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Frames queued.
    pub(super) frames: u64,
    /// Bytes of those.
    pub(super) bytes: u64,
    /// Frames that found no room.
    pub(super) ring_full: u64,
    /// Used elements that name no frame the device has: skipped.
    pub(super) bad_descriptor: u64,
    /// Times the device was notified of frames.
    pub(super) doorbells: u64,
}

/// What the descriptor at a place starts: nothing (zero), or a chain of so many descriptors, marked once the device has
/// used it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chain(u8);

impl Chain {
    const USED: u8 = 0x80;

    fn is_sent(self) -> bool {
        self.0 != 0 && self.0 < Self::USED
    }

    /// Number of descriptors of a used one.
    fn used(self) -> Option<u16> {
        (self.0 >= Self::USED).then(|| u16::from(self.0 & !Self::USED))
    }
}

#[derive(Debug)]
pub(super) struct Tx {
    pub(super) ring: SplitQueue,
    pub(super) counters: Counters,
    headers: DmaBuffers,
    /// Per descriptor.
    chains: Box<[Chain]>,
    mask: u16,
    /// Descriptors not in use.
    free: u16,
    /// Place of the next frame's first descriptor, and of the oldest's that was not let go of.
    next: u16,
    oldest: u16,
    tickets: Tickets,
}

impl Tx {
    /// A queue whose frames start in `headers`, which must be as many as the ring has descriptors.
    pub(super) fn new(ring: SplitQueue, headers: DmaBuffers) -> Self {
        let size = ring.size();
        Tx {
            ring,
            counters: Counters::default(),
            headers,
            chains: vec![Chain::default(); size.into()].into(),
            mask: size.wrapping_sub(1),
            free: size,
            next: 0,
            oldest: 0,
            tickets: Tickets::default(),
        }
    }

    /// See [`crate::nic::Nic::begin_tx`].
    #[inline]
    pub(super) fn begin(&mut self) -> Option<&mut [u8]> {
        if self.free < MAX_CHAIN {
            self.counters.ring_full += 1;
            return None;
        }
        self.headers.run(self.next).get_mut(HEADER..)
    }

    /// See [`crate::nic::Nic::commit_tx`]. A frame that was not begun is not sent, and done at once.
    #[inline]
    pub(super) fn commit(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        if self.free < MAX_CHAIN {
            return self.tickets.refuse();
        }
        let head = self.next;
        #[allow(clippy::cast_possible_truncation, reason = "at most a run's length")]
        let header_len = header_len.min(DmaBuffers::BYTES * usize::from(DmaBuffers::RUN) - HEADER) as u32;
        header::write(self.headers.buffer(head), header_len, offload);
        let mut bytes = header_len;

        let mut place = head;
        let mut address = self.headers.phys(head);
        let mut left = header::LEN + header_len;
        while left > BUFFER_LEN {
            // What goes over several buffers takes as many descriptors, so that no other frame has these buffers.
            let next = place.wrapping_add(1) & self.mask;
            self.ring
                .describe(place, address, Part::to_read(BUFFER_LEN).chained(next));
            left -= BUFFER_LEN;
            (place, address) = (next, GuestPhys(address.0 + u64::from(BUFFER_LEN)));
        }
        let mut part = Part::to_read(left);
        let room = usize::from(MAX_CHAIN - 1 - (place.wrapping_sub(head) & self.mask));
        for span in payload.get(..room).unwrap_or(payload) {
            if span.len == 0 {
                continue;
            }
            let next = place.wrapping_add(1) & self.mask;
            self.ring.describe(place, address, part.chained(next));
            (place, address, part) = (next, GuestPhys(span.address), Part::to_read(span.len));
            bytes = bytes.wrapping_add(span.len);
        }
        self.ring.describe(place, address, part);
        let next = place.wrapping_add(1) & self.mask;
        self.queue(head, next, bytes)
    }

    /// Posts the chain from `head` to before `next`.
    #[inline]
    fn queue(&mut self, head: u16, next: u16, bytes: u32) -> TxTicket {
        let count = next.wrapping_sub(head) & self.mask;
        #[allow(clippy::cast_possible_truncation, reason = "at most MAX_CHAIN")]
        if let Some(chain) = self.chains.get_mut(usize::from(head)) {
            *chain = Chain(count as u8);
        }
        self.ring.post(head);
        self.next = next;
        self.free -= count;
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

    /// Whether the device has sent anything since this was last asked.
    pub(super) fn progress(&mut self) -> Progress {
        self.tickets.progress()
    }

    /// See [`crate::nic::Nic::reclaim_tx`]. A device that never stops using is looked at again in the next cycle.
    #[inline]
    pub(super) fn reclaim(&mut self) {
        let mut any = false;
        for _ in 0..self.ring.size() {
            let Some(used) = self.ring.next_used() else { break };
            any = true;
            match self.chains.get_mut(used.id as usize) {
                Some(chain) if chain.is_sent() => chain.0 |= Chain::USED,
                _ => self.counters.bad_descriptor += 1,
            }
        }
        if any {
            self.release();
            self.ring.refuse_interrupts();
        }
    }

    /// Lets go of the oldest frames, up to the first that the device still has.
    #[inline]
    fn release(&mut self) {
        while let Some(chain) = self.chains.get_mut(usize::from(self.oldest))
            && let Some(count) = chain.used()
        {
            *chain = Chain::default();
            self.oldest = self.oldest.wrapping_add(count) & self.mask;
            self.free += count;
            self.tickets.let_go();
        }
    }

    /// Lets go of all frames, because the device is not going to touch them any more.
    pub(super) fn abandon(&mut self) {
        self.chains.fill(Chain::default());
        self.free = self.ring.size();
        self.oldest = self.next;
        self.tickets.abandon();
    }

    /// The device was reset: the frames it had are lost.
    pub(super) fn restart(&mut self) {
        self.abandon();
        self.ring.restart();
    }
}
