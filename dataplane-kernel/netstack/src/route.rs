//! One interface, one subnet, perhaps a gateway: where a packet goes next, and which addresses may stand in one.

use crate::StaticRoutes;
use crate::config::Medium;
use core::net::Ipv4Addr;

/// The addresses of the interface.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    address: Ipv4Addr,
    /// Ones for the network part.
    mask: u32,
    gateway: Option<Ipv4Addr>,
    medium: Medium,
}

/// What a destination address is to this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Our own address.
    Us,
    /// The limited broadcast, or that of our subnet.
    Broadcast,
    /// A group.
    Multicast,
    /// Another host, or nothing that can be a destination.
    Other,
}

/// To whom the link has to carry a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// The neighbour with this address: the destination itself, or the gateway.
    Neighbor(Ipv4Addr),
    /// All stations.
    Broadcast,
    /// Nobody: off the subnet without a gateway, our own address (but on a loopback interface), a group, or no address that a
    /// host can have.
    Unreachable,
}

impl Route {
    /// Of a host without an address: nothing goes anywhere.
    pub const NONE: Route = Route {
        address: Ipv4Addr::UNSPECIFIED,
        mask: u32::MAX,
        gateway: None,
        medium: Medium::Ethernet,
    };

    /// `prefix_len` above 32 counts as 32. A gateway that is not on the subnet is never asked for.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix_len: u8, gateway: Option<Ipv4Addr>) -> Self {
        let host_bits = 32 - u32::from(prefix_len.min(32));
        let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
        let mut route = Route {
            address,
            mask,
            gateway: None,
            medium: Medium::Ethernet,
        };
        route.gateway = gateway.filter(|gateway| *gateway != address && route.is_on_link(*gateway));
        route
    }

    /// Of an interface that leads back to ourselves, and so to no other address.
    #[must_use]
    pub fn loopback(address: Ipv4Addr) -> Self {
        Route {
            medium: Medium::Loopback,
            ..Route::new(address, 32, None)
        }
    }

    /// Our address.
    #[inline]
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// `false` for [`Route::NONE`].
    #[inline]
    #[must_use]
    pub fn has_address(&self) -> bool {
        !self.address.is_unspecified()
    }

    /// How many bits all addresses of the subnet share.
    #[must_use]
    pub(crate) fn prefix_len(&self) -> u8 {
        u8::try_from(self.mask.leading_ones()).unwrap_or(32)
    }

    /// Next hop to everything beyond the subnet.
    pub(crate) fn gateway(&self) -> Option<Ipv4Addr> {
        self.gateway
    }

    /// What `dst` is to us.
    #[inline]
    #[must_use]
    pub fn classify(&self, dst: Ipv4Addr) -> Destination {
        if dst == self.address {
            Destination::Us
        } else if self.is_broadcast(dst) {
            Destination::Broadcast
        } else if dst.is_multicast() {
            Destination::Multicast
        } else {
            Destination::Other
        }
    }

    /// Who takes a packet to `dst` on, if there are these other ways.
    #[inline]
    #[must_use]
    pub fn next_hop(&self, dst: Ipv4Addr, others: &StaticRoutes) -> NextHop {
        if self.is_broadcast(dst) {
            return if self.has_address() {
                NextHop::Broadcast
            } else {
                NextHop::Unreachable
            };
        }
        if dst == self.address || !is_host(dst) {
            return if self.is_ourselves(dst) {
                NextHop::Neighbor(dst)
            } else {
                NextHop::Unreachable
            };
        }
        match self.way(dst, others) {
            Some((_, neighbor)) => NextHop::Neighbor(neighbor),
            None => NextHop::Unreachable,
        }
    }

    /// The way to another host: how many bits its network shares, and who takes the packet on.
    #[inline]
    pub(crate) fn way(&self, dst: Ipv4Addr, others: &StaticRoutes) -> Option<(u8, Ipv4Addr)> {
        let other = others.to_v4(dst).find(|(_, gateway)| self.is_neighbor(*gateway));
        if self.is_on_link(dst) {
            let own = (self.prefix_len(), dst);
            return Some(other.filter(|(bits, _)| *bits > own.0).unwrap_or(own));
        }
        other.or_else(|| Some((0, self.gateway?)))
    }

    /// Whether a packet to us may come from `src`: RFC 1122 section 3.2.1.3 wants a host's address, and ours would make
    /// us answer ourselves.
    #[inline]
    #[must_use]
    pub fn is_legal_source(&self, src: Ipv4Addr) -> bool {
        is_host(src) && src != self.address && !self.is_broadcast(src) || self.is_ourselves(src)
    }

    /// Our address, and we are our own neighbour.
    #[cold]
    fn is_ourselves(&self, address: Ipv4Addr) -> bool {
        self.medium == Medium::Loopback && self.has_address() && address == self.address
    }

    /// `true` for a host's address on our subnet that is not ours.
    #[inline]
    #[must_use]
    pub fn is_neighbor(&self, address: Ipv4Addr) -> bool {
        self.is_on_link(address) && self.is_legal_source(address)
    }

    #[inline]
    fn is_on_link(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.address.to_bits()) & self.mask == 0
    }

    /// Subnets of one or two addresses (RFC 3021) have no broadcast address of their own.
    #[inline]
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        let host = !self.mask;
        let directed = host > 1
            && self.is_on_link(address)
            && matches!(address.to_bits() & host, bits if bits == host || bits == 0);
        directed || address.is_broadcast()
    }
}

