//! Behind which link a station is, as its frames tell (IEEE 802.1Q section 8.7).

use std::collections::HashMap;
use std::time::Duration;

/// How long it is remembered (IEEE 802.1Q section 8.8.3).
const AGEING: Duration = Duration::from_secs(300);

/// Stations that are remembered at most: what a flood of forged ones may cost.
const MOST: usize = 4096;

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

#[derive(Clone, Copy, Debug)]
struct Seen {
    link: u16,
    at: Duration,
}

/// What has been learnt.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    seen: HashMap<Mac, Seen>,
}

impl Stations {
    /// A frame from `station` has come by `link`. While all places are taken by others that are fresh, nothing is learnt.
    pub(crate) fn learn(&mut self, station: Mac, link: u16, now: Duration) {
        if station[0] & 1 != 0 {
            return; // a group speaks never
        }
        if let Some(seen) = self.seen.get_mut(&station) {
            *seen = Seen { link, at: now };
            return;
        }
        if self.seen.len() >= MOST {
            self.seen.retain(|_, seen| is_fresh(*seen, now));
        }
        if self.seen.len() < MOST {
            self.seen.insert(station, Seen { link, at: now });
        }
    }

    /// Behind which link it is.
    pub(crate) fn link_of(&self, station: Mac, now: Duration) -> Option<u16> {
        let seen = self.seen.get(&station).filter(|seen| is_fresh(**seen, now));
        seen.map(|seen| seen.link)
    }
}

fn is_fresh(seen: Seen, now: Duration) -> bool {
    now.saturating_sub(seen.at) < AGEING
}

#[cfg(test)]
mod tests {
    use super::{AGEING, MOST, Mac, Stations};
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(1000);

    fn station(number: usize) -> Mac {
        let [.., a, b, c] = number.to_be_bytes();
        [2, 0, 0, a, b, c]
    }

    #[test]
    fn a_station_is_where_it_was_heard_last_until_it_is_too_long_ago() {
        let mut stations = Stations::default();
        stations.learn(station(1), 0, NOW);
        assert_eq!(stations.link_of(station(1), NOW), Some(0));
        stations.learn(station(1), 2, NOW);
        assert_eq!(stations.link_of(station(1), NOW), Some(2));
        assert_eq!(stations.link_of(station(1), NOW + AGEING), None);
        assert_eq!(stations.link_of(station(2), NOW), None);
        stations.learn([1, 0, 0x5e, 0, 0, 1], 0, NOW);
        assert_eq!(stations.link_of([1, 0, 0x5e, 0, 0, 1], NOW), None);
    }

    #[test]
    fn a_flood_of_stations_takes_no_more_than_there_is_and_passes() {
        let mut stations = Stations::default();
        (0..2 * MOST).for_each(|number| stations.learn(station(number), 1, NOW));
        assert_eq!(stations.seen.len(), MOST);
        assert_eq!(stations.link_of(station(MOST), NOW), None);
        stations.learn(station(MOST), 1, NOW + AGEING);
        assert_eq!(stations.link_of(station(MOST), NOW + AGEING), Some(1));
    }
}
