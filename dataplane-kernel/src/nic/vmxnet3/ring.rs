//! Rings as memory only: those of descriptors, by which buffers are given to the device, and those of its reports. They know no
//! frames and no registers.
//!
//! Whose an entry is, its generation says, a bit that each turn of the ring flips: the first turn's is one, and memory starts as
//! zeros. So the device sees a descriptor once its generation is right, doorbell or not.

use super::descriptor::DONE_GENERATION;
use crate::hw::barrier;
use crate::hw::cell::Ring;
use crate::hw::dma::DmaMemory;
use crate::mem::GuestPhys;

const ENTRY_BYTES: usize = 16;

/// Alignment of a ring's memory: a page, although 512 bytes would do.
pub(super) const ALIGN: usize = 4096;

/// Bytes of memory of a ring of `size` entries.
pub(super) fn bytes(size: u16) -> usize {
    ENTRY_BYTES * usize::from(size)
}

/// Entries of two words, and how many of them there are.
#[derive(Debug)]
struct Entries {
    size: u16,
    base: GuestPhys,
    words: Ring<u64>,
}

impl Entries {
    /// `None` if the memory is too small or misaligned, or `size` is no power of two that is a multiple of 32, as the device
    /// wants it, up to 4096.
    fn new(memory: &DmaMemory, size: u16) -> Option<Self> {
        if !size.is_power_of_two() || !(32..=4096).contains(&size) {
            return None;
        }
        Some(Entries {
            size,
            base: memory.phys(0),
            words: memory.ring(0, 2 * size)?,
        })
    }

    /// Place of an entry that was numbered by counting.
    #[inline(always)]
    fn place(&self, number: u16) -> u16 {
        number & (self.size - 1)
    }

    /// It is in a turn whose generation is one.
    #[inline(always)]
    fn is_odd_turn(&self, number: u16) -> bool {
        number & self.size == 0
    }

    /// As they were at first.
    fn clear(&self) {
        (0..2 * self.size).for_each(|word| self.words.write(word, 0));
    }
}

/// Descriptors, used in order.
#[derive(Debug)]
pub(super) struct CommandRing {
    entries: Entries,
    /// The bit of the second word that is the generation.
    generation: u64,
    /// Descriptors posted, counted modulo 2^16, and how many of them were taken back.
    posted: u16,
    taken: u16,
}

impl CommandRing {
    /// An empty ring. `None`: see [`Entries::new`].
    pub(super) fn new(memory: &DmaMemory, size: u16, generation: u64) -> Option<Self> {
        Some(CommandRing {
            entries: Entries::new(memory, size)?,
            generation,
            posted: 0,
            taken: 0,
        })
    }

    pub(super) fn base(&self) -> GuestPhys {
        self.entries.base
    }

    pub(super) fn size(&self) -> u16 {
        self.entries.size
    }

    /// Place of a descriptor that was numbered by counting.
    #[inline(always)]
    pub(super) fn place(&self, number: u16) -> u16 {
        self.entries.place(number)
    }

    /// Descriptors posted and not taken back.
    #[inline(always)]
    pub(super) fn used(&self) -> u16 {
        self.posted.wrapping_sub(self.taken)
    }

    /// Descriptors that can be posted. One is always left over.
    #[inline(always)]
    pub(super) fn room(&self) -> u16 {
        self.entries.size - 1 - self.used()
    }

    /// Number of the descriptor posted next.
    #[inline(always)]
    pub(super) fn next(&self) -> u16 {
        self.posted
    }

    /// Number of the oldest descriptor not taken back.
    #[inline(always)]
    pub(super) fn oldest(&self) -> u16 {
        self.taken
    }

    #[inline(always)]
    fn write(&mut self, first: u64, second: u64, generation: bool) {
        let place = self.place(self.posted);
        let generation = if generation { self.generation } else { 0 };
        self.entries.words.write(2 * place, first);
        barrier::write();
        self.entries.words.write(2 * place + 1, second | generation);
        self.posted = self.posted.wrapping_add(1);
    }

    /// Posts a descriptor, for which there must be room. The device may see it at once.
    #[inline(always)]
    pub(super) fn post(&mut self, first: u64, second: u64) {
        let generation = self.entries.is_odd_turn(self.posted);
        self.write(first, second, generation);
    }

    /// The same for one that the device must not see yet, nor what is posted behind it, until it is shown.
    #[inline(always)]
    pub(super) fn post_hidden(&mut self, first: u64, second: u64) {
        let generation = !self.entries.is_odd_turn(self.posted);
        self.write(first, second, generation);
    }

    /// Shows the device the descriptor with this number, which was posted hidden with this second word.
    #[inline(always)]
    pub(super) fn show(&mut self, number: u16, second: u64) {
        barrier::write();
        let generation = if self.entries.is_odd_turn(number) {
            self.generation
        } else {
            0
        };
        let place = self.place(number);
        self.entries.words.write(2 * place + 1, second | generation);
    }

