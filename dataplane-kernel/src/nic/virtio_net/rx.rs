//! Receiving: empty buffers go out, filled ones come back. A buffer is one descriptor: the device's header, then the
//! frame (virtio 1.2, section 5.1.6.3). With `VIRTIO_NET_F_MRG_RXBUF` a frame may go on in the buffers that come back next
//! (section 5.1.6.4).

use super::features::Feature;
use super::header;
use super::ring::{Part, SplitQueue};
use crate::mem::mbuf::{BUFFER_BYTES, Pool, Region};
use crate::nic::parts::Parts;
use crate::nic::{Alarm, MAX_PARTS, RxFrame};
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
    /// Used elements with a length no frame in a buffer can have, or frames of more buffers than any takes: the buffers went
    /// back to the device.
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
    /// What was agreed on.
    features: Feature,
    /// A frame of several buffers that is not complete.
    pub(super) parts: Parts,
    /// Buffers of it that are still to come.
    awaited: u16,
}

impl Rx {
    pub(super) fn new(ring: SplitQueue, region: Region, features: Feature) -> Self {
        let size = ring.size();
        // Every descriptor is a whole buffer for ever; only its address changes.
        (0..size).for_each(|id| ring.describe(id, region.start(), Part::to_write(BUFFER_LEN)));
        Rx {
            counters: Counters::default(),
            region,
            lent: vec![NONE; size.into()].into(),
            empty: (0..size).rev().collect(),
            starved: false,
            features,
            parts: Parts::new(),
            awaited: 0,
            ring,
        }
    }

    /// See [`crate::nic::Nic::poll_rx`].
    #[inline]
    pub(super) fn poll(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let (mut looks, mut buffers, before) = (0, 0, self.counters.frames);
        while looks < budget || self.awaited > 0 && looks < budget + MAX_PARTS {
            looks += 1;
            let Some(used) = self.ring.next_used() else { break };
            let Some((id, lent)) = lent_at(&mut self.lent, used.id) else {
                self.counters.bad_descriptor += 1;
                continue;
            };
            if self.awaited > 0 {
                let buf = BufId(core::mem::replace(lent, NONE));
                self.empty.push(id);
                buffers += self.take_part(buf, used.len, sink);
                continue;
            }
            let len = used.len.wrapping_sub(header::LEN);
            if !(MIN_FRAME..=BUFFER_LEN - header::LEN).contains(&len) {
                self.counters.bad_length += 1;
                self.ring.post(id);
                continue;
            }
            let buf = core::mem::replace(lent, NONE);
            self.empty.push(id);
            let checksum = self.checksum(buf);
            #[allow(
                clippy::cast_possible_truncation,
                reason = "less than a buffer's length, as just checked"
            )]
            let frame = RxFrame {
                buf: BufId(buf),
                offset: header::LEN as u16,
                len: len as u16,
                checksum,
                continues: false,
            };
            match self.buffers_of(buf) {
                1 => {
                    self.counters.frames += 1;
                    self.counters.bytes += u64::from(len);
                    buffers += 1;
                    sink(frame);
                }
                count => self.begin(frame, count),
            }
        }
        if self.counters.frames != before {
            self.ring.refuse_interrupts();
        }
        buffers
    }

    /// How many buffers the frame takes that begins in this one: one at least, whatever the device says.
    #[inline]
    fn buffers_of(&self, buf: u32) -> u16 {
        if !self.features.contains(Feature::MRG_RXBUF) {
            return 1;
        }
        match *self.region.bytes(buf, header::NUM_BUFFERS, 2) {
            [low, high] => u16::from_le_bytes([low, high]).max(1),
            _ => 1,
        }
    }

    /// The first of `count` buffers of a frame.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, first: RxFrame, count: u16) {
        self.parts.begin(first);
        self.awaited = count - 1;
        if usize::from(count) > MAX_PARTS {
            // Of so many buffers none is the beginning of a frame.
            self.parts.spoil();
        }
    }

    /// One more buffer of a frame, `written` bytes of it. With the last one the frame is passed on; gives the number of its
    /// buffers then.
    #[inline(never)]
    fn take_part(&mut self, buf: BufId, written: u32, sink: &mut impl FnMut(RxFrame)) -> usize {
        self.awaited -= 1;
        match u16::try_from(written) {
            Ok(len) if (1..=BUFFER_LEN).contains(&written) => self.parts.push(buf, len),
            _ => {
                self.parts.push(buf, 0);
                self.parts.spoil();
            }
        }
        if self.parts.is_spoilt() {
            // At once: they are all the buffers there may be.
            self.drop_parts();
            return 0;
        }
        if self.awaited > 0 {
            return 0;
        }
        self.counters.frames += 1;
        self.counters.bytes += self.parts.bytes();
        self.parts.pass_on(sink)
    }

    /// What is there of a frame that cannot be one goes back to the device.
    fn drop_parts(&mut self) {
        self.counters.bad_length += u64::from(self.parts.report());
        // There is a descriptor for each, see `refill`.
        while let Some(id) = self.empty.pop() {
            let Some(buf) = self.parts.pop() else {
                self.empty.push(id);
                return;
            };
            self.lend(id, buf);
        }
    }

    /// Sections 5.1.6.4.1 and 5.1.6.4.2: a checksum that the device has verified, or that was never computed because the
    /// frame comes from the same host.
    #[inline]
    fn checksum(&self, buf: u32) -> RxChecksum {
        if !self.features.contains(Feature::GUEST_CSUM) {
            return RxChecksum::Unknown;
        }
        match *self.region.bytes(buf, 0, header::CSUM_END) {
            [flags, _, _, _, _, _, a, b, c, d] if flags & header::NEEDS_CSUM != 0 => RxChecksum::Partial {
                start: u16::from_le_bytes([a, b]),
                offset: u16::from_le_bytes([c, d]),
            },
            [flags, ..] if flags & header::DATA_VALID != 0 => RxChecksum::Good,
            _ => RxChecksum::Unknown,
        }
    }

    /// See [`crate::nic::Nic::refill`].
    #[inline]
    pub(super) fn refill(&mut self, pool: &mut Pool) {
        // As many descriptors are left as may have to go back.
        while self.empty.len() > self.parts.len()
            && let Some(id) = self.empty.pop()
        {
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

    /// It may have too few buffers for the next frame.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// See [`crate::nic::Nic::arm`].
    pub(super) fn arm(&self) -> Alarm {
        if self.ring.arm() {
            Alarm::Set
        } else {
            Alarm::TooLate
        }
    }

    /// Posts all buffers again, to a device that was reset.
    pub(super) fn restart(&mut self) {
        self.ring.restart();
        self.awaited = 0;
        for (id, &lent) in (0..).zip(&self.lent) {
            if lent != NONE {
                self.ring.post(id);
            }
        }
        while let Some(buf) = self.parts.pop()
            && let Some(id) = self.empty.pop()
        {
            self.lend(id, buf);
        }
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
