//! What neighbour discovery's table believes (RFC 4861 section 7.2). An entry is INCOMPLETE when it is asked for, and PROBE
//! when it is probed; DELAY, in which transports could confirm it, takes no time here: it is asked for at once.

use super::table::{Address, State, Table};
use crate::Instant;
use crate::wire::ethernet::MacAddr;
use crate::wire::ndp::Advertisement;
use core::net::Ipv6Addr;

impl Address for Ipv6Addr {
    const NONE: Self = Ipv6Addr::UNSPECIFIED;
    /// RFC 4861 section 10: REACHABLE_TIME.
    const REACHABLE_NS: u64 = 30_000_000_000;

    /// By multiplying the folded halves with 2^64 / golden ratio.
    #[inline]
    fn spread(self) -> u8 {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.octets();
        let folded = u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ u64::from_be_bytes(rest);
        let [spread, ..] = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        spread
    }
}

impl Table<Ipv6Addr> {
    /// A solicitation, or a router's advertisement, names its sender's station (sections 7.2.3 and 6.3.4). `true` if
    /// somebody waits for it.
    pub fn heard_from(&mut self, ip: Ipv6Addr, mac: MacAddr, now: Instant) -> bool {
        match self.known(ip) {
            None => {
                self.note_unsolicited(ip, mac, now);
                false
            }
            Some(entry) if entry.mac == mac && entry.state != State::Asked => false,
            Some(_) => self.update(ip, mac, State::Stale, now),
        }
    }

    /// An advertisement (section 7.2.5). `true` if somebody waits for it.
    pub fn advertised(&mut self, said: &Advertisement, now: Instant) -> bool {
        let Some(entry) = self.known(said.target) else {
            return false; // nobody has asked
        };
        let fresh = if said.is_solicited {
            State::Reachable
        } else {
            State::Stale
        };
        if entry.state == State::Asked {
            return said
                .station
                .is_some_and(|mac| self.update(said.target, mac, fresh, now));
        }
        let mac = said.station.unwrap_or(entry.mac);
        let differs = mac != entry.mac;
        if differs && !said.overrides {
            if entry.state == State::Reachable {
                self.update(said.target, entry.mac, State::Stale, now);
            }
        } else if said.is_solicited || differs {
            self.update(said.target, mac, fresh, now);
        }
        false
    }
}
