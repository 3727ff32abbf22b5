//! What a router's advertisement changes here: RFC 4861 section 6.3.4, and addresses of our own making by RFC 4862
//! section 5.5.3.

use super::{Ipv6, MIN_MTU, interface_identifier};
use crate::Instant;
use crate::wire::ndp::{PrefixInformation, RouterAdvertisement};
use core::net::Ipv6Addr;

/// The only length of prefix to which an interface identifier of 64 bits can be added.
const PREFIX_LEN: u8 = 64;
/// An advertisement that anybody can forge shortens the life of an address to no less than this (section 5.5.3 e).
const TWO_HOURS_S: u64 = 2 * 60 * 60;

impl Ipv6 {
    /// Heeds what the router `src` tells, if it is wanted.
    pub(super) fn on_router_advertisement(
        &mut self,
        src: Ipv6Addr,
        told: &RouterAdvertisement<'_>,
        now: Instant,
    ) -> bool {
        let resolved = told
            .station()
            .is_some_and(|mac| self.neighbors.heard_from(src, mac, now));
        if !self.autoconfigures {
            return resolved;
        }
        self.solicitations.answered();
        match told.lifetime_s {
            0 => self.routes.remove_router(src),
            seconds => self.routes.add_router(src, after(now, seconds.into())),
        }
        if told.hop_limit != 0 {
            self.hop_limit = told.hop_limit;
        }
        if let Some(mtu) = told.mtu().and_then(|mtu| u16::try_from(mtu).ok())
            && (MIN_MTU..=self.interface_mtu).contains(&mtu)
        {
            self.mtu = mtu;
        }
        for prefix in told.prefixes() {
            self.on_prefix(&prefix, now);
        }
        resolved
    }

    fn on_prefix(&mut self, told: &PrefixInformation, now: Instant) {
        if told.prefix.is_unicast_link_local() || told.prefix.is_multicast() {
            return;
        }
        if told.on_link {
            self.routes
                .add_prefix(told.prefix, told.len, after(now, told.valid_s.into()));
        }
        if told.autonomous && told.len == PREFIX_LEN && told.preferred_s <= told.valid_s {
            self.make_address(told, now);
        }
    }

    fn make_address(&mut self, told: &PrefixInformation, now: Instant) {
        let network = told.prefix.to_bits() & !u128::from(u64::MAX);
        let ip = Ipv6Addr::from_bits(network | u128::from(interface_identifier(self.mac)));
        let preferred = after(now, told.preferred_s.into());
        let valid = after(now, told.valid_s.into());
        let Some((preferred_until, valid_until)) = self.addresses.lifetimes(ip) else {
            if told.valid_s != 0 {
                self.addresses.add(ip, preferred, valid);
            }
            return;
        };
        if *valid_until == Instant::FAR && *preferred_until == Instant::FAR {
            return; // told us by the app's owner, not by a router
        }
        *preferred_until = preferred;
        let two_hours = after(now, TWO_HOURS_S);
        if valid > two_hours || valid > *valid_until {
            *valid_until = valid;
        } else {
            *valid_until = (*valid_until).min(two_hours);
        }
    }
}

/// So many seconds later; all ones are for as long as can be told from for ever.
fn after(now: Instant, seconds: u64) -> Instant {
    now.after_ns(seconds * 1_000_000_000)
}
