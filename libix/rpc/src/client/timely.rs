//! How fast to send: after Timely (Mittal and others, *TIMELY: RTT-based Congestion Control for the Datacenter*, SIGCOMM 2015),
//! which raises a rate as long as round trips do not become longer, and lowers it as they do.
//!
//! Differences: bounds are set by the shortest round trip seen, not by the data centre's; the rate changes once in a round
//! trip, by the shortest in it, since a queue delays all packets and a host that is busy only some; and a session at the link's
//! rate with short round trips takes none of this (eRPC section 5.2.2), and is not paced.

/// Weight of a new difference in their mean.
const EWMA: f64 = 0.46;
/// Share by which a rate is lowered at most.
const DECREASE: f64 = 0.8;
/// Share of the link's rate by which it is raised.
const INCREASE: f64 = 0.01;
/// After so many round trips that did not become longer it is raised this many times as fast.
const HYPERACTIVE: u32 = 5;
/// No rate is below this share of the link's: credits bound what is on its way in any case.
const LEAST: f64 = 0.01;
/// Samples without which a round says nothing.
const SAMPLES: u32 = 4;
/// Round trips below are short, above long, whatever the shortest is, in nanoseconds.
const LEAST_LOW_NS: u64 = 50_000;
const LEAST_HIGH_NS: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct Timely {
    /// In bytes per nanosecond.
    link: f64,
    rate: f64,
    is_paced: bool,
    shortest_ns: u64,
    /// Of this round: the shortest, and how many there were at least.
    round_ns: u64,
    samples: u32,
    /// The shortest of the round before.
    last_ns: u64,
    /// Mean of differences of successive round trips, in nanoseconds.
    difference: f64,
    not_longer: u32,
    /// When the rate may change again, and when the next packet may go.
    change_at_ns: u64,
    send_at_ns: u64,
}

impl Timely {
    pub(super) fn new(link_bytes_per_s: u32) -> Self {
        let link = f64::from(link_bytes_per_s.max(1)) / 1e9;
        Timely {
            link,
            rate: link,
            is_paced: false,
            shortest_ns: u64::MAX,
            round_ns: u64::MAX,
            samples: 0,
            last_ns: 0,
            difference: 0.0,
            not_longer: 0,
            change_at_ns: 0,
            send_at_ns: 0,
        }
    }

    /// When the next packet may go, if not now.
    #[inline]
    pub(super) fn wait_until(&self, now_ns: u64) -> Option<u64> {
        (self.is_paced && now_ns < self.send_at_ns).then_some(self.send_at_ns)
    }

    /// A packet goes now.
    #[inline]
    pub(super) fn sent(&mut self, now_ns: u64, bytes: usize) {
        if self.is_paced {
            let ns = to_ns(to_f64(bytes as u64) / self.rate);
            self.send_at_ns = self.send_at_ns.max(now_ns) + ns;
        }
    }

    /// A packet's answer took so long.
    #[inline]
    pub(super) fn sample(&mut self, now_ns: u64, round_trip_ns: u64) {
        self.shortest_ns = self.shortest_ns.min(round_trip_ns);
        self.round_ns = self.round_ns.min(round_trip_ns);
        let low_ns = LEAST_LOW_NS.max(2 * self.shortest_ns);
        if !self.is_paced && round_trip_ns < low_ns {
            return;
        }
        self.samples += 1;
        if now_ns >= self.change_at_ns && self.samples >= SAMPLES {
            let shortest_ns = core::mem::replace(&mut self.round_ns, u64::MAX);
            self.samples = 0;
            self.change(now_ns, shortest_ns, low_ns);
        }
    }

