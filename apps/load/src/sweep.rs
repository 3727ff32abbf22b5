//! One offered load after another: when each begins and ends, and what came of it.

use crate::arrivals::Arrivals;
use crate::report::Row;
use crate::workload::Reply;
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;

/// Latencies are told apart up to this, in nanoseconds, to three digits.
const MAX_LATENCY_NS: u64 = 600_000_000_000;
const DIGITS: u8 = 3;

/// What each step is like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Offered loads, in requests per second.
    pub rates: Vec<f64>,
    /// Before what is counted.
    pub warm_up_ns: u64,
    /// Of what is counted.
    pub measure_ns: u64,
    /// For answers that are still out.
    pub drain_ns: u64,
}

/// A step under way.
#[derive(Debug)]
pub struct Step {
    rate: f64,
    arrivals: Arrivals,
    /// Requests due from here on are counted, ...
    measured_from_ns: u64,
    /// ... and from here on there are none.
    end_ns: u64,
    drained_by_ns: u64,
    latencies: Histogram<u64>,
    sent: u64,
    answered: u64,
    misses: u64,
    errors: u64,
    unanswered: u64,
    pending: u64,
}

impl Step {
    /// The step of `rate`, from `now_ns` on.
    ///
    /// # Panics
    /// Never: the histogram's bounds are constants that fit each other.
    #[must_use]
    pub fn begin(plan: &Plan, rate: f64, now_ns: u64, random: &mut SmallRng) -> Self {
        let measured_from_ns = now_ns + plan.warm_up_ns;
        let end_ns = measured_from_ns + plan.measure_ns;
        Step {
            rate,
            arrivals: Arrivals::new(rate, now_ns, random),
            measured_from_ns,
            end_ns,
            drained_by_ns: end_ns + plan.drain_ns,
            latencies: Histogram::new_with_bounds(1, MAX_LATENCY_NS, DIGITS).expect("bounds in order"),
            sent: 0,
            answered: 0,
            misses: 0,
            errors: 0,
            unanswered: 0,
            pending: 0,
        }
    }

    /// The instant of a request that is to be sent now.
    pub fn due(&mut self, now_ns: u64, random: &mut SmallRng) -> Option<u64> {
        if self.arrivals.next_ns() >= self.end_ns {
            return None;
        }
        let due_ns = self.arrivals.due(now_ns, random)?;
        self.sent += u64::from(self.counts(due_ns));
        self.pending += 1;
        Some(due_ns)
    }

    /// When there is something to do next, besides hearing of answers.
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        let next_ns = self.arrivals.next_ns();
        if next_ns < self.end_ns {
            next_ns
        } else {
            self.drained_by_ns
        }
    }

    fn counts(&self, due_ns: u64) -> bool {
        due_ns >= self.measured_from_ns
    }

    /// The request that was due then has been answered now.
    pub fn on_reply(&mut self, due_ns: u64, now_ns: u64, reply: Reply) {
        self.pending = self.pending.saturating_sub(1);
        if self.counts(due_ns) {
            self.answered += 1;
            self.misses += u64::from(reply == Reply::Miss);
            self.errors += u64::from(reply == Reply::Error);
            self.record(due_ns, now_ns);
        }
    }

    /// The request that was due then will not be answered. It has waited as long as it has: to leave it out would flatter
    /// the server.
    pub fn on_loss(&mut self, due_ns: u64, now_ns: u64) {
        self.pending = self.pending.saturating_sub(1);
        if self.counts(due_ns) {
            self.unanswered += 1;
            self.record(due_ns, now_ns);
        }
    }

    fn record(&mut self, due_ns: u64, now_ns: u64) {
        self.latencies
            .saturating_record(now_ns.saturating_sub(due_ns).max(1));
    }

    /// `true` if all requests have been sent and answered, or time is up.
    #[must_use]
    pub fn is_over(&self, now_ns: u64) -> bool {
        let all_sent = self.arrivals.next_ns() >= self.end_ns;
        (all_sent && self.pending == 0) || now_ns >= self.drained_by_ns
    }

    /// Requests that have not been answered.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// What came of it.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    pub fn row(&self) -> Row {
        let seconds = (self.end_ns - self.measured_from_ns) as f64 / 1e9;
        let at = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        Row {
            offered_per_s: self.rate,
            sent_per_s: self.sent as f64 / seconds,
            answered_per_s: self.answered as f64 / seconds,
            mean_us: self.latencies.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.latencies.max() as f64 / 1e3,
            misses: self.misses,
            errors: self.errors,
            unanswered: self.unanswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Plan, Step};
    use crate::workload::Reply;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    const MS: u64 = 1_000_000;

    fn plan() -> Plan {
        Plan {
            rates: vec![1_000.0],
            warm_up_ns: 100 * MS,
            measure_ns: 1_000 * MS,
            drain_ns: 500 * MS,
        }
    }

    /// Plays a server that answers each request after `service_ns`, but stands still from 300 ms on for 200 ms.
    fn play(service_ns: u64) -> Step {
        let mut random = SmallRng::seed_from_u64(11);
        let mut step = Step::begin(&plan(), 1_000.0, 0, &mut random);
        let mut answers = std::collections::VecDeque::new();
        let mut now = 0;
        while !step.is_over(now) {
            while let Some(due) = step.due(now, &mut random) {
                let done = now + service_ns;
                let stands_still = (300 * MS..500 * MS).contains(&now);
                answers.push_back((due, if stands_still { 500 * MS + service_ns } else { done }));
            }
            while let Some(&(due, at)) = answers.front()
                && at <= now
            {
                answers.pop_front();
                step.on_reply(due, now, Reply::Good);
            }
            now += MS / 100;
        }
        step
    }

    #[test]
    fn requests_that_a_pause_has_held_up_count_with_their_wait() {
        let row = play(MS / 10).row();
        assert!((900.0..1_100.0).contains(&row.sent_per_s), "{row:?}");
        assert!((row.answered_per_s - row.sent_per_s).abs() < 1e-9, "{row:?}");
        // A fifth of the second was a pause: who came then waited up to 200 ms.
        assert!(row.p50_us < 200.0, "{row:?}");
        assert!((50_000.0..150_000.0).contains(&row.p90_us), "{row:?}");
        assert!((190_000.0..201_000.0).contains(&row.max_us), "{row:?}");
    }

    #[test]
    fn what_is_never_answered_is_told_and_counts() {
        let mut random = SmallRng::seed_from_u64(12);
        let mut step = Step::begin(&plan(), 1_000.0, 0, &mut random);
        let mut due = Vec::new();
        while let Some(instant) = step.due(1_100 * MS, &mut random) {
            due.push(instant);
        }
        assert!(!step.is_over(1_599 * MS));
        assert!(step.is_over(1_600 * MS));
        for instant in due {
            step.on_loss(instant, 1_600 * MS);
        }
        let row = step.row();
        assert_eq!(step.pending(), 0);
        assert!(row.unanswered > 900 && row.answered_per_s < 1e-9, "{row:?}");
        assert!(row.p50_us > 500_000.0, "{row:?}");
    }
}