/// `true` for an address of classes A to C that is neither "this network" (0/8) nor loopback (127/8).
#[inline]
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

#[cfg(test)]
mod tests {
    use super::{Destination, NextHop, Route};
    use crate::{StaticRoute, StaticRoutes};
    use core::net::Ipv4Addr;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 2);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);

    const NONE: StaticRoutes = StaticRoutes::EMPTY;

    #[test]
    fn a_static_route_counts_if_its_gateway_is_a_neighbour() {
        let other = Ipv4Addr::new(10, 0, 1, 7);
        let beyond = |network: [u8; 4], prefix, gateway: Ipv4Addr| {
            StaticRoutes::new(&[StaticRoute {
                network: Ipv4Addr::from(network).into(),
                prefix,
                gateway: gateway.into(),
            }])
        };
        let far = Ipv4Addr::new(10, 9, 9, 9);
        let route = Route::new(US, 24, Some(GATEWAY));
        let through = |routes: &StaticRoutes, dst| route.next_hop(dst, routes);
        let laid = beyond([10, 9, 0, 0], 16, other);
        assert_eq!(through(&laid, far), NextHop::Neighbor(other));
        assert_eq!(route.way(far, &laid), Some((16, other)));
        assert_eq!(route.way(Ipv4Addr::new(11, 0, 0, 1), &laid), Some((0, GATEWAY)));
        for not_a_neighbour in [far, US, Ipv4Addr::new(10, 0, 1, 255)] {
            let laid = beyond([10, 9, 0, 0], 16, not_a_neighbour);
            assert_eq!(
                through(&laid, far),
                NextHop::Neighbor(GATEWAY),
                "{not_a_neighbour}"
            );
        }
        let peer = Ipv4Addr::new(10, 0, 1, 130);
        assert_eq!(
            through(&beyond([10, 0, 0, 0], 8, other), peer),
            NextHop::Neighbor(peer)
        );
        let narrower = beyond([10, 0, 1, 128], 25, other);
        assert_eq!(through(&narrower, peer), NextHop::Neighbor(other));
    }

    #[test]
    fn on_link_or_by_the_gateway() {
        let route = Route::new(US, 24, Some(GATEWAY));
        let peer = Ipv4Addr::new(10, 0, 1, 9);
        let far = Ipv4Addr::new(10, 0, 2, 9);
        assert_eq!(route.next_hop(peer, &NONE), NextHop::Neighbor(peer));
        assert_eq!(route.next_hop(far, &NONE), NextHop::Neighbor(GATEWAY));
        assert_eq!(
            Route::new(US, 24, None).next_hop(far, &NONE),
            NextHop::Unreachable
        );
        assert_eq!(
            Route::new(US, 24, Some(far)).next_hop(far, &NONE),
            NextHop::Unreachable
        );
        assert_eq!(
            Route::new(US, 0, None).next_hop(far, &NONE),
            NextHop::Neighbor(far)
        );
    }

    #[test]
    fn without_an_address_nothing_goes_anywhere() {
        for dst in [Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED, GATEWAY] {
            assert_eq!(Route::NONE.next_hop(dst, &NONE), NextHop::Unreachable, "{dst}");
        }
        assert!(!Route::NONE.has_address());
    }

    #[test]
    fn broadcasts_of_all_kinds() {
        let route = Route::new(US, 24, None);
        for address in [
            Ipv4Addr::BROADCAST,
            Ipv4Addr::new(10, 0, 1, 255),
            Ipv4Addr::new(10, 0, 1, 0),
        ] {
            assert_eq!(route.classify(address), Destination::Broadcast);
            assert_eq!(route.next_hop(address, &NONE), NextHop::Broadcast);
            assert!(!route.is_legal_source(address));
        }
        let pair = Route::new(US, 31, None);
        assert_eq!(
            pair.next_hop(Ipv4Addr::new(10, 0, 1, 3), &NONE),
            NextHop::Neighbor(Ipv4Addr::new(10, 0, 1, 3))
        );
    }

    #[test]
    fn on_a_loopback_interface_we_are_our_only_neighbour() {
        let us = Ipv4Addr::LOCALHOST;
        let route = Route::loopback(us);
        assert_eq!(route.next_hop(us, &NONE), NextHop::Neighbor(us));
        assert!(route.is_legal_source(us));
        for other in [[127, 0, 0, 2], [10, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 1]] {
            assert_eq!(route.next_hop(other.into(), &NONE), NextHop::Unreachable);
        }
        assert!(!route.is_legal_source([127, 0, 0, 2].into()));
    }

    #[test]
    fn no_packet_goes_to_or_comes_from_what_is_no_host() {
        let route = Route::new(US, 24, Some(GATEWAY));
        for address in [
            [0, 0, 0, 0],
            [127, 0, 0, 1],
            [224, 0, 0, 1],
            [240, 1, 2, 3],
            US.octets(),
        ] {
            assert_eq!(route.next_hop(address.into(), &NONE), NextHop::Unreachable);
            assert!(!route.is_legal_source(address.into()));
        }
    }
}