    fn change(&mut self, now_ns: u64, round_trip_ns: u64, low_ns: u64) {
        let high_ns = LEAST_HIGH_NS.max(10 * self.shortest_ns);
        let longer = match self.last_ns {
            0 => 0.0,
            last_ns => to_f64(round_trip_ns) - to_f64(last_ns),
        };
        self.difference = (1.0 - EWMA) * self.difference + EWMA * longer;
        self.last_ns = round_trip_ns;
        self.change_at_ns = now_ns + round_trip_ns;
        let gradient = self.difference / to_f64(self.shortest_ns.max(1));
        if round_trip_ns < low_ns {
            self.raise(1);
        } else if round_trip_ns > high_ns {
            self.not_longer = 0;
            self.lower(1.0 - to_f64(high_ns) / to_f64(round_trip_ns));
        } else if gradient <= 0.0 {
            self.not_longer += 1;
            self.raise(if self.not_longer >= HYPERACTIVE {
                HYPERACTIVE
            } else {
                1
            });
        } else {
            self.not_longer = 0;
            self.lower(gradient.min(1.0));
        }
    }

    /// Several packets went unanswered.
    pub(super) fn lost(&mut self, now_ns: u64) {
        if now_ns >= self.change_at_ns {
            self.not_longer = 0;
            self.change_at_ns = now_ns + self.last_ns;
            self.lower(0.5 / DECREASE);
        }
    }

    fn raise(&mut self, times: u32) {
        self.set(self.rate + f64::from(times) * INCREASE * self.link);
    }

    fn lower(&mut self, by: f64) {
        self.set(self.rate * (1.0 - DECREASE * by));
    }

    fn set(&mut self, rate: f64) {
        self.rate = rate.clamp(LEAST * self.link, self.link);
        self.is_paced = self.rate < self.link;
    }
}

/// Times and sizes here are far below what a float holds exactly.
#[allow(clippy::cast_precision_loss, reason = "for rates")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "of a quotient that is not negative and far below 2^64"
)]
fn to_ns(ns: f64) -> u64 {
    ns as u64
}

#[cfg(test)]
mod tests {
    use super::Timely;

    const LINK: u32 = 1_250_000_000;

    #[test]
    fn a_session_without_congestion_is_not_paced() {
        let mut timely = Timely::new(LINK);
        for at in 0..1000 {
            timely.sample(at * 10_000, 20_000 + at % 7 * 1000);
            timely.sent(at * 10_000, 1440);
            assert_eq!(timely.wait_until(at * 10_000), None);
        }
    }

    #[test]
    fn round_trips_that_grow_lower_the_rate_and_shrinking_ones_raise_it_again() {
        let mut timely = Timely::new(LINK);
        let mut now = 0;
        let mut round = |timely: &mut Timely, round_trip: u64| {
            now += 10 * round_trip;
            (0..4).for_each(|_| timely.sample(now, round_trip));
            timely.rate
        };
        for step in 0..50 {
            round(&mut timely, 100_000 + step * 20_000);
        }
        let lowest = timely.rate;
        assert!(lowest < timely.link / 2.0, "{lowest}");
        for step in 0..50 {
            round(&mut timely, 900_000 - step * 10_000);
        }
        assert!(timely.rate > 2.0 * lowest, "{} and {lowest}", timely.rate);
        for _ in 0..200 {
            round(&mut timely, 100_000);
        }
        assert!(!timely.is_paced, "{}", timely.rate);
    }

    #[test]
    fn a_host_that_is_busy_now_and_then_is_no_congestion() {
        let mut timely = Timely::new(LINK);
        for at in 0..10_000_u64 {
            let is_late = at % 3 == 0;
            timely.sample(
                at * 10_000,
                if is_late {
                    5_000_000 + at % 11 * 300_000
                } else {
                    90_000
                },
            );
        }
        assert!(timely.rate > 0.9 * timely.link, "{}", timely.rate);
    }

    #[test]
    fn packets_leave_at_the_rate() {
        let mut timely = Timely::new(LINK);
        timely.lost(1);
        timely.sent(1000, 1250);
        // Half of 1.25 bytes per nanosecond.
        assert_eq!(timely.wait_until(1000), Some(3000));
        assert_eq!(timely.wait_until(3000), None);
    }
}
