//! What is due when.

use crate::slab::Key;
use std::collections::BTreeSet;

/// What happens when a moment comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A timer of the app's goes off.
    Timer(Key),
    /// It is time to look how much of a flow has been acknowledged: Linux tells when asked, and not by itself.
    Acknowledgements(Key),
    /// The peer of a closed flow has had its time to close as well.
    Linger(Key),
    /// A listener for which there was no file descriptor tries again.
    Accept(Key),
}

#[derive(Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(u64, Due)>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at_ns: u64, due: Due) {
        self.set.insert((at_ns, due));
    }

    pub(super) fn cancel(&mut self, at_ns: u64, due: Due) {
        self.set.remove(&(at_ns, due));
    }

    /// The earliest.
    pub(super) fn next(&self) -> Option<u64> {
        self.set.first().map(|&(at, _)| at)
    }

    /// Takes out the earliest, if its time has come.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<Due> {
        let &(at, due) = self.set.first()?;
        if at > now_ns {
            return None;
        }
        self.set.pop_first();
        Some(due)
    }
}
