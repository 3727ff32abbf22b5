//! How large a packet each destination's way carries, where a router has said that it is less than the link (RFC 1191,
//! RFC 8201). The table is of fixed size; what was said is forgotten after ten minutes, so that a way that has become
//! wider is found (RFC 8201 section 4).
//!
//! Anybody can say it, so it counts only of a packet that is on its way ([`crate::Stack`] sees to that, RFC 5927 section
//! 7.2), only if it is less than before, and no less than any way carries.

use crate::Instant;
use crate::ipv6::MIN_MTU;
use core::net::IpAddr;

/// RFC 8201 section 4: ten minutes.
const LIFETIME_NS: u64 = 600_000_000_000;
/// A minute, for what was only concluded.
const SUSPICION_NS: u64 = 60_000_000_000;
/// The least that is believed of a way in IPv4. RFC 791 allows links of 68 bytes; but then a forged message could have us
/// send many small segments, and Linux does not believe less either (`min_pmtu`).
const MIN_MTU_V4: u16 = 552;

/// An address hashes to a set and may stand in any place of it.
const WAYS: usize = 4;
const SETS: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// `None`: free.
    dst: Option<IpAddr>,
    mtu: u16,
    until: Instant,
}

/// The table.
#[derive(Debug)]
pub(crate) struct PathMtus {
    sets: [[Entry; WAYS]; SETS],
    /// None is in use: the common case, in which nothing is looked up.
    is_empty: bool,
}

impl PathMtus {
    /// An empty one.
    pub(crate) const EMPTY: PathMtus = PathMtus {
        sets: [[Entry {
            dst: None,
            mtu: 0,
            until: Instant(0),
        }; WAYS]; SETS],
        is_empty: true,
    };

    /// What the way to `dst` carries, if it is less than the link.
    #[inline]
    pub(crate) fn get(&self, dst: IpAddr, now: Instant) -> Option<u16> {
        if self.is_empty {
            return None;
        }
        self.search(dst, now)
    }

    #[inline(never)]
    fn search(&self, dst: IpAddr, now: Instant) -> Option<u16> {
        let mut set = self.sets.get(set_of(dst))?.iter();
        set.find(|entry| entry.dst == Some(dst) && entry.until > now)
            .map(|entry| entry.mtu)
    }

    /// A router says that the way to `dst`, which was held to carry `before`, carries no more than `mtu`. `true` if that
    /// is news.
    pub(crate) fn lower(&mut self, dst: IpAddr, mtu: u32, before: u16, now: Instant) -> bool {
        self.lower_for(LIFETIME_NS, dst, mtu, before, now)
    }

    /// Nobody says so, but nothing longer comes through. As that may have had other reasons, it is soon forgotten.
    pub(crate) fn suspect(&mut self, dst: IpAddr, mtu: u32, before: u16, now: Instant) -> bool {
        self.lower_for(SUSPICION_NS, dst, mtu, before, now)
    }

    fn lower_for(&mut self, lifetime_ns: u64, dst: IpAddr, mtu: u32, before: u16, now: Instant) -> bool {
        let least = match dst {
            IpAddr::V4(_) => MIN_MTU_V4,
            IpAddr::V6(_) if mtu < MIN_MTU.into() => return false, // RFC 8201 section 4: to be discarded
            IpAddr::V6(_) => MIN_MTU,
        };
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX).max(least);
        let Some(set) = self.sets.get_mut(set_of(dst)) else {
            return false;
        };
        if mtu >= before {
            return false;
        }
        let oldest = set.iter_mut().min_by_key(|entry| match entry.dst {
            Some(known) if known == dst => (0, entry.until),
            None => (1, entry.until),
            Some(_) => (2, entry.until),
        });
        if let Some(entry) = oldest {
            *entry = Entry {
                dst: Some(dst),
                mtu,
                until: now.after_ns(lifetime_ns),
            };
        }
        self.is_empty = false;
        true
    }
}

/// Multiplying spreads neighbouring addresses evenly.
fn set_of(dst: IpAddr) -> usize {
    let bits = match dst {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, rest @ ..] = ip.octets();
            u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ u64::from_be_bytes(rest)
        }
    };
    let [spread, ..] = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    usize::from(spread) % SETS
}

/// What a way probably carries if a packet of `total_len` was too long and the router does not say (RFC 1191 section 7.1:
/// the next of the usual sizes).
pub(crate) fn plateau_below(total_len: u16) -> u32 {
    const PLATEAUS: [u16; 8] = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508];
    let below = PLATEAUS.into_iter().find(|plateau| *plateau < total_len);
    below.map_or(68, u32::from)
}

#[cfg(test)]
mod tests {
    use super::{LIFETIME_NS, MIN_MTU_V4, PathMtus, plateau_below};
    use crate::Instant;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    const NOW: Instant = Instant(1);

    #[test]
    fn it_only_falls_and_is_forgotten() {
        let mut mtus = PathMtus::EMPTY;
        assert!(mtus.lower(V4, 1400, 1500, NOW));
        assert_eq!(mtus.get(V4, NOW), Some(1400));
        assert!(!mtus.lower(V4, 1450, 1400, NOW));
        assert!(mtus.lower(V4, 1000, 1400, NOW));
        assert_eq!((mtus.get(V4, NOW), mtus.get(V6, NOW)), (Some(1000), None));
        assert_eq!(mtus.get(V4, NOW.after_ns(LIFETIME_NS)), None);
    }

    #[test]
    fn there_is_a_least_for_each_family() {
        let mut mtus = PathMtus::EMPTY;
        assert!(mtus.lower(V4, 1, 1500, NOW));
        assert_eq!(mtus.get(V4, NOW), Some(MIN_MTU_V4));
        assert!(!mtus.lower(V6, 1279, 1500, NOW));
        assert!(mtus.lower(V6, 1280, 1500, NOW));
        assert!(!mtus.lower(V6, 1 << 20, 1500, NOW));
    }

    #[test]
    fn many_destinations_find_room() {
        let mut mtus = PathMtus::EMPTY;
        for host in 0..10_000u32 {
            let dst = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + host));
            assert!(mtus.lower(dst, 1300, 1500, Instant(host.into())));
            assert_eq!(mtus.get(dst, NOW), Some(1300));
        }
    }

    #[test]
    fn routers_that_do_not_say() {
        assert_eq!([1500, 1492, 576, 68].map(plateau_below), [1492, 1006, 508, 68]);
    }
}
