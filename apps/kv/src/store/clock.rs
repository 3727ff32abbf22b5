//! Time as memcached keeps it: whole seconds since shortly before the start, so that 0 can mean "never".

/// Longest expiration time that counts from now, in seconds: 30 days. Larger ones are Unix time.
const LONGEST_RELATIVE: i64 = 60 * 60 * 24 * 30;

/// Seconds on the clock when it starts: an item stored then is younger than one that expired at second 1.
const HEAD_START: u32 = 2;

/// When an item ends, in seconds on the [`Clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry(u32);

impl Expiry {
    pub(crate) const NEVER: Expiry = Expiry(0);

    /// A moment that is past at any time.
    const PAST: Expiry = Expiry(1);

    #[inline]
    pub(crate) fn is_past(self, clock: &Clock) -> bool {
        self != Self::NEVER && self.0 <= clock.now
    }

    /// Seconds left; `None` if it never comes.
    pub(crate) fn remaining(self, clock: &Clock) -> Option<u32> {
        (self != Self::NEVER).then(|| self.0.saturating_sub(clock.now))
    }

    /// `true` if it comes before `other`, which is a moment.
    pub(crate) fn is_before(self, other: Expiry) -> bool {
        self != Self::NEVER && self.0 < other.0
    }
}

/// What the store takes for the time; it moves only when it is told to.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Unix time at second 0 of this clock.
    origin: i64,
    now: u32,
}

impl Clock {
    /// Started at `unix_time`, in seconds.
    #[must_use]
    pub fn starting_at(unix_time: u64) -> Self {
        Clock {
            origin: i64::try_from(unix_time).unwrap_or(i64::MAX) - i64::from(HEAD_START),
            now: HEAD_START,
        }
    }

    /// It is now `uptime` seconds after the start.
    pub fn set_uptime(&mut self, uptime: u64) {
        self.now = u32::try_from(uptime)
            .unwrap_or(u32::MAX)
            .saturating_add(HEAD_START);
    }

    /// Seconds since the start.
    #[must_use]
    pub fn uptime(&self) -> u32 {
        self.now - HEAD_START
    }

    /// Unix time, in seconds.
    #[must_use]
    pub fn unix_time(&self) -> i64 {
        self.origin + i64::from(self.now)
    }

    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// What a client means by `exptime`: 0 is never, below 0 is past, up to 30 days counts from now, more is Unix time
    /// (memcached's protocol.txt, "Expiration times").
    pub(crate) fn expiry(&self, exptime: i64) -> Expiry {
        match exptime {
            0 => Expiry::NEVER,
            ..0 => Expiry::PAST,
            1..=LONGEST_RELATIVE => Expiry(
                self.now
                    .saturating_add(u32::try_from(exptime).unwrap_or(u32::MAX)),
            ),
            _ if exptime <= self.origin => Expiry::PAST,
            _ => Expiry(u32::try_from(exptime - self.origin).unwrap_or(u32::MAX)),
        }
    }

    /// Seconds by which `expiry` is past, below 0 for one to come (as `me` prints it).
    pub(crate) fn since(&self, expiry: Expiry) -> i64 {
        i64::from(self.now) - i64::from(expiry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Expiry};

    #[test]
    fn expiration_times_are_relative_up_to_30_days_and_unix_time_beyond() {
        let mut clock = Clock::starting_at(1_700_000_000);
        clock.set_uptime(100);
        assert_eq!(clock.unix_time(), 1_700_000_100);
        assert_eq!(clock.expiry(0), Expiry::NEVER);
        assert_eq!(clock.expiry(0).remaining(&clock), None);
        for (exptime, left) in [
            (1, 1),
            (2_592_000, 2_592_000),
            (1_700_000_150, 50),
            (1_700_000_099, 0),
            (2_592_001, 0),
            (-1, 0),
        ] {
            assert_eq!(clock.expiry(exptime).remaining(&clock), Some(left), "{exptime}");
        }
        assert!(clock.expiry(-1).is_past(&clock));
        assert!(!clock.expiry(1).is_past(&clock));
        clock.set_uptime(101);
        assert!(Clock::starting_at(0).expiry(-1).is_past(&Clock::starting_at(0)));
    }
}
