//! A split virtqueue (virtio 1.2, section 2.7) as memory only: what is posted, what has come back, and whether the
//! device wants to be told. It knows no frames and no registers.
//!
//! The device writes the used ring and may write anything there: an index is believed only if it is possible, and an
//! identifier is passed on as the number it is, for the owner of the queue to check.

use crate::hw::barrier;
use crate::hw::cell::{Cell, Ring};
use crate::hw::dma::DmaMemory;
use crate::mem::GuestPhys;

/// `VIRTQ_AVAIL_F_NO_INTERRUPT` (section 2.7.6).
const AVAIL_NO_INTERRUPT: u16 = 1;

/// `VIRTQ_USED_F_NO_NOTIFY` (section 2.7.8).
const USED_NO_NOTIFY: u16 = 1;

const DESCRIPTOR_BYTES: usize = 16;
const AVAIL_HEADER_BYTES: usize = 4;
const USED_HEADER_BYTES: usize = 4;
const USED_ELEMENT_BYTES: usize = 8;

/// The used ring has cache lines of its own. It starts (aligned to 4, as it may) where its elements are aligned to 8, so
/// that one read takes one.
const LINE: usize = 64;
const USED_SKEW: usize = USED_ELEMENT_BYTES - USED_HEADER_BYTES;

/// What an entry of the descriptor table (section 2.7.5) says besides an address: length, flags and the next one's index,
/// as the word they are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(u64);

impl Part {
    const NEXT: u64 = 1 << 32;
    const WRITE: u64 = 2 << 32;

    /// `len` bytes the device is to read.
    #[inline(always)]
    pub(super) const fn to_read(len: u32) -> Self {
        Part(len as u64)
    }

    /// `len` bytes the device is to write.
    #[inline(always)]
    pub(super) const fn to_write(len: u32) -> Self {
        Part(len as u64 | Self::WRITE)
    }

    /// The same, continued by the descriptor at index `next`.
    #[inline(always)]
    pub(super) fn chained(self, next: u16) -> Self {
        Part(self.0 | Self::NEXT | (u64::from(next) << 48))
    }
}

/// What came back: the index of a chain's first descriptor and the number of bytes written to it, as the device says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) id: u32,
    pub(super) len: u32,
}

/// Where a device finds the three parts of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Descriptor table.
    pub descriptors: GuestPhys,
    /// Available ring, or driver area.
    pub available: GuestPhys,
    /// Used ring, or device area.
    pub used: GuestPhys,
}

/// How the two sides tell each other whether they want to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suppression {
    /// By a flag (section 2.7.7, without `VIRTIO_F_EVENT_IDX`).
    Flags,
    /// By the index from which on (with it).
    EventIndex,
}

#[derive(Debug)]
pub(super) struct SplitQueue {
    size: u16,
    suppression: Suppression,
    /// Two words each: the address, and a [`Part`].
    descriptors: Ring<[u64; 2]>,
    available: Ring<u16>,
    available_index: Cell<u16>,
    available_flags: Cell<u16>,
    used_event: Cell<u16>,
    used: Ring<u64>,
    used_index: Cell<u16>,
    used_flags: Cell<u16>,
    available_event: Cell<u16>,
    addresses: Addresses,
    /// Chains posted, counted modulo 2^16, and how many of them the device has been shown.
    posted: u16,
    shown: u16,
    /// Used elements taken, and how many the device is known to have written.
    taken: u16,
    written: u16,
    /// Times the used index was an impossible one.
    bad_used_index: u64,
}

impl SplitQueue {
    /// Bytes of memory, to be aligned to [`Self::ALIGN`], of a queue of `size` descriptors.
    pub(super) fn bytes(size: u16) -> usize {
        let used = USED_HEADER_BYTES + USED_ELEMENT_BYTES * usize::from(size) + size_of::<u16>();
        Self::used_offset(size) + used
    }

    /// Of the memory, in bytes.
    pub(super) const ALIGN: usize = 4096;

