//! The way of a datagram: from which address of ours, over which neighbour, and the header that says so.

use crate::ends::Ends;
use crate::interface::{Interface, TTL};
use crate::ipv6::Ipv6;
use crate::neighbor::{Lookup, Neighbors};
use crate::path_mtus::PathMtus;
use crate::route::NextHop;
use crate::wire::ethernet::MacAddr;
use crate::{Error, Instant, StaticRoutes};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What leads out of this host.
pub(crate) struct Link<'a> {
    pub(crate) interface: &'a Interface,
    pub(crate) static_routes: &'a StaticRoutes,
    pub(crate) neighbors: &'a mut Neighbors,
    pub(crate) ipv6: Option<&'a mut Ipv6>,
    pub(crate) path_mtus: &'a PathMtus,
}

/// From where to where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) ends: Ends,
    pub(super) hop: Hop,
}

/// Who takes it from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// The station or stations with this address.
    Station(MacAddr),
    /// The neighbour with this address.
    Neighbor(IpAddr),
}

impl Way {
    pub(super) const NONE: Way = Way {
        ends: Ends::V4 {
            local: Ipv4Addr::UNSPECIFIED,
            remote: Ipv4Addr::UNSPECIFIED,
        },
        hop: Hop::Station(MacAddr::BROADCAST),
    };
}

impl Link<'_> {
    /// The way to `dst`.
    ///
    /// # Errors
    /// `NotSupported` (IPv6, where there is none), `Unreachable`.
    pub(super) fn way_to(&self, dst: IpAddr, now: Instant) -> Result<Way, Error> {
        match dst {
            IpAddr::V4(dst) => self.way_to_v4(dst),
            IpAddr::V6(dst) => self.way_to_v6(dst, now),
        }
    }

    fn way_to_v4(&self, remote: Ipv4Addr) -> Result<Way, Error> {
        let route = &self.interface.route;
        let hop = match route.next_hop(remote, self.static_routes) {
            NextHop::Neighbor(ip) => Hop::Neighbor(ip.into()),
            NextHop::Broadcast => Hop::Station(MacAddr::BROADCAST),
            NextHop::Unreachable if remote.is_multicast() && route.has_address() => {
                Hop::Station(MacAddr::of_group(remote))
            }
            NextHop::Unreachable => return Err(Error::Unreachable),
        };
        let local = route.address();
        Ok(Way {
            ends: Ends::V4 { local, remote },
            hop,
        })
    }

    fn way_to_v6(&self, remote: Ipv6Addr, now: Instant) -> Result<Way, Error> {
        let ipv6 = self.ipv6.as_ref().ok_or(Error::NotSupported)?;
        let hop = if remote.is_multicast() {
            Hop::Station(MacAddr::of_group_v6(remote))
        } else {
            let neighbor = ipv6.next_hop(remote, now).ok_or(Error::Unreachable)?;
            Hop::Neighbor(neighbor.into())
        };
        let local = ipv6.addresses.source_for(remote, now).ok_or(Error::Unreachable)?;
        Ok(Way {
            ends: Ends::V6 { local, remote },
            hop,
        })
    }

    /// Most bytes of a packet on that way.
    pub(super) fn mtu(&self, way: &Way, now: Instant) -> u16 {
        let link = match (&way.ends, &self.ipv6) {
            (Ends::V6 { .. }, Some(ipv6)) => ipv6.mtu,
            _ => self.interface.mtu,
        };
        let path = self.path_mtus.get(way.ends.remote(), now);
        path.unwrap_or(link).min(link)
    }

    /// Hops it may go.
    pub(super) fn hop_limit(&self, way: &Way) -> u8 {
        if way.ends.remote().is_multicast() {
            return 1; // RFC 1112 section 6.1, RFC 3493 section 5.2
        }
        match (&way.ends, &self.ipv6) {
            (Ends::V6 { .. }, Some(ipv6)) => ipv6.hop_limit,
            _ => TTL,
        }
    }

    /// The station that takes it.
    pub(super) fn station(&mut self, hop: Hop, now: Instant) -> Lookup {
        match (hop, &mut self.ipv6) {
            (Hop::Station(mac), _) => Lookup::Known(mac),
            (Hop::Neighbor(IpAddr::V4(ip)), _) => self.neighbors.lookup(ip, now),
            (Hop::Neighbor(IpAddr::V6(ip)), Some(ipv6)) => ipv6.neighbors.lookup(ip, now),
            (Hop::Neighbor(IpAddr::V6(_)), None) => Lookup::Full,
        }
    }
}
