//! Storing: set, add, replace, append, prepend, and each of them only if the item is the one the client has seen.

use super::items::{Item, Marks, Slot};
use super::layout::Layout;
use super::{Draft, Expiry, Key, Refusal, Store};
use std::rc::Rc;

/// What becomes of an item that is there already, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Set,
    /// Only if there is none.
    Add,
    /// Only if there is one.
    Replace,
    /// After the value of the one there is.
    Append,
    /// Before it.
    Prepend,
}

/// How to store a draft.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    pub(crate) mode: Mode,
    pub(crate) expiry: Expiry,
    /// The id that the item there must have; 0: any, or none.
    pub(crate) cas: u64,
    /// The operation is `cas`: there must be an item, even if `cas` is 0.
    pub(crate) compare: bool,
    /// Store it as stale if it is older than the one there.
    pub(crate) invalidate: bool,
    /// The new id, if it is not to be the next.
    pub(crate) new_cas: Option<u64>,
    /// For append: when an item that was not there and is made then expires.
    pub(crate) vivify: Option<Expiry>,
}

impl Commit {
    pub(crate) fn new(mode: Mode, expiry: Expiry) -> Self {
        Commit {
            mode,
            expiry,
            cas: 0,
            compare: false,
            invalidate: false,
            new_cas: None,
            vivify: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored { cas: u64, value_len: usize },
    NotStored,
    Exists,
    NotFound,
}

impl Store {
    /// Begins an item. Others may have to go for it.
    ///
    /// # Errors
    /// If it is too large, or nothing can go.
    pub(crate) fn draft(&mut self, key: Key<'_>, flags: u32, value_len: usize) -> Result<Draft, Refusal> {
        let key_len = u8::try_from(key.bytes.len()).map_err(|_| Refusal::TooLarge)?;
        let value = u32::try_from(value_len).map_err(|_| Refusal::TooLarge)?;
        if self.is_too_large(key.bytes.len(), flags, value_len) {
            self.counters.store_too_large += 1;
            return Err(Refusal::TooLarge);
        }
        let layout = Layout::new(key_len, flags, value);
        let Some(chunk) = self.chunk(layout.len()) else {
            self.counters.store_no_memory += 1;
            return Err(Refusal::NoMemory);
        };
        Ok(Draft::new(chunk, key.bytes, key.hash, flags, layout))
    }

    /// Gives up a draft.
    pub(crate) fn discard(&mut self, draft: Draft) {
        self.pool.give(draft.chunk);
    }

    /// Stores a draft whose value is all there, or does not.
    pub(crate) fn commit(&mut self, draft: Draft, commit: Commit) -> Outcome {
        self.counters.cmd_set += 1;
        let key = Key {
            bytes: draft.key(),
            hash: draft.hash,
        };
        match self.find(key) {
            Some(slot) => self.commit_over(draft, commit, slot),
            None => self.commit_new(draft, commit),
        }
    }

    fn commit_new(&mut self, draft: Draft, commit: Commit) -> Outcome {
        let refused = match commit.mode {
            _ if commit.compare => {
                self.counters.cas_misses += 1;
                Outcome::NotFound
            }
            Mode::Set | Mode::Add => return self.link(draft, commit.expiry, commit.new_cas),
            Mode::Append | Mode::Prepend => match commit.vivify {
                Some(expiry) => return self.link(draft, expiry, commit.new_cas),
                None => Outcome::NotStored,
            },
            Mode::Replace => Outcome::NotStored,
        };
        self.discard(draft);
        refused
    }

    fn commit_over(&mut self, mut draft: Draft, commit: Commit, slot: Slot) -> Outcome {
        let Some(old) = self.items.get(slot) else {
            return self.commit_new(draft, commit);
        };
        let matches = commit.cas == old.cas;
        let is_older = commit.invalidate && commit.cas != 0 && commit.cas < old.cas;
        match commit.mode {
            Mode::Append | Mode::Prepend => {
                if commit.cas != 0 && !matches {
                    self.discard(draft);
                    return Outcome::Exists;
                }
                self.extend(draft, commit, slot)
            }
            Mode::Add => {
                self.keep(slot);
                self.discard(draft);
                Outcome::NotStored
            }
            Mode::Set | Mode::Replace if commit.compare && !matches && !is_older => {
                self.counters.cas_badval += 1;
                self.discard(draft);
                Outcome::Exists
            }
            Mode::Set | Mode::Replace => {
                let mut expiry = commit.expiry;
                if commit.compare {
                    if !matches {
                        // Late, but better than nothing: for as long as the one it replaces would have lived.
                        expiry = old.expiry;
                        draft.marks.set(Marks::STALE);
                        if old.marks.has(Marks::TOKEN_SENT) {
                            draft.marks.set(Marks::TOKEN_SENT);
                        }
                    }
                    self.counters.cas_hits += 1;
                }
                self.unlink(slot);
                self.link(draft, expiry, commit.new_cas)
            }
        }
    }

    /// Stores the value at `slot` with that of `addition` after or before it.
    fn extend(&mut self, addition: Draft, commit: Commit, slot: Slot) -> Outcome {
        let Some(old) = self.items.get(slot) else {
            self.discard(addition);
            return Outcome::NotStored;
        };
        // Held, so that it survives if it is what has to go for the new one.
        let (chunk, layout) = (Rc::clone(&old.chunk), old.layout);
        let (flags, expiry, hash) = (old.flags, old.expiry, old.hash);
        let binary = old.marks.has(Marks::BINARY_KEY);
        let key = Key {
            bytes: &chunk[layout.key()],
            hash,
        };
        let value_len = layout.value_len() + addition.layout.value_len();
        let Ok(mut draft) = self.draft(key, flags, value_len) else {
            self.discard(addition);
            return Outcome::NotStored;
        };
        let (first, second) = match commit.mode {
            Mode::Prepend => (addition.value(), &chunk[layout.value()]),
            _ => (&chunk[layout.value()], addition.value()),
        };
        draft.fill(first);
        draft.fill(second);
        if binary {
            draft.marks.set(Marks::BINARY_KEY);
        }
        self.discard(addition);
        if let Some(slot) = self.table.find(key, &self.items) {
            drop(chunk);
            self.unlink(slot);
        }
        self.link(draft, expiry, commit.new_cas)
    }

    /// Puts an item in whose key is not in the table.
    pub(super) fn link(&mut self, draft: Draft, expiry: Expiry, new_cas: Option<u64>) -> Outcome {
        let next = self.new_cas();
        let cas = new_cas.unwrap_or(next);
        let value_len = draft.layout.value_len();
        let item = Item {
            chunk: draft.chunk,
            hash: draft.hash,
            cas,
            flags: draft.flags,
            expiry,
            accessed: self.clock.now(),
            layout: draft.layout,
            newer: Slot::NONE,
            older: Slot::NONE,
            epoch: self.epoch,
            marks: draft.marks,
        };
        let hash = item.hash;
        let slot = self.items.insert(item);
        self.table.insert(hash, slot, &self.items);
        self.order.push(slot, &mut self.items);
        self.counters.total_items += 1;
        Outcome::Stored { cas, value_len }
    }
}
