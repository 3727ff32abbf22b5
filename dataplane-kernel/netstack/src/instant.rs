//! Time as the stack sees it: a number that its driver passes in.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time: nanoseconds since whatever the driver's clock calls zero. The stack only takes differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// Later than all others: 584 years.
    pub const FAR: Instant = Instant(u64::MAX);

    /// This point and `ns` nanoseconds; [`Instant::FAR`] when there is no such point.
    #[inline]
    #[must_use]
    pub const fn after_ns(self, ns: u64) -> Self {
        Instant(self.0.saturating_add(ns))
    }

    /// Nanoseconds from `earlier` to this point; 0 if it is not earlier.
    #[inline]
    #[must_use]
    pub const fn ns_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    #[inline]
    fn add(self, duration: Duration) -> Instant {
        self.after_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Zero when the right side is the later one.
impl Sub for Instant {
    type Output = Duration;

    #[inline]
    fn sub(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.ns_since(earlier))
    }
}
