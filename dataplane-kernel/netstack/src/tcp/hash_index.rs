//! An index from hashes to slots: open addressing with linear probing, at most half full. A place holds the hash beside
//! the slot, so a search touches one cache line here and then, nearly always, only the entry it was looking for.

use alloc::boxed::Box;

/// The slot of a free place.
const FREE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    hash: u32,
    slot: u32,
}

/// Maps hashes to slots; several slots may have the same hash.
#[derive(Debug)]
pub(crate) struct HashIndex {
    places: Box<[Place]>,
    mask: u32,
}

impl HashIndex {
    /// Room for `capacity` slots.
    pub(crate) fn new(capacity: u32) -> Self {
        let size = capacity.clamp(8, 1 << 29).saturating_mul(2).next_power_of_two();
        let free = Place { hash: 0, slot: FREE };
        HashIndex {
            places: (0..size).map(|_| free).collect(),
            mask: size - 1,
        }
    }

    /// Where the search for this hash begins.
    #[inline]
    pub(crate) fn place(&self, hash: u32) -> &Place {
        &self.places[(hash & self.mask) as usize]
    }

    /// The slot of this hash for which `is_it` holds.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = hash & self.mask;
        loop {
            let place = self.places[at as usize];
            if place.slot == FREE {
                return None;
            }
            if place.hash == hash && is_it(place.slot) {
                return Some(place.slot);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Adds a slot. The caller keeps to the capacity, so that a free place is always found.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        let mut at = hash & self.mask;
        while self.places[at as usize].slot != FREE {
            at = (at + 1) & self.mask;
        }
        self.places[at as usize] = Place { hash, slot };
    }

    /// Removes a slot, and moves up those behind it that would no longer be found.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let mut hole = hash & self.mask;
        loop {
            match self.places[hole as usize].slot {
                FREE => return,
                found if found == slot => break,
                _ => hole = (hole + 1) & self.mask,
            }
        }
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let place = self.places[at as usize];
            if place.slot == FREE {
                break;
            }
            let from_home = at.wrapping_sub(place.hash) & self.mask;
            let from_hole = at.wrapping_sub(hole) & self.mask;
            if from_home >= from_hole {
                self.places[hole as usize] = place;
                hole = at;
            }
        }
        self.places[hole as usize].slot = FREE;
    }
}

#[cfg(test)]
mod tests {
    use super::HashIndex;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Hashes from a small range, so that runs collide and wrap around the end.
        #[test]
        fn finds_exactly_what_was_inserted(ops in proptest::collection::vec((any::<bool>(), 0u32..12, 0u32..16), 1..200)) {
            let mut index = HashIndex::new(16);
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (add, hash, slot) in ops {
                let hash = hash.wrapping_sub(4);
                let known = model.iter().position(|(_, s)| *s == slot);
                match (add, known) {
                    (true, None) => {
                        index.insert(hash, slot);
                        model.push((hash, slot));
                    }
                    (false, Some(at)) => {
                        let (hash, slot) = model.swap_remove(at);
                        index.remove(hash, slot);
                    }
                    _ => {}
                }
                for slot in 0..16 {
                    let expected = model.iter().find(|(_, s)| *s == slot);
                    for hash in (0..12u32).map(|h| h.wrapping_sub(4)) {
                        let found = index.find(hash, |s| s == slot).is_some();
                        prop_assert_eq!(found, expected.is_some_and(|(h, _)| *h == hash));
                    }
                }
            }
        }
    }
}