    /// Takes back the oldest `count`, of those used.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u16) {
        self.taken = self.taken.wrapping_add(count);
    }

    /// Empties it, for a device that was reset and begins with the first place.
    pub(super) fn restart(&mut self) {
        self.entries.clear();
        (self.posted, self.taken) = (0, 0);
    }
}

/// The device's reports, in its order.
#[derive(Debug)]
pub(super) struct CompletionRing {
    entries: Entries,
    /// Reports taken, counted modulo 2^16.
    taken: u16,
}

impl CompletionRing {
    /// An empty ring. `None`: see [`Entries::new`].
    pub(super) fn new(memory: &DmaMemory, size: u16) -> Option<Self> {
        Some(CompletionRing {
            entries: Entries::new(memory, size)?,
            taken: 0,
        })
    }

    pub(super) fn base(&self) -> GuestPhys {
        self.entries.base
    }

    pub(super) fn size(&self) -> u16 {
        self.entries.size
    }

    /// Takes the next report, if there is one: its words.
    #[inline(always)]
    pub(super) fn take(&mut self) -> Option<(u64, u64)> {
        let place = self.entries.place(self.taken);
        let second = self.entries.words.read(2 * place + 1);
        if (second & DONE_GENERATION != 0) != self.entries.is_odd_turn(self.taken) {
            return None;
        }
        barrier::read();
        let first = self.entries.words.read(2 * place);
        self.taken = self.taken.wrapping_add(1);
        Some((first, second))
    }

    /// Empties it, for a device that was reset and begins with the first place.
    pub(super) fn restart(&mut self) {
        self.entries.clear();
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::{DONE_GENERATION, TX_GENERATION};
    use super::{ALIGN, CommandRing, CompletionRing, bytes};
    use crate::hw::dma::testing::{device_read, device_write, memory};

    fn ring(size: u16) -> CommandRing {
        CommandRing::new(&memory(bytes(size), ALIGN), size, TX_GENERATION).unwrap()
    }

    fn second(ring: &CommandRing, place: u64) -> u64 {
        let bytes = device_read(ring.base().0 + 16 * place + 8, 8);
        u64::from_le_bytes(bytes.try_into().unwrap())
    }

    #[test]
    fn memory_or_sizes_that_do_not_fit_are_refused() {
        for size in [0, 16, 96, 8192] {
            let large = memory(1 << 18, 4096);
            assert!(CommandRing::new(&large, size, TX_GENERATION).is_none(), "{size}");
            assert!(CompletionRing::new(&large, size).is_none(), "{size}");
        }
        let short = memory(bytes(32) - 1, 4096);
        assert!(CommandRing::new(&short, 32, TX_GENERATION).is_none());
    }

    #[test]
    fn each_turn_has_the_other_generation_for_ever() {
        let mut ring = ring(32);
        for number in 0..200_000_u32 {
            let place = u64::from(number % 32);
            ring.post(1, 60);
            let generation = if number / 32 % 2 == 0 { TX_GENERATION } else { 0 };
            assert_eq!(second(&ring, place), 60 | generation);
            ring.take(1);
        }
        ring.restart();
        assert!((0..32).all(|place| second(&ring, place) == 0));
        ring.post(1, 60);
        assert_eq!(second(&ring, 0), 60 | TX_GENERATION);
    }

    #[test]
    fn a_hidden_descriptor_is_the_devices_when_it_is_shown() {
        let mut ring = ring(32);
        for turn in 0..100_u16 {
            let before = second(&ring, u64::from(turn % 32)) & TX_GENERATION;
            let number = ring.next();
            ring.post_hidden(1, 60);
            assert_eq!(second(&ring, u64::from(turn % 32)), 60 | before);
            ring.show(number, 60);
            assert_eq!(second(&ring, u64::from(turn % 32)), 60 | before ^ TX_GENERATION);
            ring.take(1);
        }
    }

    #[test]
    fn one_descriptor_is_never_posted() {
        let mut ring = ring(32);
        for left in (0..31).rev() {
            ring.post(0, 0);
            assert_eq!(ring.room(), left);
        }
        ring.take(3);
        assert_eq!((ring.room(), ring.used(), ring.oldest()), (3, 28, 3));
    }

    #[test]
    fn reports_are_taken_once_and_in_the_generation_of_their_turn() {
        let mut ring = CompletionRing::new(&memory(bytes(32), ALIGN), 32).unwrap();
        for number in 0..200_000_u64 {
            assert_eq!(ring.take(), None);
            let generation = if number / 32 % 2 == 0 { DONE_GENERATION } else { 0 };
            let words = [number.to_le_bytes(), generation.to_le_bytes()].concat();
            device_write(ring.base().0 + 16 * (number % 32), &words);
            assert_eq!(ring.take(), Some((number, generation)));
        }
        ring.restart();
        assert_eq!(ring.take(), None);
    }
}
