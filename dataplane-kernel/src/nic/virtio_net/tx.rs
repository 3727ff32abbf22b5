//! Transmitting. A frame is a chain of descriptors: a buffer of this queue's with the device's header and the packet's,
//! then payload where it lies (virtio 1.2, section 5.1.6.2).
//!
//! Chains take consecutive descriptors, so a frame's place in the ring is also its header buffer, and frames are let
//! go of in the order they were queued, whatever the order the device used them in.

use super::header;
use super::ring::{Descriptor, SplitQueue};
use crate::hw::dma::DmaBuffers;
use crate::mem::GuestPhys;
use alloc::boxed::Box;
use alloc::vec;
use netstack::{ChecksumOffload, MAX_TX_SPANS, Span, TxTicket};

/// Longest chain.
#[allow(clippy::cast_possible_truncation, reason = "9")]
pub(super) const MAX_CHAIN: u16 = MAX_TX_SPANS as u16 + 1;

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

/// What the descriptor at a place starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// Nothing.
    None,
    /// A chain of this many descriptors, which the device has.
    Sent(u8),
    /// One that the device has used, but not yet one before it.
    Used(u8),
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
    /// Frames queued and frames let go of, counted modulo 2^32.
    queued: u32,
    done: u32,
}

impl Tx {
    /// A queue whose frames start in `headers`, which must be as many as the ring has descriptors.
    pub(super) fn new(ring: SplitQueue, headers: DmaBuffers) -> Self {
        let size = ring.size();
        Tx {
            ring,
            counters: Counters::default(),
            headers,
            chains: vec![Chain::None; size.into()].into(),
            mask: size.wrapping_sub(1),
            free: size,
            next: 0,
            oldest: 0,
            queued: 0,
            done: 0,
        }
    }

    /// See [`crate::nic::Nic::begin_tx`].
    #[inline]
    pub(super) fn begin(&mut self) -> Option<&mut [u8]> {
        if self.free < MAX_CHAIN {
            self.counters.ring_full += 1;
            return None;
        }
        self.headers.buffer(self.next).get_mut(HEADER..)
    }

    /// See [`crate::nic::Nic::commit_tx`]. A frame that was not begun is not sent, and done at once.
    #[inline]
    pub(super) fn commit(
        &mut self,
        header_len: usize,
        payload: &[Span],
        checksum: ChecksumOffload,
    ) -> TxTicket {
        if self.free < MAX_CHAIN {
            return TxTicket(self.done.wrapping_sub(1));
        }
        let head = self.next;
        let buffer = self.headers.buffer(head);
        buffer[..HEADER].copy_from_slice(&header::to_transmit(checksum));
        #[allow(clippy::cast_possible_truncation, reason = "at most a buffer's length")]
        let header_len = (HEADER + header_len).min(DmaBuffers::BYTES) as u32;
        let mut bytes = header_len - header::LEN;

        let mut place = head;
        let mut descriptor = Descriptor::to_read(self.headers.phys(head), header_len);
        for span in payload.iter().take(MAX_TX_SPANS).filter(|span| span.len != 0) {
            let next = place.wrapping_add(1) & self.mask;
            self.ring.describe(place, descriptor.chained(next));
            descriptor = Descriptor::to_read(GuestPhys(span.address), span.len);
            bytes = bytes.wrapping_add(span.len);
            place = next;
        }
        self.ring.describe(place, descriptor);
        let count = (place.wrapping_sub(head) & self.mask) + 1;
        self.queue(head, count, bytes)
    }

    #[inline]
    fn queue(&mut self, head: u16, count: u16, bytes: u32) -> TxTicket {
        #[allow(clippy::cast_possible_truncation, reason = "at most MAX_CHAIN")]
        if let Some(chain) = self.chains.get_mut(usize::from(head)) {
            *chain = Chain::Sent(count as u8);
        }
        self.ring.post(head);
        self.next = head.wrapping_add(count) & self.mask;
        self.free -= count;
        self.counters.frames += 1;
        self.counters.bytes += u64::from(bytes);
        let ticket = TxTicket(self.queued);
        self.queued = self.queued.wrapping_add(1);
        ticket
    }

    /// See [`crate::nic::Nic::tx_done`].
    #[inline]
    pub(super) fn is_done(&self, ticket: TxTicket) -> bool {
        let ahead = self.done.wrapping_sub(ticket.0);
        ahead != 0 && ahead < 1 << 31
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queued == self.done
    }

    /// See [`crate::nic::Nic::reclaim_tx`]. A device that never stops using is looked at again in the next cycle.
    #[inline]
    pub(super) fn reclaim(&mut self) {
        let mut any = false;
        for _ in 0..self.ring.size() {
            let Some(used) = self.ring.next_used() else { break };
            any = true;
            match self.chains.get_mut(used.id as usize) {
                Some(chain @ &mut Chain::Sent(count)) => *chain = Chain::Used(count),
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
        while let Some(chain @ &mut Chain::Used(count)) = self.chains.get_mut(usize::from(self.oldest)) {
            *chain = Chain::None;
            let count = u16::from(count);
            self.oldest = self.oldest.wrapping_add(count) & self.mask;
            self.free += count;
            self.done = self.done.wrapping_add(1);
        }
    }

    /// Lets go of all frames, because the device is not going to touch them any more.
    pub(super) fn abandon(&mut self) {
        self.chains.fill(Chain::None);
        self.free = self.ring.size();
        self.oldest = self.next;
        self.done = self.queued;
    }
}
