//! When requests are due: a Poisson process.

use crate::distribution::exponential;
use rand::rngs::SmallRng;

/// Nanoseconds in a second.
const SECOND_NS: f64 = 1e9;

/// The instants of one step, in nanoseconds of the caller's clock.
#[derive(Debug)]
pub struct Arrivals {
    mean_gap_ns: f64,
    /// The next one; a float, lest the rounding of each gap add up.
    next_ns: f64,
}

impl Arrivals {
    /// So many a second, from `start_ns` on.
    #[must_use]
    pub fn new(per_second: f64, start_ns: u64, random: &mut SmallRng) -> Self {
        let mut arrivals = Arrivals {
            mean_gap_ns: SECOND_NS / per_second,
            #[allow(clippy::cast_precision_loss, reason = "to the nanosecond for a hundred days")]
            next_ns: start_ns as f64,
        };
        arrivals.step(random);
        arrivals
    }

    fn step(&mut self, random: &mut SmallRng) {
        self.next_ns += exponential(random, self.mean_gap_ns);
    }

    /// The next instant.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it grows from a u64 on"
    )]
    pub fn next_ns(&self) -> u64 {
        self.next_ns as u64
    }

    /// The next instant if it has come, which is then over.
    pub fn due(&mut self, now_ns: u64, random: &mut SmallRng) -> Option<u64> {
        let next_ns = self.next_ns();
        if next_ns > now_ns {
            return None;
        }
        self.step(random);
        Some(next_ns)
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "statistics")]
mod tests {
    use super::Arrivals;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    #[test]
    fn gaps_are_exponential_and_the_rate_is_kept() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut arrivals = Arrivals::new(50_000.0, 1_000, &mut random);
        let instants: Vec<u64> = (0..200_000)
            .map(|_| arrivals.due(u64::MAX, &mut random).unwrap())
            .collect();
        let gaps: Vec<f64> = instants
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((mean - 20_000.0).abs() < 200.0, "mean gap {mean} ns");
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.02,
            "deviation {}",
            variance.sqrt()
        );
        let longer = gaps.iter().filter(|gap| **gap > 60_000.0).count() as f64 / gaps.len() as f64;
        assert!(
            (longer - (-3.0_f64).exp()).abs() < 0.002,
            "{longer} of the gaps are beyond three means"
        );
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut random = SmallRng::seed_from_u64(2);
        let mut arrivals = Arrivals::new(1_000.0, 0, &mut random);
        let next = arrivals.next_ns();
        assert_eq!(arrivals.due(next - 1, &mut random), None);
        assert_eq!(arrivals.due(next, &mut random), Some(next));
        assert!(arrivals.next_ns() >= next);
    }
}
