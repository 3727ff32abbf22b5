//! A ring of descriptors (SDM, sections 3.2.6 and 3.4) as memory only: what is posted, what the card has been shown, and
//! what it has done. It knows no frames and no registers.
//!
//! Descriptors are used in order. The card may write anything into them; what it writes is looked at only between the
//! oldest that was not taken and the last one shown, and only as the word it is.

use crate::hw::barrier;
use crate::hw::cell::Ring;
use crate::hw::dma::DmaMemory;
use crate::mem::GuestPhys;

const DESCRIPTOR_BYTES: usize = 16;

#[derive(Debug)]
pub(super) struct DescriptorRing {
    size: u16,
    base: GuestPhys,
    /// In the second word: the card has done it.
    done: u64,
    /// Two words per descriptor: for the card an address (or a context), and what it is to do or has done with it.
    words: Ring<u64>,
    /// Descriptors posted, counted modulo 2^16; how many of them the card was shown; how many were taken back.
    posted: u16,
    shown: u16,
    taken: u16,
}

impl DescriptorRing {
    /// Of the memory, in bytes: a page, although 128 would do.
    pub(super) const ALIGN: usize = 4096;

    /// Bytes of memory of a ring of `size` descriptors.
    pub(super) fn bytes(size: u16) -> usize {
        DESCRIPTOR_BYTES * usize::from(size)
    }

    /// An empty ring, in whose second words the card sets `done`. `None` if the memory is too small or misaligned, or `size` is no power of two from 8 to 4096, as the
    /// card wants it.
    pub(super) fn new(memory: &DmaMemory, size: u16, done: u64) -> Option<Self> {
        if !size.is_power_of_two() || !(8..=4096).contains(&size) {
            return None;
        }
        Some(DescriptorRing {
            size,
            base: memory.phys(0),
            done,
            words: memory.ring(0, 2 * size)?,
            posted: 0,
            shown: 0,
            taken: 0,
        })
    }

    pub(super) fn base(&self) -> GuestPhys {
        self.base
    }

    pub(super) fn size(&self) -> u16 {
        self.size
    }

    /// Place of a descriptor that was numbered by counting.
    #[inline(always)]
    fn place(&self, number: u16) -> u16 {
        number & (self.size - 1)
    }

    /// Descriptors that can be posted. One is always left over: a ring whose tail meets its head is empty to the card.
    #[inline(always)]
    pub(super) fn room(&self) -> u16 {
        self.size - 1 - self.used()
    }

    /// Place of the descriptor posted next.
    #[inline(always)]
    pub(super) fn next(&self) -> u16 {
        self.place(self.posted)
    }

    /// Place of the oldest descriptor not taken back.
    #[inline(always)]
    pub(super) fn oldest(&self) -> u16 {
        self.place(self.taken)
    }

    /// Posts a descriptor, for which there must be room. The card sees it after the tail of [`Self::show`].
    #[inline(always)]
    pub(super) fn post(&mut self, first: u64, second: u64) {
        let place = self.next();
        self.words.write(2 * place, first);
        self.words.write(2 * place + 1, second);
        self.posted = self.posted.wrapping_add(1);
    }

    /// Descriptors shown and not taken back.
    #[inline(always)]
    pub(super) fn held(&self) -> u16 {
        self.shown.wrapping_sub(self.taken)
    }

    /// The tail that shows the card all that is posted; `None` if it has been shown all.
    #[inline(always)]
    pub(super) fn show(&mut self) -> Option<u16> {
        if self.posted == self.shown {
            return None;
        }
        self.shown = self.posted;
        barrier::write();
        Some(self.place(self.shown))
    }

    /// The second word of the `ahead`th descriptor after the oldest, if the card has done it.
    #[inline(always)]
    pub(super) fn done(&self, ahead: u16) -> Option<u64> {
        if ahead >= self.held() {
            return None;
        }
        let place = self.place(self.taken.wrapping_add(ahead));
        let word = self.words.read(2 * place + 1);
        if word & self.done == 0 {
            return None;
        }
        barrier::read();
        Some(word)
    }

    /// Takes back the oldest `count`, of those held.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u16) {
        self.taken = self.taken.wrapping_add(count);
    }

    /// Descriptors posted and not taken back.
    pub(super) fn used(&self) -> u16 {
        self.posted.wrapping_sub(self.taken)
    }

    /// Empties it, for a card that was reset and begins with the first place.
    pub(super) fn restart(&mut self) {
        (self.posted, self.shown, self.taken) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::DescriptorRing;
    use crate::hw::dma::testing::{device_write, memory};
    use crate::nic::e1000e::descriptor::DONE;

    fn ring(size: u16) -> DescriptorRing {
        DescriptorRing::new(
            &memory(DescriptorRing::bytes(size), DescriptorRing::ALIGN),
            size,
            DONE,
        )
        .unwrap()
    }

    #[test]
    fn memory_or_sizes_that_do_not_fit_are_refused() {
        for size in [0, 4, 24, 8192] {
            assert!(
                DescriptorRing::new(&memory(1 << 18, 4096), size, DONE).is_none(),
                "{size}"
            );
        }
        let short = memory(DescriptorRing::bytes(8) - 1, 4096);
        assert!(DescriptorRing::new(&short, 8, DONE).is_none());
    }

    #[test]
    fn one_descriptor_is_never_posted() {
        let mut ring = ring(8);
        for left in (0..7).rev() {
            ring.post(0, 0);
            assert_eq!(ring.room(), left);
        }
        assert_eq!(ring.show(), Some(7));
        assert_eq!(ring.show(), None);
        ring.take(3);
        assert_eq!((ring.room(), ring.held(), ring.oldest()), (3, 4, 3));
    }

    #[test]
    fn only_what_was_shown_can_be_done() {
        let mut ring = ring(8);
        (0..3).for_each(|_| ring.post(0, 0));
        ring.show();
        ring.post(0, 0);
        (0..8).for_each(|place| device_write(ring.base().0 + 16 * place + 8, &[0xff; 8]));
        assert_eq!((0..8).filter(|&ahead| ring.done(ahead).is_some()).count(), 3);
    }
}
