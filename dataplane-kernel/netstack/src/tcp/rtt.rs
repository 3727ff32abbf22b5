//! The retransmission timeout (RFC 6298).

/// Clock granularity G: a tick of the timer wheel, in nanoseconds.
const GRANULARITY_NS: u64 = 1 << 14;

/// Smoothed round-trip time of a flow and what follows from it. Nanoseconds; additions and shifts only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttEstimator {
    /// SRTT; 0 before the first sample.
    srtt_ns: u64,
    /// RTTVAR.
    rttvar_ns: u64,
    /// RTO before back-off.
    rto_ns: u64,
}

/// Bounds of the timeout, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtoBounds {
    pub(crate) min_ns: u64,
    pub(crate) max_ns: u64,
}

impl RttEstimator {
    /// Section 2.1: before any sample, the timeout is the initial one.
    pub(crate) const fn new(initial_ns: u64) -> Self {
        RttEstimator {
            srtt_ns: 0,
            rttvar_ns: 0,
            rto_ns: initial_ns,
        }
    }

    /// Takes a round-trip time measured on a segment that was sent once only (section 3: Karn's algorithm).
    #[inline]
    pub(crate) fn sample(&mut self, rtt_ns: u64, bounds: RtoBounds) {
        // A sample beyond the largest timeout says no more than that, and the sums below stay far from overflow.
        let rtt = rtt_ns.clamp(1, bounds.max_ns.max(1));
        if self.srtt_ns == 0 {
            // Section 2.2.
            self.srtt_ns = rtt;
            self.rttvar_ns = rtt / 2;
        } else {
            // Section 2.3, alpha = 1/8 and beta = 1/4; RTTVAR first, from the old SRTT.
            self.rttvar_ns = self.rttvar_ns - self.rttvar_ns / 4 + self.srtt_ns.abs_diff(rtt) / 4;
            self.srtt_ns = self.srtt_ns - self.srtt_ns / 8 + rtt / 8;
        }
        // Section 2.3: RTO = SRTT + max(G, 4 * RTTVAR); sections 2.4 and 2.5: its bounds.
        let rto = self.srtt_ns + (4 * self.rttvar_ns).max(GRANULARITY_NS);
        self.rto_ns = rto.clamp(bounds.min_ns, bounds.max_ns.max(bounds.min_ns));
    }

    /// The timeout after `backoff` expiries in a row (section 5.5: doubled with each).
    #[inline]
    pub(crate) fn rto_ns(&self, backoff: u8, bounds: RtoBounds) -> u64 {
        if backoff == 0 {
            return self.rto_ns;
        }
        self.rto_ns
            .saturating_mul(1 << backoff.min(16))
            .min(bounds.max_ns)
    }

    /// The timeout before any back-off.
    #[inline]
    pub(crate) fn plain_rto_ns(&self) -> u64 {
        self.rto_ns
    }

    /// Section 5.7: when the SYN had to be retransmitted, data starts with 3 s, as no sample is to be had.
    pub(crate) fn restart_after_syn_timeout(&mut self) {
        if self.srtt_ns == 0 {
            self.rto_ns = self.rto_ns.max(3_000_000_000);
        }
    }

    /// SRTT in nanoseconds; `None` before the first sample.
    #[cfg(test)]
    pub(crate) fn srtt_ns(&self) -> Option<u64> {
        (self.srtt_ns != 0).then_some(self.srtt_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::{RtoBounds, RttEstimator};

    const MS: u64 = 1_000_000;
    const BOUNDS: RtoBounds = RtoBounds {
        min_ns: 200 * MS,
        max_ns: 60_000 * MS,
    };

    #[test]
    fn the_first_sample_sets_all() {
        let mut rtt = RttEstimator::new(1000 * MS);
        assert_eq!(rtt.rto_ns(0, BOUNDS), 1000 * MS);
        rtt.sample(100 * MS, BOUNDS);
        assert_eq!(rtt.srtt_ns(), Some(100 * MS));
        assert_eq!(rtt.rto_ns(0, BOUNDS), 300 * MS);
    }

    #[test]
    fn later_samples_are_smoothed() {
        let mut rtt = RttEstimator::new(1000 * MS);
        rtt.sample(400 * MS, BOUNDS);
        rtt.sample(800 * MS, BOUNDS);
        // RTTVAR = 3/4 * 200 + 1/4 * 400 = 250; SRTT = 7/8 * 400 + 1/8 * 800 = 450.
        assert_eq!(rtt.srtt_ns(), Some(450 * MS));
        assert_eq!(rtt.rto_ns(0, BOUNDS), 1450 * MS);
    }

    #[test]
    fn bounds_hold_whatever_is_measured() {
        let mut rtt = RttEstimator::new(1000 * MS);
        rtt.sample(0, BOUNDS);
        assert_eq!(rtt.rto_ns(0, BOUNDS), BOUNDS.min_ns);
        for _ in 0..100 {
            rtt.sample(u64::MAX, BOUNDS);
        }
        assert_eq!(rtt.rto_ns(0, BOUNDS), BOUNDS.max_ns);
    }

    #[test]
    fn each_expiry_doubles_up_to_the_maximum() {
        let mut rtt = RttEstimator::new(1000 * MS);
        rtt.sample(100 * MS, BOUNDS);
        assert_eq!(rtt.rto_ns(1, BOUNDS), 600 * MS);
        assert_eq!(rtt.rto_ns(3, BOUNDS), 2400 * MS);
        assert_eq!(rtt.rto_ns(200, BOUNDS), BOUNDS.max_ns);
    }
}
