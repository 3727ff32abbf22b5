//! A table whose keys are small and go stale: slot index and generation in one word, which is what the ABI's cookies
//! carry. Looking up is an index and a comparison.

use ix_abi::app::Handle;

/// Generations count from 1 to this.
const LAST_GENERATION: u32 = (1 << Handle::GENERATION_BITS) - 1;

/// Names one entry for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    #[inline]
    pub(crate) fn new(index: u32, generation: u32) -> Self {
        Key(u64::from(generation) << 32 | u64::from(index))
    }

    #[inline]
    pub(crate) fn cookie(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) fn from_cookie(cookie: u64) -> Self {
        Key(cookie)
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    #[inline]
    pub(crate) fn generation(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab::new()
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Slab {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// # Panics
    /// At 2^32 entries.
    pub(crate) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return Key::new(index, slot.generation);
        }
        let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 entries");
        // Generations start at 1: no key is 0, which is what the kernel reports where no cookie was given.
        self.slots.push(Slot {
            generation: 1,
            value: Some(value),
        });
        Key::new(index, 1)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index())?;
        if slot.generation == key.generation() {
            slot.value.as_ref()
        } else {
            None
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation == key.generation() {
            slot.value.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation != key.generation() {
            return None;
        }
        let value = slot.value.take()?;
        // Within what a handle carries, and never 0.
        slot.generation = slot.generation % LAST_GENERATION + 1;
        self.free.push(u32::try_from(key.index()).ok()?);
        Some(value)
    }

    /// The key of the entry in slot `index`, if there is one.
    pub(crate) fn key_at(&self, index: usize) -> Option<Key> {
        let slot = self.slots.get(index).filter(|slot| slot.value.is_some())?;
        Some(Key::new(u32::try_from(index).ok()?, slot.generation))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The keys of all entries.
    pub(crate) fn keys(&self) -> Vec<Key> {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(index, slot)| Key::new(index, slot.generation))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Slab};

    #[test]
    fn a_key_is_stale_once_its_entry_is_gone_even_if_the_slot_is_reused() {
        let mut slab = Slab::new();
        let a = slab.insert('a');
        let b = slab.insert('b');
        assert_eq!((a.index(), b.index()), (0, 1));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.remove(a), None);
        let c = slab.insert('c');
        assert_eq!(c.index(), 0);
        assert_ne!(a, c);
        assert_eq!(
            (slab.get(a), slab.get(c), slab.get(b)),
            (None, Some(&'c'), Some(&'b'))
        );
        assert_eq!(Key::from_cookie(c.cookie()), c);
        assert_eq!(slab.len(), 2);
        assert_eq!(slab.keys(), [c, b]);
    }

    #[test]
    fn forged_keys_name_nothing() {
        let mut slab = Slab::new();
        slab.insert(1);
        for cookie in [0, 1, u64::MAX, 1 << 32 | 1, 2 << 32] {
            assert_eq!(slab.get_mut(Key::from_cookie(cookie)), None);
        }
    }
}
