//! Physical memory, handed out at start and kept for ever: everything that lives on the data path is sized at boot.

use super::ranges::Ranges;
use super::{GuestPhys, PAGE_BYTES, direct};
use core::ops::Range;

/// The free physical memory.
#[derive(Debug, Default)]
pub struct Frames {
    /// Whole pages.
    free: Ranges,
}

impl Frames {
    /// Adds memory: the whole pages in `range`, which must be in the direct map and overlap nothing added before.
    pub fn add(&mut self, range: Range<u64>) {
        self.free
            .add(range.start.next_multiple_of(PAGE_BYTES)..range.end & !(PAGE_BYTES - 1));
    }

    /// Takes out every page that `range` touches.
    pub fn remove(&mut self, range: Range<u64>) {
        self.free
            .remove(range.start & !(PAGE_BYTES - 1)..range.end.next_multiple_of(PAGE_BYTES));
    }

    /// Takes `bytes`, rounded up to whole pages, contiguous and zeroed, from the lowest fitting place. `align` is a power
    /// of two.
    pub fn alloc(&mut self, bytes: u64, align: u64) -> Option<GuestPhys> {
        let phys = self.alloc_uncleared(bytes, align)?;
        let bytes = usize::try_from(bytes.next_multiple_of(PAGE_BYTES)).ok()?;
        // SAFETY: free memory is in the direct map and nobody else's.
        unsafe { direct(phys).write_bytes(0, bytes) };
        Some(phys)
    }

    /// As [`Self::alloc`], with whatever was in the memory: for large ranges that are cleared as they come into use.
    pub fn alloc_uncleared(&mut self, bytes: u64, align: u64) -> Option<GuestPhys> {
        if bytes == 0 || !align.is_power_of_two() {
            return None;
        }
        let bytes = bytes.checked_next_multiple_of(PAGE_BYTES)?;
        let align = align.max(PAGE_BYTES);
        let fit = |free: Range<u64>| {
            let start = free.start.checked_next_multiple_of(align)?;
            let end = start.checked_add(bytes)?;
            (end <= free.end).then_some(start..end)
        };
        let taken = self.free.iter().filter_map(fit).min_by_key(|range| range.start)?;
        self.remove(taken.clone());
        Some(GuestPhys(taken.start))
    }

    /// The largest contiguous free range, in bytes.
    pub fn largest_free(&self) -> u64 {
        self.free
            .iter()
            .map(|range| range.end - range.start)
            .max()
            .unwrap_or(0)
    }

    /// All that is free, in bytes.
    pub fn free_bytes(&self) -> u64 {
        self.free.total()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, PAGE_BYTES};

    const MIB: u64 = 1 << 20;

    #[test]
    fn ranges_are_trimmed_to_pages() {
        let mut frames = Frames::default();
        frames.add(0x1001..0x4fff);
        assert_eq!(frames.free_bytes(), 2 * PAGE_BYTES);
        frames.remove(0x2fff..0x3000);
        assert_eq!(frames.free_bytes(), PAGE_BYTES);
        assert_eq!(frames.alloc_uncleared(1, 1).map(|p| p.0), Some(0x3000));
        assert_eq!(frames.alloc_uncleared(1, 1), None);
    }

    #[test]
    fn a_hole_splits_a_range() {
        let mut frames = Frames::default();
        frames.add(MIB..64 * MIB);
        frames.remove(15 * MIB..16 * MIB);
        frames.remove(0..MIB + 1);
        assert_eq!(frames.free_bytes(), 62 * MIB - PAGE_BYTES);
        assert_eq!(frames.largest_free(), 48 * MIB);
        assert_eq!(frames.alloc_uncleared(20 * MIB, 1).map(|p| p.0), Some(16 * MIB));
        assert_eq!(
            frames.alloc_uncleared(2 * MIB, 2 * MIB).map(|p| p.0),
            Some(2 * MIB)
        );
        assert_eq!(frames.alloc_uncleared(1, 1).map(|p| p.0), Some(MIB + PAGE_BYTES));
    }

    #[test]
    fn nonsense_and_too_much_are_refused() {
        let mut frames = Frames::default();
        assert_eq!(frames.alloc_uncleared(1, 1), None);
        frames.add(0..MIB);
        assert_eq!(frames.alloc_uncleared(0, 1), None);
        assert_eq!(frames.alloc_uncleared(1, 3), None);
        assert_eq!(frames.alloc_uncleared(u64::MAX, 1), None);
        assert_eq!(
            frames.alloc_uncleared(1, 1 << 63),
            Some(super::GuestPhys(0)),
            "zero is aligned to all"
        );
        assert_eq!(frames.alloc_uncleared(1, 1 << 63), None);
    }

    #[test]
    fn nothing_is_handed_out_twice() {
        let mut frames = Frames::default();
        frames.add(0..MIB);
        let mut seen = std::collections::BTreeSet::new();
        while let Some(page) = frames.alloc_uncleared(1, 1) {
            assert!(seen.insert(page.0));
        }
        assert_eq!(seen.len() as u64, MIB / PAGE_BYTES);
    }
}
