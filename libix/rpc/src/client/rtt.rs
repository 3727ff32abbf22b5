//! Round-trip times, smoothed, and what follows from them for how long to wait (RFC 6298 section 2).

/// Longest wait for a first answer, in nanoseconds.
const LONGEST_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    smoothed_ns: u64,
    variation_ns: u64,
}

impl RoundTrip {
    #[inline]
    pub(super) fn sample(&mut self, ns: u64) {
        if self.smoothed_ns == 0 {
            self.smoothed_ns = ns;
            self.variation_ns = ns / 2;
            return;
        }
        let error = self.smoothed_ns.abs_diff(ns);
        self.variation_ns = self.variation_ns - self.variation_ns / 4 + error / 4;
        self.smoothed_ns = self.smoothed_ns - self.smoothed_ns / 8 + ns / 8;
    }

    /// How long to wait for an answer, `least_ns` at least.
    #[inline]
    pub(super) fn timeout_ns(&self, least_ns: u64) -> u64 {
        (self.smoothed_ns + 4 * self.variation_ns).clamp(least_ns, LONGEST_NS.max(least_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::RoundTrip;

    #[test]
    fn the_timeout_follows_round_trips_and_their_variation() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.timeout_ns(5_000_000), 5_000_000);
        round_trip.sample(8_000_000);
        assert_eq!(round_trip.timeout_ns(5_000_000), 8_000_000 + 4 * 4_000_000);
        for _ in 0..100 {
            round_trip.sample(8_000_000);
        }
        let steady = round_trip.timeout_ns(5_000_000);
        assert!((8_000_000..8_100_000).contains(&steady), "{steady}");
    }
}
