//! TCP sequence numbers: 32 bits that wrap (RFC 9293 section 3.4).

use core::ops::{Add, AddAssign, Sub};

/// A sequence number. Not `Ord`: "before" on a circle is not transitive, so comparing is by name, and holds for numbers
/// less than 2^31 apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// SEG < other.
    #[inline]
    #[must_use]
    pub const fn before(self, other: SeqNum) -> bool {
        self.signed_distance_to(other) > 0
    }

    /// SEG =< other.
    #[inline]
    #[must_use]
    pub const fn at_or_before(self, other: SeqNum) -> bool {
        self.signed_distance_to(other) >= 0
    }

    /// SEG > other.
    #[inline]
    #[must_use]
    pub const fn after(self, other: SeqNum) -> bool {
        self.signed_distance_to(other) < 0
    }

    /// SEG >= other.
    #[inline]
    #[must_use]
    pub const fn at_or_after(self, other: SeqNum) -> bool {
        self.signed_distance_to(other) <= 0
    }

    /// `start` =< SEG < `start + len`: the window test of RFC 9293 section 3.4.
    #[inline]
    #[must_use]
    pub const fn is_within(self, start: SeqNum, len: u32) -> bool {
        start.distance_to(self) < len
    }

    /// How many numbers on from this one `later` is, going up and around.
    #[inline]
    #[must_use]
    pub const fn distance_to(self, later: SeqNum) -> u32 {
        later.0.wrapping_sub(self.0)
    }

    /// The shorter way from this one to `other`: positive when `other` is after.
    #[inline]
    #[must_use]
    pub const fn signed_distance_to(self, other: SeqNum) -> i32 {
        other.0.wrapping_sub(self.0).cast_signed()
    }

    /// The later of both.
    #[inline]
    #[must_use]
    pub const fn later_of(self, other: SeqNum) -> SeqNum {
        if self.before(other) { other } else { self }
    }

    /// The earlier of both.
    #[inline]
    #[must_use]
    pub const fn earlier_of(self, other: SeqNum) -> SeqNum {
        if other.before(self) { other } else { self }
    }
}

impl Add<u32> for SeqNum {
    type Output = SeqNum;

    #[inline]
    fn add(self, len: u32) -> SeqNum {
        SeqNum(self.0.wrapping_add(len))
    }
}

impl AddAssign<u32> for SeqNum {
    #[inline]
    fn add_assign(&mut self, len: u32) {
        *self = *self + len;
    }
}

impl Sub<u32> for SeqNum {
    type Output = SeqNum;

    #[inline]
    fn sub(self, len: u32) -> SeqNum {
        SeqNum(self.0.wrapping_sub(len))
    }
}
