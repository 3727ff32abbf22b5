//! What is mapped in a window, and how it is protected. What is not mapped is free: the map is its own allocator.

use super::window::Protection;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// Most regions a program may have, as Linux's `vm.max_map_count`: it bounds the time a search can take.
const MAX_REGIONS: usize = 16_384;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    end: u64,
    protection: Protection,
}

/// Mapped regions by address, none touching another of the same protection.
#[derive(Debug)]
pub(super) struct Regions {
    limits: Range<u64>,
    by_start: BTreeMap<u64, Region>,
}

impl Regions {
    /// Nothing mapped within `limits`.
    pub(super) fn new(limits: Range<u64>) -> Self {
        Regions {
            limits,
            by_start: BTreeMap::new(),
        }
    }

    /// `true` if another few regions may be made.
    pub(super) fn has_room(&self) -> bool {
        self.by_start.len() < MAX_REGIONS
    }

    /// Regions that have a byte in `range`, cut to it, in order.
    fn pieces(&self, range: &Range<u64>) -> impl Iterator<Item = (Range<u64>, Protection)> + use<> {
        let Range { start, end } = *range;
        let before = self.by_start.range(..start).next_back();
        let inside = if start < end {
            Some(self.by_start.range(start..end))
        } else {
            None
        };
        let pieces: Vec<_> = before
            .into_iter()
            .chain(inside.into_iter().flatten())
            .filter(|(_, region)| region.end > start && start < end)
            .map(|(&from, region)| (from.max(start)..region.end.min(end), region.protection))
            .collect();
        pieces.into_iter()
    }

    /// `true` if `range` lies within the limits and nothing is mapped in it.
    pub(super) fn is_free(&self, range: &Range<u64>) -> bool {
        self.is_inside(range) && self.pieces(range).next().is_none()
    }

    /// `true` if `range` lies within the limits.
    pub(super) fn is_inside(&self, range: &Range<u64>) -> bool {
        self.limits.start <= range.start && range.start <= range.end && range.end <= self.limits.end
    }

    /// `true` if all of `range` is mapped with protections that `allowed` accepts.
    pub(super) fn covers(&self, range: &Range<u64>, allowed: impl Fn(Protection) -> bool) -> bool {
        let mut reached = range.start;
        for (piece, protection) in self.pieces(range) {
            if piece.start != reached || !allowed(protection) {
                return false;
            }
            reached = piece.end;
        }
        reached == range.end
    }

    /// How the byte at `address` is protected, if it is mapped.
    pub(super) fn at(&self, address: u64) -> Option<Protection> {
        let (_, region) = self.by_start.range(..=address).next_back()?;
        (address < region.end).then_some(region.protection)
    }

    /// Maps `range`, which must be free.
    pub(super) fn insert(&mut self, range: Range<u64>, protection: Protection) {
        let Range { mut start, mut end } = range;
        if let Some((&from, region)) = self.by_start.range(..start).next_back()
            && region.end == start
            && region.protection == protection
        {
            start = from;
        }
        if let Some(region) = self.by_start.get(&end).copied()
            && region.protection == protection
        {
            self.by_start.remove(&end);
            end = region.end;
        }
        self.by_start.insert(start, Region { end, protection });
    }

    /// Unmaps what is mapped of `range`; returns those pieces.
    pub(super) fn remove(&mut self, range: &Range<u64>) -> Vec<Range<u64>> {
        let pieces: Vec<_> = self.pieces(range).collect();
        for (piece, protection) in &pieces {
            let Some((&from, &region)) = self.by_start.range(..=piece.start).next_back() else {
                continue;
            };
            self.by_start.remove(&from);
            if from < piece.start {
                self.by_start.insert(
                    from,
                    Region {
                        end: piece.start,
                        protection: *protection,
                    },
                );
            }
            if piece.end < region.end {
                self.by_start.insert(piece.end, region);
            }
        }
        pieces.into_iter().map(|(piece, _)| piece).collect()
    }

    /// Changes the protection of `range`, all of which must be mapped.
    pub(super) fn protect(&mut self, range: Range<u64>, protection: Protection) {
        self.remove(&range);
        self.insert(range, protection);
    }

    /// Free ranges, from the highest down.
    fn gaps(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let ends = core::iter::once(self.limits.end).chain(self.by_start.keys().rev().copied());
        let starts = self.by_start.values().rev().map(|region| region.end);
        let starts = starts.chain(core::iter::once(self.limits.start));
        starts
            .zip(ends)
            .map(|(start, end)| start..end)
            .filter(|gap| gap.start < gap.end)
    }