    fn used_offset(size: u16) -> usize {
        let available = AVAIL_HEADER_BYTES + size_of::<u16>() * usize::from(size) + size_of::<u16>();
        (DESCRIPTOR_BYTES * usize::from(size) + available).next_multiple_of(LINE) + USED_SKEW
    }

    /// An empty queue in zeroed memory. `None` if the memory is too small or misaligned, or `size` is no power of two.
    pub(super) fn new(memory: &DmaMemory, size: u16, suppression: Suppression) -> Option<Self> {
        let entries = usize::from(size);
        let available = DESCRIPTOR_BYTES * entries;
        let used = Self::used_offset(size);
        let available_ring = available + AVAIL_HEADER_BYTES;
        let used_ring = used + USED_HEADER_BYTES;
        let queue = SplitQueue {
            size,
            suppression,
            descriptors: memory.ring(0, size)?,
            available: memory.ring(available_ring, size)?,
            available_index: memory.cell(available + 2)?,
            available_flags: memory.cell(available)?,
            used_event: memory.cell(available_ring + 2 * entries)?,
            used: memory.ring(used_ring, size)?,
            used_index: memory.cell(used + 2)?,
            used_flags: memory.cell(used)?,
            available_event: memory.cell(used_ring + USED_ELEMENT_BYTES * entries)?,
            addresses: Addresses {
                descriptors: memory.phys(0),
                available: memory.phys(available),
                used: memory.phys(used),
            },
            posted: 0,
            shown: 0,
            taken: 0,
            written: 0,
            bad_used_index: 0,
        };
        queue.disarm();
        Some(queue)
    }

    /// Empties it, for a device that was reset: nothing is posted, and nothing has come back.
    pub(super) fn restart(&mut self) {
        (self.posted, self.shown, self.taken, self.written) = (0, 0, 0, 0);
        self.available_index.write(0);
        self.used_index.write(0);
        self.used_flags.write(0);
        self.available_event.write(0);
        self.disarm();
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub(super) fn size(&self) -> u16 {
        self.size
    }

    pub(super) fn bad_used_index(&self) -> u64 {
        self.bad_used_index
    }

    /// Writes the descriptor at `index` modulo the size.
    #[inline(always)]
    pub(super) fn describe(&self, index: u16, address: GuestPhys, part: Part) {
        self.descriptors.write_words(index, address.0, part.0);
    }

    /// Writes only the address of the descriptor at `index` modulo the size.
    #[inline(always)]
    pub(super) fn readdress(&self, index: u16, address: GuestPhys) {
        self.descriptors.write_first_word(index, address.0);
    }

    /// Posts the chain that starts with descriptor `head`. The device sees it after [`Self::show`].
    #[inline(always)]
    pub(super) fn post(&mut self, head: u16) {
        self.available.write(self.posted, head);
        self.posted = self.posted.wrapping_add(1);
    }

    /// Shows the device all that was posted. `Some` if that was anything, with the count before, for
    /// [`Self::wants_doorbell`].
    #[inline]
    pub(super) fn show(&mut self) -> Option<u16> {
        let before = self.shown;
        if self.posted == before {
            return None;
        }
        barrier::write();
        self.available_index.write(self.posted);
        self.shown = self.posted;
        Some(before)
    }

    /// Whether the device must be notified of what was shown since the count was `before` (sections 2.7.10 and
    /// 2.7.22). A full barrier must stand between the two.
    #[inline]
    pub(super) fn wants_doorbell(&self, before: u16) -> bool {
        match self.suppression {
            Suppression::Flags => self.used_flags.read() & USED_NO_NOTIFY == 0,
            Suppression::EventIndex => passed(self.available_event.read(), self.shown, before),
        }
    }

    /// The next element of the used ring, if there is one.
    #[inline(always)]
    pub(super) fn next_used(&mut self) -> Option<Used> {
        if self.taken == self.written && !self.look() {
            return None;
        }
        let element = self.used.read(self.taken);
        self.taken = self.taken.wrapping_add(1);
        #[allow(clippy::cast_possible_truncation, reason = "the low half and the high half")]
        Some(Used {
            id: element as u32,
            len: (element >> 32) as u32,
        })
    }

    /// Reads how far the device has come; `false` if no further. An index that is further away than the queue is long
    /// is a lie, and the queue stands still until it is a possible one.
    #[inline(always)]
    fn look(&mut self) -> bool {
        let index = self.used_index.read();
        if index == self.taken {
            return false;
        }
        if index.wrapping_sub(self.taken) > self.size {
            self.bad_used_index += 1;
            return false;
        }
        barrier::read();
        self.written = index;
        true
    }

    /// Keeps the device from interrupting for what it writes next. With event indices that takes a store now and then:
    /// the event index stays behind the used index, which never passes it then (section 2.7.10.1).
    #[inline]
    pub(super) fn refuse_interrupts(&self) {
        if self.suppression == Suppression::EventIndex {
            self.used_event.write(self.taken.wrapping_sub(1));
        }
    }

    /// Has the device interrupt for the next element that it writes (section 2.7.7.1); `false` if it has written one already,
    /// maybe before it could know.
    pub(super) fn arm(&self) -> bool {
        match self.suppression {
            Suppression::Flags => self.available_flags.write(0),
            Suppression::EventIndex => self.used_event.write(self.taken),
        }
        barrier::full();
        self.used_index.read() == self.taken
    }

    /// It is to interrupt no more. A device that goes by the flag may do so all the same, having read it before.
    pub(super) fn disarm(&self) {
        match self.suppression {
            Suppression::Flags => self.available_flags.write(AVAIL_NO_INTERRUPT),
            Suppression::EventIndex => self.refuse_interrupts(),
        }
    }
}

/// Whether an index that went from `old` to `new` has passed `event` (`vring_need_event` of section 2.7.10.1): the entry
/// numbered `event` is among those added.
#[inline(always)]
fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::{SplitQueue, passed};
    use proptest::prelude::*;

