//! CUBIC (RFC 9438): after a loss the window grows along a cubic function of time, whose plateau is where the loss was.
//! Time in ticks of 2^20 ns, windows in bytes, fixed-point arithmetic.

use crate::Instant;

/// Binary logarithm of a tick, in nanoseconds.
const TICK_SHIFT: u32 = 20;
/// C = 0.4 segments per cubic second, in segments per cubic tick times 2^40.
const C: u64 = 507;
/// 1 / C, in cubic ticks per segment.
const INVERSE_C: u64 = 2_168_404_344;
/// Longest time the function is followed to either side, in ticks: 34 s.
const MOST_TICKS: u64 = 1 << 15;

/// What is kept beside the window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cubic {
    /// W_max; 0: none.
    w_max: u32,
    /// K, in ticks.
    k: u32,
    /// When this epoch of congestion avoidance began, in ticks; 0: it has not.
    epoch: u32,
    /// W_est: the window that Reno would have.
    w_est: u32,
    /// Bytes acknowledged towards its next step.
    est_counted: u32,
}

impl Cubic {
    /// A loss with a window of `cwnd`: section 4.7, fast convergence, and section 4.6. Gives the new threshold for what
    /// was in flight.
    pub(crate) fn on_loss(&mut self, cwnd: u32, in_flight: u32) -> u32 {
        self.w_max = if cwnd < self.w_max {
            share(cwnd, 17, 20)
        } else {
            cwnd
        };
        self.epoch = 0;
        share(in_flight, 7, 10)
    }

    /// Section 4.8: after a timeout W_max is what the window is when congestion avoidance begins, and K is 0.
    pub(crate) fn on_timeout(&mut self) {
        self.w_max = 0;
        self.epoch = 0;
    }

    /// Nothing was sent for a while: that time does not count (section 5.8).
    pub(crate) fn on_idle(&mut self) {
        self.epoch = 0;
    }

    /// Congestion avoidance (sections 4.2 to 4.5): the window after `acked` more bytes.
    pub(crate) fn grow(&mut self, cwnd: u32, acked: u32, mss: u32, now: Instant, srtt_ns: u64) -> u32 {
        let tick = ticks(now.0) | 1; // 0 says that there is no epoch
        if self.epoch == 0 {
            self.begin_epoch(cwnd, mss, tick);
        }
        let rtt = u64::from(ticks(srtt_ns));
        let time = u64::from(tick.wrapping_sub(self.epoch)) + rtt;
        let target = self
            .window_at(time, mss)
            .clamp(cwnd, cwnd.saturating_add(cwnd / 2));
        self.grow_estimate(cwnd, acked, mss);
        let step = u64::from(acked) * u64::from(target - cwnd) / u64::from(cwnd.max(1));
        let concave = cwnd.saturating_add(u32::try_from(step).unwrap_or(u32::MAX));
        // Section 4.3: in the region where Reno would be faster.
        concave.max(self.w_est)
    }

    fn begin_epoch(&mut self, cwnd: u32, mss: u32, tick: u32) {
        self.epoch = tick;
        self.w_est = cwnd;
        self.est_counted = 0;
        if cwnd < self.w_max {
            let segments = u64::from((self.w_max - cwnd) / mss.max(1));
            self.k = cube_root(segments * INVERSE_C);
        } else {
            self.k = 0;
            self.w_max = cwnd;
        }
    }

    /// W_cubic, equation 1.
    #[allow(clippy::cast_possible_truncation, reason = "clamped to 32 bits")]
    fn window_at(&self, time: u64, mss: u32) -> u32 {
        let k = u64::from(self.k);
        let distance = time.abs_diff(k).min(MOST_TICKS);
        // 2^45 / 2^10 * 2^9 * 2^14 at most.
        let bytes = (((distance * distance * distance) >> 10) * C * u64::from(mss)) >> 30;
        let w_max = u64::from(self.w_max);
        let window = if time < k {
            w_max.saturating_sub(bytes)
        } else {
            w_max + bytes
        };
        window.min(u64::from(u32::MAX)) as u32
    }

