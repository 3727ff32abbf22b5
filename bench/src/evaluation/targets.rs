//! What was to be reached, and whether it was.

use super::data::{Asked, ConnectionPoint, Data};
use super::summary::LIMITS_US;
use crate::guest::Guest;
use crate::load::Kind;

/// The opponent.
const OPPONENT: Guest = Guest::LinuxTuned;

/// A target, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    /// What is compared.
    pub(super) what: String,
    /// The opponent's and ours, as far as one figure says it.
    pub(super) figures: Option<(f64, f64)>,
    /// Ours to the opponent's.
    pub(super) ratio: Option<f64>,
    pub(super) bound: Bound,
}

/// What the ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl Target {
    /// In a word.
    pub(super) fn verdict(&self) -> &'static str {
        match self.ratio.map(|ratio| self.bound.holds(ratio)) {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        }
    }
}

impl Data {
    /// What was to be reached.
    pub(super) fn targets(&self) -> Vec<Target> {
        let closed = |what: &str, kind, connections, figure: fn(&ConnectionPoint) -> f64, bound| {
            let of = |guest| self.closed_loop(guest, kind, connections, figure);
            let figures = of(OPPONENT).zip(of(Guest::Ixion));
            Target {
                what: what.to_owned(),
                figures,
                ratio: figures.map(|(theirs, ours)| ours / theirs),
                bound,
            }
        };
        vec![
            closed(
                "echo of 64 bytes on 100 connections, requests/s",
                Kind::Tcp,
                100,
                |point| point.rate_per_s,
                Bound::AtLeast(4.0),
            ),
            self.equal_p99(),
            closed(
                "echo of 64 bytes, unloaded round trip, median, µs",
                Kind::Tcp,
                1,
                |point| point.p50_us,
                Bound::AtMost(0.5),
            ),
            closed(
                "connect, echo, reset, connections/s",
                Kind::Connect,
                16,
                |point| point.rate_per_s,
                Bound::AtLeast(5.0),
            ),
        ]
    }

    /// memcached within the same 99th percentile: the limit at which we do worst, of those that the opponent meets at all.
    fn equal_p99(&self) -> Target {
        let compared = LIMITS_US.iter().filter_map(|&limit_us| {
            let theirs = self.rate_within(OPPONENT, Asked::Etc, limit_us)?;
            // A guest that never stays within the limit carries nothing within it.
            let ours = self
                .rate_within(Guest::Ixion, Asked::Etc, limit_us)
                .unwrap_or(0.0);
            Some((limit_us, theirs, ours))
        });
        let worst = compared
            .min_by(|(_, theirs, ours), (_, others, mine)| (ours / theirs).total_cmp(&(mine / others)));
        let at = worst.map(|(limit_us, ..)| format!(", at the worst p99 limit, {} ms", limit_us / 1e3));
        Target {
            what: format!(
                "memcached, ETC mix, requests/s at equal p99{}",
                at.unwrap_or_default()
            ),
            figures: worst.map(|(_, theirs, ours)| (theirs, ours)),
            ratio: worst.map(|(_, theirs, ours)| ours / theirs),
            bound: Bound::AtLeast(3.6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bound, Target};
    use crate::evaluation::data::tests::{load as point, nothing};
    use crate::evaluation::data::{ConnectionPoint, LoadPoint};
    use crate::guest::Guest;
    use crate::load::Kind;

    #[test]
    fn equal_p99_is_judged_where_we_do_worst_of_what_the_opponent_meets() {
        let mut data = nothing();
        let theirs = |mut p: LoadPoint| {
            p.guest = Guest::LinuxTuned;
            p
        };
        data.loads = vec![
            // Within 1 ms never, within 2 ms 1000, within 5 ms 2000.
            theirs(point(1_000.0, 1_000.0, 2_000.0)),
            theirs(point(2_000.0, 2_000.0, 5_000.0)),
            theirs(point(4_000.0, 2_000.0, 300_000.0)),
            point(4_000.0, 4_000.0, 600.0),
            point(8_000.0, 8_000.0, 4_000.0),
            point(16_000.0, 8_000.0, 300_000.0),
        ];
        let target = data.equal_p99();
        assert!(
            target.what.ends_with("5 ms") || target.what.ends_with("10 ms"),
            "{}",
            target.what
        );
        assert_eq!(target.figures, Some((2_000.0, 8_000.0)));
        assert_eq!(target.verdict(), "met");
    }

    #[test]
    fn a_target_compares_medians_of_the_same_closed_loop() {
        let rate = |guest, connections, rate_per_s| ConnectionPoint {
            round: 1,
            guest,
            kind: Kind::Tcp,
            connections,
            rate_per_s,
            p50_us: 1e6 / rate_per_s,
            p99_us: 2e6 / rate_per_s,
            failures: 0,
            vcpu_us: 1.0,
            main_loop_us: 1.0,
            client_us: 1.0,
        };
        let mut data = nothing();
        data.connections = vec![
            rate(Guest::LinuxTuned, 100, 10_000.0),
            rate(Guest::LinuxTuned, 100, 9_000.0),
            rate(Guest::LinuxTuned, 100, 20_000.0),
            rate(Guest::LinuxHosted, 100, 99_000.0),
            rate(Guest::LinuxTuned, 1, 5_000.0),
            rate(Guest::Ixion, 100, 50_000.0),
            rate(Guest::Ixion, 1, 8_000.0),
        ];
        let targets = data.targets();
        assert_eq!(targets[0].figures, Some((10_000.0, 50_000.0)));
        assert_eq!((targets[0].ratio, targets[0].verdict()), (Some(5.0), "met"));
        // 200 and 125 us.
        assert_eq!(
            (targets[2].ratio, targets[2].verdict()),
            (Some(0.625), "**missed**")
        );
        assert_eq!(targets[1].verdict(), "not measured");
        assert_eq!(targets[3].verdict(), "not measured");
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let verdict = |ratio, bound| {
            let what = String::new();
            let figures = None;
            Target {
                what,
                figures,
                ratio,
                bound,
            }
            .verdict()
        };
        assert_eq!(verdict(Some(4.0), Bound::AtLeast(4.0)), "met");
        assert_eq!(verdict(Some(3.9), Bound::AtLeast(4.0)), "**missed**");
        assert_eq!(verdict(Some(0.5), Bound::AtMost(0.5)), "met");
        assert_eq!(verdict(Some(0.6), Bound::AtMost(0.5)), "**missed**");
        assert_eq!(verdict(None, Bound::AtMost(0.5)), "not measured");
    }
}
