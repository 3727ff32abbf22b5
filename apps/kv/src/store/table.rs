//! From keys to slots.

use super::items::{Items, Slot};
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Tables that share the work: growing one moves only its own entries, so no request waits for long.
const TABLES: usize = 256;

/// Hashes keys, by a secret that all cores share, so that they agree on whose a key is and nobody outside can make keys that
/// meet.
#[derive(Clone)]
pub struct KeyHasher(SeedableRandomState);

impl KeyHasher {
    /// With a new secret. Leaks a few bytes: once in a program.
    #[must_use]
    pub fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        let shared = Box::leak(Box::new(SharedSeed::from_u64(random())));
        KeyHasher(SeedableRandomState::with_seed(random(), shared))
    }

    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// A key with its hash, which is computed once.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: u64,
}

pub(crate) struct Table {
    tables: Vec<HashTable<Slot>>,
    len: usize,
}

/// The bits that choose the table; the tables themselves use those at both ends.
#[inline]
fn table_of(hash: u64) -> usize {
    (hash >> 32) as usize % TABLES
}

impl Table {
    pub(crate) fn new() -> Self {
        Table {
            tables: std::iter::repeat_with(HashTable::new).take(TABLES).collect(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the tables themselves.
    pub(crate) fn allocated(&self) -> usize {
        self.tables.iter().map(HashTable::allocation_size).sum()
    }

    #[inline]
    pub(crate) fn find(&self, key: Key<'_>, items: &Items) -> Option<Slot> {
        let is_it = |slot: &Slot| {
            items
                .get(*slot)
                .is_some_and(|item| item.hash == key.hash && item.key() == key.bytes)
        };
        self.tables[table_of(key.hash)].find(key.hash, is_it).copied()
    }

    /// Adds `slot`, whose key hashes to `hash` and is not in the table.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot, items: &Items) {
        let hash_of = |slot: &Slot| items.get(*slot).map_or(0, |item| item.hash);
        self.tables[table_of(hash)].insert_unique(hash, slot, hash_of);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, hash: u64, slot: Slot) {
        if let Ok(entry) = self.tables[table_of(hash)].find_entry(hash, |other| *other == slot) {
            entry.remove();
            self.len -= 1;
        }
    }
}