    /// Equation 4: by alpha = 3 * (1 - 0.7) / (1 + 0.7) = 9 / 17 of a segment per window, and by one once it has caught up
    /// with where the loss was.
    fn grow_estimate(&mut self, cwnd: u32, acked: u32, mss: u32) {
        self.est_counted = self.est_counted.saturating_add(acked);
        let per_step = if self.w_est < self.w_max {
            share(cwnd, 17, 9)
        } else {
            cwnd
        };
        if self.est_counted >= per_step.max(1) {
            self.est_counted -= per_step;
            self.w_est = self.w_est.saturating_add(mss);
        }
    }
}

/// `bytes` * `numerator` / `denominator`.
#[inline]
fn share(bytes: u32, numerator: u64, denominator: u64) -> u32 {
    u32::try_from(u64::from(bytes) * numerator / denominator).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_possible_truncation, reason = "a clock that wraps")]
fn ticks(ns: u64) -> u32 {
    (ns >> TICK_SHIFT) as u32
}

/// The integer cube root, bit by bit.
fn cube_root(value: u64) -> u32 {
    let mut root = 0u64;
    for bit in (0..21).rev() {
        let candidate = root | 1 << bit;
        if candidate * candidate * candidate <= value {
            root = candidate;
        }
    }
    u32::try_from(root).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Cubic, cube_root};
    use crate::Instant;
    use proptest::prelude::*;

    const MSS: u32 = 1000;
    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1 << 40;

    proptest! {
        #[test]
        fn cube_roots_are_exact(value in 0u64..1 << 62) {
            let root = u64::from(cube_root(value));
            prop_assert!(root.pow(3) <= value && (root + 1).pow(3) > value);
        }
    }

    /// Follows one flow of 100 ms round trips for `rounds` of them.
    fn follow(cubic: &mut Cubic, mut cwnd: u32, rounds: u64) -> u32 {
        for round in 0..rounds {
            let now = Instant(START + round * SECOND / 10);
            // Eight ACKs a round trip.
            for _ in 0..8 {
                cwnd = cubic.grow(cwnd, cwnd / 8, MSS, now, SECOND / 10);
            }
        }
        cwnd
    }

    /// Section 4.2: K = cbrt(W_max * 0.3 / C), and there the window is W_max again. For 1000 segments: 9.1 s.
    #[test]
    fn the_plateau_is_where_the_loss_was_and_comes_when_it_should() {
        let mut cubic = Cubic::default();
        let cwnd = cubic.on_loss(1000 * MSS, 1000 * MSS);
        assert_eq!(cwnd, 700 * MSS);
        // Half of the time: 1000 - 0.4 * 4.55^3 = 962.
        let half = follow(&mut cubic.clone(), cwnd, 45) / MSS;
        assert!((950..=975).contains(&half), "{half}");
        let plateau = follow(&mut cubic.clone(), cwnd, 91) / MSS;
        assert!((985..=1005).contains(&plateau), "{plateau}");
        // Beyond it grows ever faster: 1000 + 0.4 * 9.1^3 = 1301 after twice the time.
        let beyond = follow(&mut cubic, cwnd, 182) / MSS;
        assert!((1250..=1310).contains(&beyond), "{beyond}");
    }

    /// Section 4.3: where round trips are short Reno would be faster, and so CUBIC is as fast.
    #[test]
    fn it_is_never_slower_than_reno() {
        let mut cubic = Cubic::default();
        let mut cwnd = cubic.on_loss(20 * MSS, 20 * MSS);
        for round in 0..100u64 {
            let now = Instant(START + round * 100_000);
            for _ in 0..cwnd / MSS {
                cwnd = cubic.grow(cwnd, MSS, MSS, now, 100_000);
            }
        }
        // From 14 segments by 9/17 of one a round trip up to 20, then by one: 108.
        assert!((105..=111).contains(&(cwnd / MSS)), "{}", cwnd / MSS);
    }

    /// Section 4.7.
    #[test]
    fn a_second_loss_below_the_first_leaves_room_for_others() {
        let mut cubic = Cubic::default();
        cubic.on_loss(1000 * MSS, 1000 * MSS);
        cubic.on_loss(800 * MSS, 800 * MSS);
        assert_eq!(cubic.w_max, 680 * MSS);
        cubic.on_timeout();
        assert_eq!(cubic.w_max, 0);
    }
}