    /// The highest place for `len` bytes, on a multiple of `align` (a power of two) if there is one.
    pub(super) fn find(&self, len: u64, align: u64) -> Option<u64> {
        let place = |gap: Range<u64>, align: u64| {
            let start = gap.end.checked_sub(len)? & !(align - 1);
            (start >= gap.start).then_some(start)
        };
        self.gaps()
            .find_map(|gap| place(gap, align))
            .or_else(|| self.gaps().find_map(|gap| place(gap, super::window::PAGE)))
    }

    /// A place for `len` bytes that are going to become more: in the largest gap, with most of the gap's rest above and
    /// some below.
    pub(super) fn find_growing(&self, len: u64, align: u64) -> Option<u64> {
        let gap = self.gaps().max_by_key(|gap| gap.end - gap.start)?;
        let rest = (gap.end - gap.start).checked_sub(len)?;
        let wanted = gap.start + rest / 4;
        Some(if wanted & !(align - 1) >= gap.start {
            wanted & !(align - 1)
        } else {
            gap.start
        })
    }

    /// Bytes mapped.
    pub(super) fn mapped_bytes(&self) -> u64 {
        self.by_start
            .iter()
            .map(|(start, region)| region.end - start)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Protection, Regions};
    use Protection::{None as Nothing, Read, ReadWrite};
    use std::collections::BTreeMap;

    const PAGE: u64 = 4096;

    fn pages(first: u64, end: u64) -> core::ops::Range<u64> {
        first * PAGE..end * PAGE
    }

    #[test]
    fn neighbours_of_one_protection_are_one_region() {
        let mut regions = Regions::new(pages(1, 100));
        regions.insert(pages(10, 12), Read);
        regions.insert(pages(14, 16), Read);
        regions.insert(pages(12, 14), Read);
        assert_eq!(regions.by_start.len(), 1);
        assert_eq!(regions.remove(&pages(11, 15)), [pages(11, 15)]);
        assert_eq!(regions.by_start.len(), 2);
        assert!(regions.covers(&pages(10, 11), |p| p == Read));
        assert!(!regions.covers(&pages(10, 12), |_| true));
    }

    #[test]
    fn places_are_found_from_the_top_and_aligned_where_possible() {
        let mut regions = Regions::new(pages(1, 100));
        assert_eq!(regions.find(PAGE, PAGE), Some(99 * PAGE));
        assert_eq!(regions.find(3 * PAGE, 16 * PAGE), Some(96 * PAGE));
        assert_eq!(regions.find(99 * PAGE, 16 * PAGE), Some(PAGE));
        assert_eq!(regions.find(100 * PAGE, PAGE), None);
        regions.insert(pages(50, 100), ReadWrite);
        assert_eq!(regions.find(PAGE, PAGE), Some(49 * PAGE));
        let growing = regions.find_growing(9 * PAGE, PAGE).unwrap();
        assert!(regions.is_free(&(growing..growing + 9 * PAGE)));
        assert!(regions.is_free(&(growing..growing + 30 * PAGE)), "room to grow");
    }

    /// Against the plainest model there is: one entry per page.
    #[test]
    fn random_changes_leave_what_a_page_by_page_model_says() {
        let mut regions = Regions::new(pages(0, 64));
        let mut model: BTreeMap<u64, Protection> = BTreeMap::new();
        let mut state = 1u64;
        let mut random = move |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        for _ in 0..20_000 {
            let first = random(64);
            let end = first + 1 + random(64 - first);
            let range = pages(first, end);
            let mapped = (first..end).filter(|page| model.contains_key(page)).count() as u64;
            let protection = [Nothing, Read, ReadWrite][usize::try_from(random(3)).unwrap()];
            assert_eq!(regions.is_free(&range), mapped == 0);
            assert_eq!(regions.covers(&range, |_| true), mapped == end - first);
            match random(3) {
                0 if mapped == 0 => {
                    regions.insert(range, protection);
                    model.extend((first..end).map(|page| (page, protection)));
                }
                1 if mapped == end - first => {
                    regions.protect(range, protection);
                    model.extend((first..end).map(|page| (page, protection)));
                }
                2 => {
                    let removed: u64 = regions.remove(&range).iter().map(|r| r.end - r.start).sum();
                    assert_eq!(removed, mapped * PAGE);
                    model.retain(|page, _| !(first..end).contains(page));
                }
                _ => {}
            }
            assert_eq!(regions.mapped_bytes(), model.len() as u64 * PAGE);
            for page in 0..64 {
                assert_eq!(regions.at(page * PAGE), model.get(&page).copied());
            }
        }
    }
}
