//! Randomness that comes back with its seed (xorshift64*).

use std::ops::Range;

/// `count` seeds from `first` on; `TEST_SEEDS=100` in the environment makes it a hundred times as many.
pub(crate) fn seeds(first: u64, count: u64) -> Range<u64> {
    let times = std::env::var("TEST_SEEDS").map_or(1, |times| times.parse().expect("a number"));
    first..first + count * times
}

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.number() >> 16) % limit.max(1)
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }

    /// `true` `percent` times out of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[3]
    }

    /// Of all magnitudes up to `limit`.
    pub(crate) fn scaled(&mut self, limit: u64) -> u64 {
        let bits = self.below(u64::from(limit.max(1).ilog2()) + 1);
        (self.below(1 << (bits + 1))).min(limit)
    }

    /// Any number of 32 bits.
    pub(crate) fn number32(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// [`Random::scaled`] for 32 bits.
    pub(crate) fn scaled32(&mut self, limit: u32) -> u32 {
        u32::try_from(self.scaled(limit.into())).unwrap()
    }
}
