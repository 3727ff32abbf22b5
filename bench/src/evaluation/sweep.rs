//! Which loads are offered: twice as much each time until the server does not keep up, then what lies between the last two in
//! finer steps. All loads are of one grid, so that those of different rounds and servers can be compared.

use anyhow::Result;

/// The first load, requests per second.
const FIRST: f64 = 500.0;
/// Loads from one to its double.
const STEPS: u32 = 4;
/// Doublings at most.
const DOUBLINGS: u32 = 11;
/// A server keeps up that answers this share of what is sent, while it is sent.
const KEPT_UP: f64 = 0.95;

/// Whether a server that was sent this keeps up.
pub(super) fn keeps_up(sent_per_s: f64, carried_per_s: f64) -> bool {
    carried_per_s >= KEPT_UP * sent_per_s
}

/// A load of the grid, requests per second.
fn rate(place: u32) -> f64 {
    (FIRST * (f64::from(place) / f64::from(STEPS)).exp2()).round()
}

/// Offers loads; `offer` says whether the server kept up.
pub(super) fn walk(mut offer: impl FnMut(f64) -> Result<bool>) -> Result<()> {
    for doubling in 0..=DOUBLINGS {
        let place = doubling * STEPS;
        if offer(rate(place))? {
            continue;
        }
        for between in place.saturating_sub(STEPS - 1)..place {
            if !offer(rate(between))? {
                break;
            }
        }
        break;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{keeps_up, walk};

    fn offered(capacity: f64) -> Vec<f64> {
        let mut offered = Vec::new();
        walk(|rate| {
            offered.push(rate);
            Ok(rate <= capacity)
        })
        .unwrap();
        offered
    }

    #[test]
    fn loads_double_and_then_close_in_on_what_the_server_can() {
        assert_eq!(
            offered(7_000.0),
            [
                500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 4_757.0, 5_657.0, 6_727.0
            ]
        );
        assert_eq!(
            offered(2_500.0),
            [500.0, 1_000.0, 2_000.0, 4_000.0, 2_378.0, 2_828.0]
        );
    }

    #[test]
    fn it_ends_for_servers_that_can_nothing_or_everything() {
        assert_eq!(offered(0.0), [500.0]);
        assert_eq!(offered(f64::MAX).last(), Some(&1_024_000.0));
    }

    #[test]
    fn a_twentieth_may_be_late() {
        assert!(keeps_up(1_000.0, 950.0) && !keeps_up(1_000.0, 949.0));
    }
}