    proptest! {
        /// Against the definition: of the entries numbered `old` to `new - 1`, one is numbered `event`.
        #[test]
        fn an_event_is_passed_if_it_is_among_the_entries_added(old: u16, added in 0..2000_u16, near in -2100..2100_i32) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "modulo 2^16 is meant")]
            let event = old.wrapping_add(near as u16);
            let among = (0..added).any(|i| old.wrapping_add(i) == event);
            prop_assert_eq!(passed(event, old.wrapping_add(added), old), among);
        }
    }

    #[test]
    fn the_parts_lie_as_the_specification_wants() {
        for size in [32, 256, 1024] {
            let memory = crate::hw::dma::testing::memory(SplitQueue::bytes(size), SplitQueue::ALIGN);
            let queue = SplitQueue::new(&memory, size, super::Suppression::Flags).unwrap();
            let at = queue.addresses();
            let aligned = |at: crate::mem::GuestPhys, align| at.0.is_multiple_of(align);
            assert!(aligned(at.descriptors, 16) && aligned(at.available, 2) && aligned(at.used, 4));
            assert!(at.available.0 >= at.descriptors.0 + 16 * u64::from(size));
            assert!(at.used.0 >= at.available.0 + 6 + 2 * u64::from(size));
            assert!(SplitQueue::bytes(size) as u64 >= at.used.0 + 6 + 8 * u64::from(size) - at.descriptors.0);
        }
    }

    #[test]
    fn memory_that_does_not_fit_is_refused() {
        let memory = crate::hw::dma::testing::memory(SplitQueue::bytes(32) - 1, SplitQueue::ALIGN);
        assert!(SplitQueue::new(&memory, 32, super::Suppression::Flags).is_none());
        assert!(SplitQueue::new(&memory, 24, super::Suppression::Flags).is_none());
    }
}
