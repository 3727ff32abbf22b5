//! Counting: `incr` and `decr`.

use super::items::{Marks, Slot};
use super::{Commit, Expiry, Key, Mode, Outcome, Store};
use crate::number;
use std::rc::Rc;

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Wraps around at 2^64.
    Up,
    /// Stops at 0.
    Down,
}

/// What to do to a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delta {
    pub(crate) direction: Direction,
    pub(crate) amount: u64,
    /// The id that the item must have; 0: any.
    pub(crate) cas: u64,
    /// The new id, if it is not to be the next.
    pub(crate) new_cas: Option<u64>,
    /// The item to make if there is none.
    pub(crate) initial: Option<Initial>,
}

/// An item to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Initial {
    pub(crate) value: u64,
    pub(crate) expiry: Expiry,
    pub(crate) marks: Marks,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeltaOutcome {
    Changed { slot: Slot, value: u64 },
    Created { slot: Slot, value: u64 },
    NotFound,
    NonNumeric,
    Exists,
    NoMemory,
}

impl Store {
    pub(crate) fn add_delta(&mut self, key: Key<'_>, delta: Delta) -> DeltaOutcome {
        let Some(slot) = self.find(key) else {
            return self.create_number(key, delta);
        };
        let Some(item) = self.items.get(slot) else {
            return DeltaOutcome::NotFound;
        };
        if item.layout.value_len() == 0 {
            return DeltaOutcome::NonNumeric;
        }
        if delta.cas != 0 && item.cas != delta.cas {
            return DeltaOutcome::Exists;
        }
        let Some(before) = number::unsigned(item.value()) else {
            return DeltaOutcome::NonNumeric;
        };
        let value = match delta.direction {
            Direction::Up => {
                self.counters.incr_hits += 1;
                before.wrapping_add(delta.amount)
            }
            Direction::Down => {
                self.counters.decr_hits += 1;
                before.saturating_sub(delta.amount)
            }
        };
        match self.set_number(slot, value, delta.new_cas) {
            Some(slot) => DeltaOutcome::Changed { slot, value },
            None => DeltaOutcome::NoMemory,
        }
    }

    fn create_number(&mut self, key: Key<'_>, delta: Delta) -> DeltaOutcome {
        let Some(Initial { value, expiry, marks }) = delta.initial else {
            match delta.direction {
                Direction::Up => self.counters.incr_misses += 1,
                Direction::Down => self.counters.decr_misses += 1,
            }
            return DeltaOutcome::NotFound;
        };
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value).as_bytes();
        let Ok(mut draft) = self.draft(key, 0, digits.len()) else {
            return DeltaOutcome::NoMemory;
        };
        draft.fill(digits);
        draft.marks = marks;
        let commit = Commit {
            new_cas: delta.new_cas,
            ..Commit::new(Mode::Add, expiry)
        };
        let Outcome::Stored { .. } = self.commit(draft, commit) else {
            return DeltaOutcome::NotFound;
        };
        match self.table.find(key, &self.items) {
            Some(slot) => DeltaOutcome::Created { slot, value },
            None => DeltaOutcome::NotFound,
        }
    }

    /// Writes `value`, padded with spaces to the length that is there, in place if nobody is being sent it.
    fn set_number(&mut self, slot: Slot, value: u64, new_cas: Option<u64>) -> Option<Slot> {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value).as_bytes();
        let next = self.next_cas;
        let item = self.items.get_mut(slot)?;
        let range = item.layout.value();
        if digits.len() <= range.len()
            && let Some(chunk) = Rc::get_mut(&mut item.chunk)
        {
            let (number, rest) = chunk[range].split_at_mut(digits.len());
            number.copy_from_slice(digits);
            rest.fill(b' ');
            item.cas = new_cas.unwrap_or(next);
            self.next_cas += 1;
            self.keep(slot);
            return Some(slot);
        }
        self.replace_number(slot, digits, new_cas)
    }

    fn replace_number(&mut self, slot: Slot, digits: &[u8], new_cas: Option<u64>) -> Option<Slot> {
        let old = self.items.get(slot)?;
        let (chunk, layout) = (Rc::clone(&old.chunk), old.layout);
        let (flags, expiry, hash, marks) = (old.flags, old.expiry, old.hash, old.marks);
        let key = Key {
            bytes: &chunk[layout.key()],
            hash,
        };
        let len = digits.len().max(layout.value_len());
        let mut draft = self.draft(key, flags, len).ok()?;
        draft.fill(digits);
        while draft.missing() > 0 {
            draft.fill(b" ");
        }
        draft.marks = marks;
        draft.marks.clear(Marks::ACTIVE);
        if let Some(slot) = self.table.find(key, &self.items) {
            drop(chunk);
            self.unlink(slot);
            self.link(draft, expiry, new_cas);
            // The arena hands the slot out again that it got back last.
            return Some(slot);
        }
        self.link(draft, expiry, new_cas);
        self.table.find(key, &self.items)
    }
}
