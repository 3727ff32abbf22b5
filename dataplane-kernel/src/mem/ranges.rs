//! A small set of addresses, kept as ranges without a heap.

use core::ops::Range;

/// Ranges that can be kept apart. A machine's memory map has a handful; beyond this many the smallest are given up.
const MAX_RANGES: usize = 64;

/// The set.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// Disjoint; empty ones are unused places.
    places: [Range<u64>; MAX_RANGES],
}

impl Default for Ranges {
    fn default() -> Self {
        Ranges {
            places: [const { 0..0 }; MAX_RANGES],
        }
    }
}

impl Ranges {
    /// Adds a range, which may overlap what is there.
    pub fn add(&mut self, range: Range<u64>) {
        self.remove(range.clone());
        self.keep(range);
    }

    /// Removes a range, none or all of which may be there.
    pub fn remove(&mut self, range: Range<u64>) {
        for place in 0..MAX_RANGES {
            let found = self.places[place].clone();
            if !range.is_empty() && found.start < range.end && range.start < found.end {
                self.places[place] = 0..0;
                self.keep(found.start..range.start);
                self.keep(range.end..found.end);
            }
        }
    }

    /// The ranges, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.places.iter().filter(|range| !range.is_empty()).cloned()
    }

    /// Sum of all lengths.
    pub fn total(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// `true` if `range` is part of one of the set's.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        self.iter()
            .any(|found| found.start <= range.start && range.end <= found.end)
    }

    fn keep(&mut self, range: Range<u64>) {
        let len = |range: &Range<u64>| range.end.saturating_sub(range.start);
        let smallest = self.places.iter_mut().min_by_key(|place| len(place));
        if let Some(place) = smallest.filter(|place| len(place) < len(&range)) {
            *place = range;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_RANGES, Ranges};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn too_many_pieces_cost_the_smallest() {
        let mut ranges = Ranges::default();
        ranges.add(0..1000);
        for hole in 1..2 * MAX_RANGES as u64 {
            ranges.remove(hole * 2..hole * 2 + 1);
        }
        assert!(ranges.contains(&(300..1000)));
        assert!(ranges.total() < 1000);
    }

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((any::<bool>(), 0u64..200, 0u64..40), 0..20)) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for (add, start, len) in steps {
                let range = start..start + len;
                if add {
                    ranges.add(range.clone());
                    model.extend(range);
                } else {
                    ranges.remove(range.clone());
                    model.retain(|address| !range.contains(address));
                }
            }
            prop_assert_eq!(ranges.total(), model.len() as u64);
            prop_assert_eq!(ranges.iter().flatten().collect::<BTreeSet<u64>>(), model);
        }
    }
}
