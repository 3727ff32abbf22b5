//! A clock is read once a turn: what came together is of one time, as in eRPC (section 5.2.2), and reading costs a trap where
//! there is no vDSO.

use crate::Io;
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;
use std::hash::RandomState;

#[derive(Debug, Default)]
pub(super) struct Clock {
    read: Option<u64>,
}

impl Clock {
    /// The time of this turn, in nanoseconds.
    #[inline]
    pub(super) fn now_ns(&mut self, io: &Io) -> u64 {
        *self
            .read
            .get_or_insert_with(|| u64::try_from(io.now().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The turn is over.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.read = None;
    }
}

/// How long a turn may wait for the moment `at_ns`.
pub(super) fn until(at_ns: Option<u64>, io: &Io) -> Option<Duration> {
    let at = Duration::from_nanos(at_ns?);
    Some(at.saturating_sub(io.now()))
}

/// A key that nobody else has: `std`'s hash maps are seeded by the system's random bytes.
pub(super) fn random_key() -> [u8; 16] {
    let word = || RandomState::new().build_hasher().finish();
    (u128::from(word()) << 64 | u128::from(word())).to_ne_bytes()
}
