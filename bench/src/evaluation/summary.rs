//! Medians over the rounds, and what can be read off the curves.

use super::data::{Asked, ConnectionPoint, Data, LoadPoint, SizePoint};
use super::sweep::keeps_up;
use crate::guest::Guest;
use crate::load::Kind;
use crate::measure::Instructions;

/// Bounds on the 99th percentile at which throughputs are compared, in microseconds.
pub(super) const LIMITS_US: [f64; 7] = [500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0];

/// The middle one; of an even number the lower of the two.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

impl Data {
    /// The guests' curve in order of the offered load: medians over the rounds.
    pub(super) fn curve(&self, guest: Guest, asked: Asked) -> Vec<LoadPoint> {
        let mut points: Vec<&LoadPoint> = self
            .loads
            .iter()
            .filter(|point| (point.guest, point.asked) == (guest, asked))
            .collect();
        points.sort_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s));
        let same_load = |a: &&LoadPoint, b: &&LoadPoint| a.offered_per_s.total_cmp(&b.offered_per_s).is_eq();
        let of_load = |points: &[&LoadPoint]| {
            let middle = |figure: fn(&LoadPoint) -> f64| {
                median(points.iter().map(|point| figure(point))).unwrap_or_default()
            };
            LoadPoint {
                sent_per_s: middle(|p| p.sent_per_s),
                carried_per_s: middle(|p| p.carried_per_s),
                p50_us: middle(|p| p.p50_us),
                p99_us: middle(|p| p.p99_us),
                p999_us: middle(|p| p.p999_us),
                unanswered: points.iter().map(|point| point.unanswered).sum(),
                refused: points.iter().map(|point| point.refused).sum(),
                vcpu_share: middle(|p| p.vcpu_share),
                main_loop_share: middle(|p| p.main_loop_share),
                client_share: middle(|p| p.client_share),
                ..*points[0]
            }
        };
        points.chunk_by(same_load).map(of_load).collect()
    }

    /// The highest load that it keeps up with.
    pub(super) fn highest(&self, guest: Guest, asked: Asked) -> Option<LoadPoint> {
        let mut curve = self.curve(guest, asked);
        curve.retain(|point| keeps_up(point.sent_per_s, point.carried_per_s));
        curve.pop()
    }

    /// The highest load whose 99th percentile stays below the limit.
    pub(super) fn rate_within(&self, guest: Guest, asked: Asked, limit_us: f64) -> Option<f64> {
        rate_within(&self.curve(guest, asked), limit_us)
    }

    fn closed(&self, guest: Guest, kind: Kind, connections: usize) -> impl Iterator<Item = &ConnectionPoint> {
        let key = (guest, kind, connections);
        let points = self.connections.iter();
        points.filter(move |point| (point.guest, point.kind, point.connections) == key)
    }

    /// The median of a figure of a closed loop.
    pub(super) fn closed_loop(
        &self,
        guest: Guest,
        kind: Kind,
        connections: usize,
        figure: impl Fn(&ConnectionPoint) -> f64,
    ) -> Option<f64> {
        median(self.closed(guest, kind, connections).map(figure))
    }

    /// Numbers of connections, in order.
    pub(super) fn connection_counts(&self) -> Vec<usize> {
        let points = self.connections.iter().filter(|point| point.kind == Kind::Tcp);
        let mut counts: Vec<usize> = points.map(|point| point.connections).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// Failed connections, all together.
    pub(super) fn failures(&self) -> u64 {
        self.connections.iter().map(|point| point.failures).sum()
    }

    /// Misses, errors, and requests without an answer, where the guest kept up.
    pub(super) fn unserved(&self) -> u64 {
        let kept_up = |point: &&LoadPoint| keeps_up(point.sent_per_s, point.carried_per_s);
        let points = self.loads.iter().filter(kept_up);
        points.map(|point| point.unanswered + point.refused).sum()
    }

    /// Message sizes with one way's time and goodput, in order.
    pub(super) fn sizes(&self, guest: Guest) -> Vec<SizePoint> {
        let mut points: Vec<&SizePoint> = self.sizes.iter().filter(|point| point.guest == guest).collect();
        points.sort_by_key(|point| point.bytes);
        let of_size = |points: &[&SizePoint]| SizePoint {
            median_us: median(points.iter().map(|point| point.median_us)).unwrap_or_default(),
            goodput_mbit_s: median(points.iter().map(|point| point.goodput_mbit_s)).unwrap_or_default(),
            ..*points[0]
        };
        points.chunk_by(|a, b| a.bytes == b.bytes).map(of_size).collect()
    }

    /// Per request.
    pub(super) fn instructions(&self, guest: Guest, kind: Kind) -> Option<Instructions> {
        let mut counts = self.counts.iter();
        let count = counts.find(|count| (count.guest, count.kind) == (guest, kind));
        count.map(|count| count.instructions)
    }
}

