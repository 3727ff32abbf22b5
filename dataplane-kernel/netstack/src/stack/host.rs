//! Several stacks that are one host, each on a link of its own (RFC 1122 section 3.3.4.2, the strong model: an address is
//! its link's, and packets to it are taken there only). Their driver chooses by [`Stack::reach`] who sends, and opens
//! listeners and UDP ports on all of them, in the same order: then these have the same [`Id`] everywhere.

use super::Stack;
use crate::interface::Local;
use crate::route::Destination;
use crate::wire::dhcp;
use crate::{Error, Id, Instant};
use core::net::IpAddr;

impl Stack {
    /// How many bits of `dst` the network shares that this stack would send to it by: those of its own link, of a static
    /// route, or 0 of a default gateway; `None` if it has no way. Its own addresses it reaches best, if only to say that
    /// nothing can be sent there.
    #[must_use]
    pub fn reach(&self, dst: IpAddr, now: Instant) -> Option<u8> {
        let shared = &self.shared;
        match dst {
            IpAddr::V4(dst) => {
                let route = &shared.interface.route;
                match route.classify(dst) {
                    Destination::Us => Some(32),
                    Destination::Multicast => {
                        let mut routes = shared.static_routes.to_v4(dst);
                        let over = routes.find(|(_, gateway)| route.is_neighbor(*gateway));
                        over.map(|(bits, _)| bits)
                    }
                    Destination::Broadcast if dst.is_broadcast() => None,
                    Destination::Broadcast => Some(route.prefix_len()),
                    Destination::Other => route.way(dst, &shared.static_routes).map(|(bits, _)| bits),
                }
            }
            IpAddr::V6(dst) => shared.ipv6.as_ref()?.reach(dst, now),
        }
    }

    /// Which of these, which are one host's, reaches `dst` by the longest prefix; of several such, the first.
    pub fn best_for<'a>(stacks: impl Iterator<Item = &'a Stack>, dst: IpAddr, now: Instant) -> Option<usize> {
        let mut best: Option<(u8, usize)> = None;
        for (number, stack) in stacks.enumerate() {
            if let Some(bits) = stack.reach(dst, now)
                && best.is_none_or(|(most, _)| bits > most)
            {
                best = Some((bits, number));
            }
        }
        best.map(|(_, number)| number)
    }

    /// `true` if this address, of which there may be one of each family and more of IPv6's, is ours.
    #[must_use]
    pub fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(ip) => !ip.is_unspecified() && ip == self.shared.interface.route.address(),
            IpAddr::V6(ip) => {
                let ipv6 = self.shared.ipv6.as_ref();
                ipv6.is_some_and(|ipv6| ipv6.addresses.is_ours(ip))
            }
        }
    }

    /// `true` if addresses like this one are spoken here.
    #[must_use]
    pub fn speaks(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.speaks_v4(),
            IpAddr::V6(_) => self.shared.ipv6.is_some(),
        }
    }

    /// `true` if the stack itself needs this UDP port.
    #[must_use]
    pub fn needs_udp_port(&self, port: u16) -> bool {
        port == dhcp::CLIENT_PORT && self.dhcp.is_some()
    }

    /// [`Stack::tcp_listen`] for a listener that another stack of this host has: `address` may be another link's, and then
    /// nothing ever comes.
    ///
    /// # Errors
    /// `Invalid`, `AddressInUse`, `NoMemory`.
    pub fn tcp_listen_too(
        &mut self,
        address: Option<IpAddr>,
        port: u16,
        backlog: u32,
        cookie: u64,
    ) -> Result<Id, Error> {
        let backlog = match backlog {
            0 => self.shared.tuning.default_backlog,
            wanted => wanted,
        };
        self.shared
            .listeners
            .open(Local::of(address), port, backlog, cookie)
    }

    /// [`Stack::udp_bind`] for a port that another stack of this host has, in the same way.
    ///
    /// # Errors
    /// `AddressNotAvailable`, `AddressInUse`, `NoMemory`.
    pub fn udp_bind_too(&mut self, address: Option<IpAddr>, port: u16, cookie: u64) -> Result<Id, Error> {
        self.udp.bind(Local::of(address), port, cookie)
    }

    /// The one address that a UDP port is bound to; `None` if it is any of ours.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn udp_local_address(&self, id: Id) -> Result<Option<IpAddr>, Error> {
        self.udp.local_address(id)
    }
}
