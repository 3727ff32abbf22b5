//! SYN cookies (RFC 4987 section 3.6): while a listener has too many connections half-open, a SYN is answered without
//! keeping anything. What has to be known when the ACK comes stands in what the peer sends back: our initial number holds
//! a keyed hash of the connection and the size of segments, our timestamp the other options.

use super::secrets::Secrets;
use crate::Instant;
use crate::ends::Ends;
use crate::seq::SeqNum;
use crate::wire::tcp::Segment;
use crate::wire::tcp_options::{Options, SackBlocks, Timestamps};

/// Binary logarithm of the time a hash is made with, in nanoseconds: 69 s. A cookie is taken in its own period and the
/// next.
const PERIOD_SHIFT: u32 = 36;
/// Sizes that a cookie can tell apart; a peer's is rounded down.
const SIZES: [u16; 8] = [88, 536, 1200, 1320, 1400, 1440, 1460, 8940];
/// No window scaling, where a shift would stand.
const UNSCALED: u32 = 15;
/// Bits of a timestamp that hold options.
const STAMP_BITS: u32 = 5;

/// How long after a cookie its ACK may come, at most.
pub(crate) const LIFETIME_NS: u64 = 2 << PERIOD_SHIFT;

/// The connection a cookie is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    pub(crate) ends: &'a Ends,
    pub(crate) ports: u32,
    /// SEG.SEQ of the SYN.
    pub(crate) irs: SeqNum,
}

impl Asker<'_> {
    /// Our initial number for a peer that takes segments of `mss`.
    pub(crate) fn cookie(&self, secrets: &Secrets, now: Instant, mss: u16) -> SeqNum {
        let index = SIZES.iter().rposition(|size| *size <= mss).unwrap_or(0);
        self.number(secrets, now.0 >> PERIOD_SHIFT, index)
    }

    /// The size of segments, if `number` is a cookie of ours that is still good.
    pub(crate) fn check(&self, secrets: &Secrets, now: Instant, number: SeqNum) -> Option<u16> {
        let period = now.0 >> PERIOD_SHIFT;
        let index = (number.0 >> 24 & 7) as usize;
        [period, period.wrapping_sub(1)]
            .into_iter()
            .any(|period| self.number(secrets, period, index) == number)
            .then(|| SIZES.get(index).copied())
            .flatten()
    }

    /// Five bits of the period, three of the size, 24 of the hash.
    #[allow(clippy::cast_possible_truncation, reason = "masked to what there is room for")]
    fn number(&self, secrets: &Secrets, period: u64, index: usize) -> SeqNum {
        let content = period << 3 | index as u64;
        let hash = secrets.cookie_hash(self.ends, self.ports, self.irs, content);
        SeqNum(((period & 31) as u32) << 27 | (index as u32 & 7) << 24 | hash & 0xff_ffff)
    }
}

/// Our timestamp at `clock` with what the peer has offered; not later than the clock.
pub(crate) fn stamp(clock: u32, offered: &Options) -> u32 {
    let scale = offered.window_scale.map_or(UNSCALED, u32::from);
    let bits = scale << 1 | u32::from(offered.sack_permitted);
    let value = clock & !((1 << STAMP_BITS) - 1) | bits;
    if value > clock {
        value.wrapping_sub(1 << STAMP_BITS)
    } else {
        value
    }
}

/// The options of the SYN that `ack` has followed, from the cookie's size of segments and the echo of the timestamp.
#[allow(clippy::cast_possible_truncation, reason = "four bits")]
pub(crate) fn options(mss: u16, ack: &Segment<'_>) -> Options {
    let stamps = ack.timestamps();
    let echo = stamps.map_or(UNSCALED << 1, |stamps| stamps.echo);
    let scale = echo >> 1 & 15;
    Options {
        mss: Some(mss),
        window_scale: (scale != UNSCALED).then_some(scale as u8),
        sack_permitted: echo & 1 != 0,
        timestamps: stamps.map(|stamps| Timestamps {
            value: stamps.value,
            echo: 0,
        }),
        sack: SackBlocks::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Asker, LIFETIME_NS, PERIOD_SHIFT, stamp};
    use crate::Instant;
    use crate::ends::Ends;
    use crate::seq::SeqNum;
    use crate::tcp::secrets::Secrets;
    use crate::wire::tcp_options::Options;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;

    fn ends(last: u8) -> Ends {
        Ends::V4 {
            local: Ipv4Addr::new(10, 0, 0, 1),
            remote: Ipv4Addr::new(10, 0, 0, last),
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_connection_and_its_time() {
        let secrets = Secrets::new([7; 16]);
        let (ends, other) = (ends(2), ends(3));
        let asker = Asker {
            ends: &ends,
            ports: 5,
            irs: SeqNum(9),
        };
        let now = Instant(17 << PERIOD_SHIFT);
        let cookie = asker.cookie(&secrets, now, 1452);
        assert_eq!(asker.check(&secrets, now, cookie), Some(1440));
        let later = now.after_ns(LIFETIME_NS - 1);
        assert_eq!(asker.check(&secrets, later, cookie), Some(1440));
        assert_eq!(asker.check(&secrets, now.after_ns(LIFETIME_NS), cookie), None);
        for number in [cookie + 1, cookie + (1 << 24), cookie + (1 << 27)] {
            assert_eq!(asker.check(&secrets, now, number), None);
        }
        let wrong = [
            Asker {
                ends: &other,
                ..asker
            },
            Asker { ports: 6, ..asker },
            Asker {
                irs: SeqNum(10),
                ..asker
            },
        ];
        for asker in wrong {
            assert_eq!(asker.check(&secrets, now, cookie), None);
        }
    }

    proptest! {
        #[test]
        fn a_stamp_holds_the_options_and_is_not_of_the_future(
            clock in 64u32.., scale in proptest::option::of(0u8..=14), sack: bool
        ) {
            let offered = Options { window_scale: scale, sack_permitted: sack, ..Options::default() };
            let value = stamp(clock, &offered);
            prop_assert!(value <= clock && clock - value < 64);
            prop_assert_eq!(value & 1 != 0, sack);
            prop_assert_eq!((value >> 1) & 15, scale.map_or(15, u32::from));
        }
    }
}