/// Along a curve in order of the load: the last point within the limit that is kept up with, or what lies between it and the
/// next one on a straight line over the logarithm of the latency.
fn rate_within(curve: &[LoadPoint], limit_us: f64) -> Option<f64> {
    let within =
        |point: &LoadPoint| point.p99_us <= limit_us && keeps_up(point.sent_per_s, point.carried_per_s);
    let last = curve.iter().rposition(within)?;
    let (below, above) = (curve[last], curve.get(last + 1));
    let rate = above.filter(|above| above.p99_us > limit_us).map(|above| {
        let share = (limit_us / below.p99_us).ln() / (above.p99_us / below.p99_us).ln();
        // What is beyond saturation is carried at saturation.
        let step = above.carried_per_s.max(below.carried_per_s) - below.carried_per_s;
        below.carried_per_s + share * step
    });
    Some(rate.unwrap_or(below.carried_per_s))
}

#[cfg(test)]
mod tests {
    use super::{median, rate_within};
    use crate::evaluation::data::Asked;
    use crate::evaluation::data::tests::{load as point, nothing};
    use crate::guest::Guest;

    fn about(found: Option<f64>, wanted: f64) {
        assert!(
            found.is_some_and(|found| (found - wanted).abs() < 1e-6),
            "{found:?}, not {wanted}"
        );
    }

    #[test]
    fn the_rate_within_a_limit_lies_between_the_points_around_it() {
        let curve = [
            point(1_000.0, 1_000.0, 100.0),
            point(2_000.0, 2_000.0, 200.0),
            point(4_000.0, 4_000.0, 20_000.0),
        ];
        assert_eq!(rate_within(&curve, 50.0), None);
        about(rate_within(&curve, 100.0), 1_000.0);
        // Half way from 200 to 20,000 on a logarithmic axis.
        about(rate_within(&curve, 2_000.0), 3_000.0);
        about(rate_within(&curve, 50_000.0), 4_000.0);
    }

    #[test]
    fn an_overloaded_point_never_counts_as_within_and_adds_no_more_than_it_carries() {
        let curve = [
            point(4_000.0, 4_000.0, 1_000.0),
            point(8_000.0, 3_900.0, 90_000.0),
        ];
        about(rate_within(&curve, 5_000.0), 4_000.0);
        about(rate_within(&curve, 100_000.0), 4_000.0);
        assert_eq!(rate_within(&curve[1..], 100_000.0), None);
    }

    #[test]
    fn a_hiccup_at_a_low_load_does_not_hide_what_was_carried_at_a_higher_one() {
        let curve = [point(1_000.0, 1_000.0, 30_000.0), point(2_000.0, 2_000.0, 200.0)];
        about(rate_within(&curve, 1_000.0), 2_000.0);
    }

    #[test]
    fn a_curve_is_the_medians_of_its_loads_in_their_order() {
        let mut data = nothing();
        data.loads = vec![
            point(2_000.0, 1_990.0, 300.0),
            point(1_000.0, 1_000.0, 900.0),
            point(1_000.0, 1_002.0, 100.0),
            point(1_000.0, 998.0, 110.0),
        ];
        let curve = data.curve(Guest::Ixion, Asked::Etc);
        let figures: Vec<_> = curve
            .iter()
            .map(|p| (p.offered_per_s, p.carried_per_s, p.p99_us))
            .collect();
        assert_eq!(figures, [(1_000.0, 1_000.0, 110.0), (2_000.0, 1_990.0, 300.0)]);
        assert!(data.curve(Guest::LinuxTuned, Asked::Etc).is_empty());
        assert!(data.curve(Guest::Ixion, Asked::Echo).is_empty());
    }

    #[test]
    fn the_median_of_two_is_the_lower() {
        assert_eq!(median([3.0, 1.0].into_iter()), Some(1.0));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median(std::iter::empty()), None);
    }
}
