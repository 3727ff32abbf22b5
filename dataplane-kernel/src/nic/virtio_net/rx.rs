//! Receiving: empty buffers go out, filled ones come back. A buffer is one descriptor: the device's header, then the
//! frame (virtio 1.2, section 5.1.6.3).

use super::header;
use super::ring::{Part, SplitQueue};
use crate::mem::mbuf::{BUFFER_BYTES, Pool, Region};
use crate::nic::RxFrame;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use netstack::{BufId, RxChecksum};

/// An Ethernet header: nothing shorter is a frame.
const MIN_FRAME: u32 = 14;

#[allow(clippy::cast_possible_truncation, reason = "2048")]
const BUFFER_LEN: u32 = BUFFER_BYTES as u32;

/// Mark of a descriptor without a buffer. No pool is so large.
const NONE: u32 = u32::MAX;

/// What the receive queue counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Frames passed on.
    pub(super) frames: u64,
    /// Bytes of those.
    pub(super) bytes: u64,
    /// Used elements that name no buffer the device has: skipped.
    pub(super) bad_descriptor: u64,
    /// Used elements with a length no frame in a buffer can have: the buffer went back to the device.
    pub(super) bad_length: u64,
    /// Times the pool became empty while the queue had room.
    pub(super) no_buffer: u64,
    /// Times the device was notified of new buffers.
    pub(super) doorbells: u64,
}

#[derive(Debug)]
pub(super) struct Rx {
    pub(super) ring: SplitQueue,
    pub(super) counters: Counters,
    region: Region,
    /// Per descriptor: the buffer the device has, or [`NONE`].
    lent: Box<[u32]>,
    /// Descriptors without a buffer.
    empty: Vec<u16>,
    /// The pool had none left for them.
    starved: bool,
    /// `VIRTIO_NET_F_GUEST_CSUM` was agreed on: the header's flags mean something.
    flags_agreed: bool,
}

impl Rx {
    pub(super) fn new(ring: SplitQueue, region: Region, flags_agreed: bool) -> Self {
        let size = ring.size();
        // Every descriptor is a whole buffer for ever; only its address changes.
        (0..size).for_each(|id| ring.describe(id, region.start(), Part::to_write(BUFFER_LEN)));
        Rx {
            counters: Counters::default(),
            region,
            lent: vec![NONE; size.into()].into(),
            empty: (0..size).rev().collect(),
            starved: false,
            flags_agreed,
            ring,
        }
    }

    /// See [`crate::nic::Nic::poll_rx`].
    #[inline]
    pub(super) fn poll(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let (mut frames, mut bytes) = (0, 0);
        for _ in 0..budget {
            let Some(used) = self.ring.next_used() else { break };
            let Some((id, lent)) = lent_at(&mut self.lent, used.id) else {
                self.counters.bad_descriptor += 1;
                continue;
            };
            let len = used.len.wrapping_sub(header::LEN);
            if !(MIN_FRAME..=BUFFER_LEN - header::LEN).contains(&len) {
                self.counters.bad_length += 1;
                self.ring.post(id);
                continue;
            }
            let buf = core::mem::replace(lent, NONE);
            self.empty.push(id);
            frames += 1;
            bytes += u64::from(len);
            let checksum = self.checksum(buf);
            #[allow(
                clippy::cast_possible_truncation,
                reason = "less than a buffer's length, as just checked"
            )]
            sink(RxFrame {
                buf: BufId(buf),
                offset: header::LEN as u16,
                len: len as u16,
                checksum,
            });
        }
        if frames > 0 {
            self.ring.refuse_interrupts();
            self.counters.frames += frames as u64;
            self.counters.bytes += bytes;
        }
        frames
    }

    /// Sections 5.1.6.4.1 and 5.1.6.4.2: a checksum that the device has verified, or that was never computed because the
    /// frame comes from the same host.
    #[inline]
    fn checksum(&self, buf: u32) -> RxChecksum {
        if !self.flags_agreed {
            return RxChecksum::Unknown;
        }
        match self.region.bytes(buf, 0, 1) {
            [flags, ..] if flags & (header::NEEDS_CSUM | header::DATA_VALID) != 0 => RxChecksum::Good,
            _ => RxChecksum::Unknown,
        }
    }

    /// See [`crate::nic::Nic::refill`].
    #[inline]
    pub(super) fn refill(&mut self, pool: &mut Pool) {
        while let Some(id) = self.empty.pop() {
            let Some(buf) = pool.alloc() else {
                self.empty.push(id);
                self.counters.no_buffer += u64::from(!self.starved);
                self.starved = true;
                return;
            };
            self.lend(id, buf);
        }
        self.starved = false;
    }

    #[inline]
    fn lend(&mut self, id: u16, buf: BufId) {
        if let Some(lent) = self.lent.get_mut(usize::from(id)) {
            *lent = buf.0;
        }
        self.ring.readdress(id, self.region.phys(buf.0));
        self.ring.post(id);
    }
}

/// The descriptor the device calls `id`, if it has a buffer.
#[inline(always)]
fn lent_at(lent: &mut [u32], id: u32) -> Option<(u16, &mut u32)> {
    let lent = lent.get_mut(id as usize).filter(|lent| **lent != NONE)?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "an index of the table, whose length is a u16"
    )]
    Some((id as u16, lent))
}
