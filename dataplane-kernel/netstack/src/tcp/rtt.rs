//! The retransmission timeout (RFC 6298).

/// Times are kept in units of 2^6 ns, in 32 bits: up to 274 s.
const UNIT_SHIFT: u32 = 6;
/// Clock granularity G: a tick of the timer wheel.
const GRANULARITY: u32 = 1 << (14 - UNIT_SHIFT);
/// Largest timeout that can be kept.
const MAX_NS: u64 = (u32::MAX as u64) << UNIT_SHIFT;

/// Smoothed round-trip time of a flow and what follows from it. Additions and shifts only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RttEstimator {
    /// SRTT; 0 before the first sample.
    srtt: u32,
    /// RTTVAR.
    rttvar: u32,
    /// RTO before back-off.
    rto: u32,
    /// The sample that was taken last.
    last: u32,
    /// Shortest round-trip time seen. It creeps up to longer ones, so that a way that has become longer is noticed.
    min: u32,
}

/// Bounds of the timeout, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtoBounds {
    pub(crate) min_ns: u64,
    pub(crate) max_ns: u64,
}

impl RttEstimator {
    /// Section 2.1: before any sample, the timeout is the initial one.
    pub(crate) fn new(initial_ns: u64) -> Self {
        RttEstimator {
            srtt: 0,
            rttvar: 0,
            rto: units(initial_ns),
            last: 0,
            min: u32::MAX,
        }
    }

    /// Takes a round-trip time measured on a segment that was sent once only (section 3: Karn's algorithm).
    #[inline]
    pub(crate) fn sample(&mut self, rtt_ns: u64, bounds: RtoBounds) {
        // A sample beyond the largest timeout says no more than that.
        let rtt = units(rtt_ns.min(bounds.max_ns)).max(1);
        self.last = rtt;
        if self.srtt == 0 {
            // Section 2.2.
            self.srtt = rtt;
            self.rttvar = rtt / 2;
        } else {
            // Section 2.3, alpha = 1/8 and beta = 1/4; RTTVAR first, from the old SRTT.
            self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(rtt) / 4;
            self.srtt = self.srtt - self.srtt / 8 + rtt / 8;
        }
        self.min = if rtt <= self.min {
            rtt
        } else {
            self.min + ((rtt - self.min) >> 10)
        };
        // Section 2.3: RTO = SRTT + max(G, 4 * RTTVAR); sections 2.4 and 2.5: its bounds.
        let rto = self
            .srtt
            .saturating_add(self.rttvar.saturating_mul(4).max(GRANULARITY));
        let least = units(bounds.min_ns);
        self.rto = rto.clamp(least, units(bounds.max_ns).max(least));
    }

    /// The timeout after `backoff` expiries in a row (section 5.5: doubled with each).
    #[inline]
    pub(crate) fn rto_ns(&self, backoff: u8, bounds: RtoBounds) -> u64 {
        if backoff == 0 {
            return self.plain_rto_ns();
        }
        (self.plain_rto_ns() << backoff.min(16)).min(bounds.max_ns)
    }

    /// The timeout before any back-off.
    #[inline]
    pub(crate) fn plain_rto_ns(&self) -> u64 {
        u64::from(self.rto) << UNIT_SHIFT
    }

    /// Section 5.7: when the SYN had to be retransmitted, data starts with 3 s, as no sample is to be had.
    pub(crate) fn restart_after_syn_timeout(&mut self) {
        if self.srtt == 0 {
            self.rto = self.rto.max(units(3_000_000_000));
        }
    }

    /// SRTT in nanoseconds; 0 before the first sample.
    #[inline]
    pub(crate) fn srtt_ns(&self) -> u64 {
        u64::from(self.srtt) << UNIT_SHIFT
    }

    /// The sample taken last, in the units of [`units`].
    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// The shortest round-trip time lately, in nanoseconds; 0 before the first sample.
    #[inline]
    pub(crate) fn min_ns(&self) -> u64 {
        if self.srtt == 0 {
            return 0;
        }
        u64::from(self.min) << UNIT_SHIFT
    }
}

/// Nanoseconds in the units of the estimator; more than these hold is the most they hold.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "clamped to 32 bits")]
pub(crate) fn units(ns: u64) -> u32 {
    (ns.min(MAX_NS) >> UNIT_SHIFT) as u32
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
        assert_eq!(rtt.srtt_ns(), 100 * MS);
        assert_eq!(rtt.rto_ns(0, BOUNDS), 300 * MS);
    }

    #[test]
    fn later_samples_are_smoothed() {
        let mut rtt = RttEstimator::new(1000 * MS);
        rtt.sample(400 * MS, BOUNDS);
        rtt.sample(800 * MS, BOUNDS);
        // RTTVAR = 3/4 * 200 + 1/4 * 400 = 250; SRTT = 7/8 * 400 + 1/8 * 800 = 450.
        assert_eq!((rtt.srtt_ns(), rtt.min_ns() / MS), (450 * MS, 400));
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
