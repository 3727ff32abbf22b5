//! Where a bridge sends a frame.

use crate::stations::{Mac, Stations};
use std::time::Duration;

/// Groups whose frames no bridge passes on: they are about the link itself (IEEE 802.1Q section 8.6.3).
const OF_THE_LINK: [u8; 5] = [0x01, 0x80, 0xc2, 0, 0];

/// Reads numbers of links as the command line names them: two at least, each once.
pub(crate) fn links(text: &str) -> Result<Vec<u16>, String> {
    let mut links = Vec::new();
    for word in text.split(':') {
        let link = word
            .parse()
            .map_err(|_| format!("{word:?} is no number of a link"))?;
        if links.contains(&link) {
            return Err(format!("link {link} is named twice"));
        }
        links.push(link);
    }
    if links.len() < 2 {
        return Err("a bridge has two links at least, as 0:1".to_owned());
    }
    Ok(links)
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Out of this link.
    To(u16),
    /// Out of all but the one it came by.
    All,
    /// Nowhere.
    Nowhere,
}

/// The bridge.
#[derive(Debug)]
pub(crate) struct Bridge {
    links: Vec<u16>,
    stations: Stations,
}

impl Bridge {
    pub(crate) fn new(links: &[u16]) -> Self {
        Bridge {
            links: links.to_vec(),
            stations: Stations::default(),
        }
    }

    pub(crate) fn links(&self) -> &[u16] {
        &self.links
    }

    /// Whether it has to know what time it is.
    pub(crate) fn learns(&self) -> bool {
        self.links.len() > 2
    }

    /// Between two links there is nothing to learn.
    pub(crate) fn way(&mut self, frame: &[u8], from: u16, now: Duration) -> Way {
        let Some((dst, rest)) = frame.split_first_chunk::<6>() else {
            return Way::Nowhere;
        };
        if dst.starts_with(&OF_THE_LINK) && dst[5] < 16 {
            return Way::Nowhere;
        }
        if let [one, other] = self.links[..] {
            return Way::To(if from == one { other } else { one });
        }
        if let Some(src) = rest.first_chunk::<6>() {
            self.stations.learn(*src, from, now);
        }
        self.way_to(*dst, from, now)
    }

    fn way_to(&self, dst: Mac, from: u16, now: Duration) -> Way {
        match self.stations.link_of(dst, now) {
            Some(link) if link == from => Way::Nowhere,
            Some(link) => Way::To(link),
            None => Way::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bridge, Way, links};
    use std::time::Duration;

    fn frame(dst: [u8; 6], src: [u8; 6]) -> Vec<u8> {
        [&dst[..], &src, &[8, 0, 1, 2, 3]].concat()
    }

    const A: [u8; 6] = [2, 0, 0, 0, 0, 10];
    const B: [u8; 6] = [2, 0, 0, 0, 0, 11];
    const ALL: [u8; 6] = [0xff; 6];
    const NOW: Duration = Duration::from_secs(5);

    #[test]
    fn of_two_links_a_frame_leaves_by_the_other() {
        let mut bridge = Bridge::new(&links("3:1").unwrap());
        for dst in [A, ALL] {
            assert_eq!(bridge.way(&frame(dst, B), 3, NOW), Way::To(1));
            assert_eq!(bridge.way(&frame(dst, B), 1, NOW), Way::To(3));
        }
        assert_eq!(bridge.way(&[1, 2, 3], 1, NOW), Way::Nowhere);
    }

    #[test]
    fn of_three_by_that_behind_which_its_station_was_heard() {
        let mut bridge = Bridge::new(&links("0:1:2").unwrap());
        assert_eq!(bridge.way(&frame(B, A), 0, NOW), Way::All);
        assert_eq!(bridge.way(&frame(A, B), 2, NOW), Way::To(0));
        assert_eq!(bridge.way(&frame(B, A), 0, NOW), Way::To(2));
        assert_eq!(
            bridge.way(&frame(A, B), 0, NOW),
            Way::Nowhere,
            "they are on one side"
        );
        assert_eq!(bridge.way(&frame(ALL, A), 0, NOW), Way::All);
    }

    #[test]
    fn what_is_about_the_link_itself_stays_on_it() {
        for text in ["0:1", "0:1:2"] {
            let mut bridge = Bridge::new(&links(text).unwrap());
            for last in [0, 0xe, 0xf] {
                let group = [1, 0x80, 0xc2, 0, 0, last];
                assert_eq!(bridge.way(&frame(group, A), 0, NOW), Way::Nowhere);
            }
            assert_ne!(
                bridge.way(&frame([1, 0x80, 0xc2, 0, 0, 16], A), 0, NOW),
                Way::Nowhere
            );
        }
    }
}
