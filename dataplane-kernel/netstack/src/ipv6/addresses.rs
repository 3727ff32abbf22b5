//! Our addresses: asked for on the link before they are ours (RFC 4862 section 5.4), preferred for as long as their
//! prefix is, and gone when it is.

use super::{common_prefix, is_host};
use crate::Instant;
use core::net::Ipv6Addr;

/// Most addresses.
const MAX_ADDRESSES: usize = 8;
/// How long an answer may take to the question whether somebody has an address (RFC 4861 section 10: RetransTimer; RFC
/// 4862 section 5.1: asked once).
const PROBE_NS: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for as soon as a frame can be sent.
    Unasked,
    /// Ours if nobody answers until then.
    Tentative { until: Instant },
    /// Ours.
    Assigned,
    /// Another station has it: never used.
    Duplicate,
}

#[derive(Clone, Copy, Debug)]
struct Address {
    ip: Ipv6Addr,
    state: State,
    /// Until then new connections may begin from it.
    preferred_until: Instant,
    /// Until then it is ours.
    valid_until: Instant,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    list: [Option<Address>; MAX_ADDRESSES],
}

impl Addresses {
    /// An address for ever.
    pub(super) fn add_permanent(&mut self, ip: Ipv6Addr, _now: Instant) {
        self.add(ip, Instant::FAR, Instant::FAR);
    }

    /// An address for ever that nobody else can have: it is ours at once.
    pub(super) fn assign(&mut self, ip: Ipv6Addr) {
        if let [place, ..] = &mut self.list
            && (is_host(ip) || ip.is_loopback())
        {
            *place = Some(Address {
                ip,
                state: State::Assigned,
                preferred_until: Instant::FAR,
                valid_until: Instant::FAR,
            });
        }
    }

    /// An address for some time. One that no host can have, or that finds no place, is left out.
    pub(super) fn add(&mut self, ip: Ipv6Addr, preferred_until: Instant, valid_until: Instant) {
        if !is_host(ip) || self.any(|ours| ours == ip) {
            return;
        }
        if let Some(place) = self.list.iter_mut().find(|place| place.is_none()) {
            *place = Some(Address {
                ip,
                state: State::Unasked,
                preferred_until,
                valid_until,
            });
        }
    }

    /// The lifetimes of an address that a prefix gave: until when it is preferred and valid.
    pub(super) fn lifetimes(&mut self, ip: Ipv6Addr) -> Option<(&mut Instant, &mut Instant)> {
        let mut all = self.list.iter_mut().flatten();
        let address = all.find(|address| address.ip == ip)?;
        Some((&mut address.preferred_until, &mut address.valid_until))
    }

    /// `true` if packets to it are for us.
    #[inline]
    pub(crate) fn is_ours(&self, ip: Ipv6Addr) -> bool {
        self.list
            .iter()
            .flatten()
            .any(|address| address.ip == ip && address.state == State::Assigned)
    }

    /// `true` if it shall become ours and nobody else may have it yet.
    pub(super) fn is_tentative(&self, ip: Ipv6Addr) -> bool {
        let mut all = self.list.iter().flatten();
        all.any(|address| {
            address.ip == ip && matches!(address.state, State::Unasked | State::Tentative { .. })
        })
    }

    /// `true` if it holds for any address, of whatever state.
    pub(crate) fn any(&self, mut holds: impl FnMut(Ipv6Addr) -> bool) -> bool {
        self.list.iter().flatten().any(|address| holds(address.ip))
    }

    /// All of them, of whatever state.
    pub(crate) fn all(&self) -> impl Iterator<Item = Ipv6Addr> + use<'_> {
        self.list.iter().flatten().map(|address| address.ip)
    }

    /// Another station has it.
    pub(super) fn give_up(&mut self, ip: Ipv6Addr) {
        for address in self.list.iter_mut().flatten() {
            if address.ip == ip {
                address.state = State::Duplicate;
            }
        }
    }

    /// Our end of a connection to `dst` (RFC 6724 section 5): of its scope, preferred rather than deprecated, then with
    /// the longest prefix in common.
    pub(crate) fn source_for(&self, dst: Ipv6Addr, now: Instant) -> Option<Ipv6Addr> {
        let is_local = dst.is_unicast_link_local() || is_link_scope(dst);
        let assigned = self.list.iter().flatten();
        assigned
            .filter(|ours| ours.state == State::Assigned)
            .max_by_key(|ours| {
                let fits = ours.ip.is_unicast_link_local() == is_local;
                (fits, ours.preferred_until > now, common_prefix(ours.ip, dst))
            })
            .map(|ours| ours.ip)
    }

    /// The next address to ask for on the link; its time runs from here, so call it when there is room to send.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<Ipv6Addr> {
        let mut all = self.list.iter_mut().flatten();
        let address = all.find(|address| address.state == State::Unasked)?;
        address.state = State::Tentative {
            until: now.after_ns(PROBE_NS),
        };
        Some(address.ip)
    }

    /// `true` if [`Addresses::poll_probe`] has something.
    pub(super) fn wants_to_probe(&self) -> bool {
        let mut all = self.list.iter().flatten();
        all.any(|address| address.state == State::Unasked)
    }

    pub(super) fn on_timer(&mut self, now: Instant) {
        for place in &mut self.list {
            let Some(address) = place else { continue };
            if let State::Tentative { until } = address.state
                && until <= now
            {
                address.state = State::Assigned;
            }
            if address.valid_until <= now {
                *place = None;
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self.list.iter().flatten().flat_map(|address| {
            let probe = match address.state {
                State::Tentative { until } => until,
                State::Unasked | State::Assigned | State::Duplicate => Instant::FAR,
            };
            [probe, address.valid_until]
        });
        deadlines.filter(|at| *at != Instant::FAR).min()
    }
}

/// A group of interface or link scope (RFC 4291 section 2.7).
fn is_link_scope(group: Ipv6Addr) -> bool {
    group.is_multicast() && group.octets()[1] & 0x0f <= 2
}

#[cfg(test)]
mod tests {
    use super::Addresses;
    use crate::Instant;
    use core::net::Ipv6Addr;

    const OLD: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
    const NEW: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1);
    const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn assigned(list: &[(Ipv6Addr, Instant)]) -> Addresses {
        let mut addresses = Addresses::default();
        for (ip, preferred_until) in list {
            addresses.add(*ip, *preferred_until, Instant::FAR);
        }
        while addresses.poll_probe(Instant(0)).is_some() {}
        addresses.on_timer(Instant(2_000_000_000));
        addresses
    }

    #[test]
    fn a_deprecated_address_is_the_last_choice() {
        let addresses = assigned(&[(OLD, Instant(10)), (NEW, Instant::FAR)]);
        let dst = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 9);
        assert_eq!(addresses.source_for(dst, Instant(0)), Some(OLD));
        assert_eq!(addresses.source_for(dst, Instant(10)), Some(NEW));
        let alone = assigned(&[(OLD, Instant(10))]);
        assert_eq!(alone.source_for(dst, Instant(10)), Some(OLD));
    }

    #[test]
    fn the_scope_comes_first() {
        let addresses = assigned(&[(LOCAL, Instant::FAR), (NEW, Instant(10))]);
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!(addresses.source_for(group, Instant(99)), Some(LOCAL));
        assert_eq!(addresses.source_for(OLD, Instant(99)), Some(NEW));
    }
}
