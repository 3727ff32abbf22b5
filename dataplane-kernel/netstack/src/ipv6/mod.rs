//! What a host knows of its link in IPv6: its own addresses, the prefixes and routers of the link, its neighbours.
//!
//! Nothing is sent from here: [`Ipv6::poll_question`] names the next message of neighbour discovery that should leave,
//! and [`Ipv6::receive`] takes in those of others.

/// Our addresses.
mod addresses;
pub(crate) use addresses::Addresses;

/// The way to a destination.
mod routes;
use routes::Routes;

/// What routers tell.
mod autoconfiguration;

/// What neighbours tell.
mod discovery;
pub(crate) use discovery::Question;

use crate::Instant;
use crate::config::{Config, Ipv6Config, Medium};
use crate::interface::TTL;
use crate::neighbor::Table;
use crate::wire::ethernet::MacAddr;
use crate::wire::ndp;
use core::net::Ipv6Addr;
use discovery::Solicitations;

/// What every link carries (RFC 8200 section 5).
pub(crate) const MIN_MTU: u16 = 1280;
/// All hosts of the link.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// All routers of the link.
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The state of the interface.
#[derive(Debug)]
pub(crate) struct Ipv6 {
    mac: MacAddr,
    medium: Medium,
    pub(crate) addresses: Addresses,
    routes: Routes,
    pub(crate) neighbors: Table<Ipv6Addr>,
    solicitations: Solicitations,
    autoconfigures: bool,
    /// Hops that packets may go: ours, or what a router says.
    pub(crate) hop_limit: u8,
    /// Largest packet of the link: the interface's, or less if a router says so.
    pub(crate) mtu: u16,
    interface_mtu: u16,
}

impl Ipv6 {
    /// The interface that `config` describes.
    pub(crate) fn of(config: &Config, now: Instant) -> Option<Self> {
        let (mac, ipv6) = (MacAddr(config.mac), config.ipv6.as_ref()?);
        Some(match config.medium {
            Medium::Ethernet => {
                let mut new = Ipv6::new(mac, config.mtu, ipv6, now);
                new.routes.lay(config.static_routes.clone());
                new
            }
            Medium::Loopback => Ipv6::loopback(mac, config.mtu, ipv6, now),
        })
    }

    /// Leads back to ourselves, at the address of `config` if there is one.
    fn loopback(mac: MacAddr, mtu: u16, config: &Ipv6Config, now: Instant) -> Self {
        let mut ipv6 = Ipv6::without_address(mac, mtu, now);
        ipv6.medium = Medium::Loopback;
        if let Some((address, _)) = config.address {
            ipv6.addresses.assign(address);
            ipv6.neighbors.fix(address, mac);
        }
        ipv6
    }

    fn without_address(mac: MacAddr, mtu: u16, now: Instant) -> Self {
        Ipv6 {
            mac,
            medium: Medium::Ethernet,
            addresses: Addresses::default(),
            routes: Routes::default(),
            neighbors: Table::new(now),
            solicitations: Solicitations::default(),
            autoconfigures: false,
            hop_limit: TTL,
            mtu,
            interface_mtu: mtu,
        }
    }

    /// Begins to make a link-local address for `mac`, and takes those of `config`.
    fn new(mac: MacAddr, mtu: u16, config: &Ipv6Config, now: Instant) -> Self {
        let mut ipv6 = Ipv6::without_address(mac, mtu, now);
        ipv6.autoconfigures = config.autoconfigure;
        ipv6.addresses.add_permanent(link_local(mac), now);
        if let Some((address, prefix_len)) = config.address {
            ipv6.addresses.add_permanent(address, now);
            ipv6.routes.add_prefix(address, prefix_len, Instant::FAR);
        }
        if let Some(gateway) = config.gateway {
            ipv6.routes.add_router(gateway, Instant::FAR);
        }
        ipv6
    }

    /// The neighbour that takes a packet to `dst` on; `None`: nobody does, or it is not one host's address.
    pub(crate) fn next_hop(&self, dst: Ipv6Addr, now: Instant) -> Option<Ipv6Addr> {
        if self.medium == Medium::Loopback || !is_host(dst) || self.addresses.is_ours(dst) {
            return self.is_ourselves(dst).then_some(dst);
        }
        self.routes.way(dst, now).map(|(_, neighbor)| neighbor)
    }

    /// Whether a packet to us may come from `src`, an address of another host.
    #[inline]
    pub(crate) fn is_legal_source(&self, src: Ipv6Addr) -> bool {
        is_host(src) && !self.addresses.is_ours(src) || self.is_ourselves(src)
    }

    /// An address of ours, and we are our own neighbour.
    #[cold]
    fn is_ourselves(&self, address: Ipv6Addr) -> bool {
        self.medium == Medium::Loopback && self.addresses.is_ours(address)
    }

    /// How many bits of `dst` the network shares that a packet would be sent to it by; see [`crate::Stack::reach`].
    pub(crate) fn reach(&self, dst: Ipv6Addr, now: Instant) -> Option<u8> {
        match dst {
            _ if self.addresses.is_ours(dst) => Some(128),
            _ if self.medium == Medium::Loopback => None,
            _ if is_host(dst) => self.routes.way(dst, now).map(|(bits, _)| bits),
            _ => None,
        }
    }

    /// `true` for a group that we are in.
    pub(crate) fn is_in(&self, group: Ipv6Addr) -> bool {
        group == ALL_NODES || self.addresses.any(|ours| ndp::solicited_node(ours) == group)
    }

    /// Addresses and routers whose time is over go; addresses nobody else has claimed become ours.
    pub(crate) fn on_timer(&mut self, now: Instant) {
        self.neighbors.on_timer(now);
        self.addresses.on_timer(now);
        self.routes.on_timer(now);
        if self.autoconfigures && self.addresses.is_ours(link_local(self.mac)) {
            self.solicitations.start(now);
        }
    }

    /// When [`Ipv6::on_timer`] or [`Ipv6::poll_question`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.neighbors.next_deadline(),
            self.addresses.next_deadline(),
            self.routes.next_deadline(),
            self.solicitations.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}

/// `true` for an address that a single host can have.
pub(crate) fn is_host(address: Ipv6Addr) -> bool {
    let is_mapped = address.to_ipv4_mapped().is_some();
    !(address.is_multicast() || address.is_unspecified() || address.is_loopback() || is_mapped)
}

/// The address every station has (RFC 4862 section 5.3, RFC 4291 appendix A).
pub(crate) fn link_local(mac: MacAddr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(interface_identifier(mac)))
}

/// Modified EUI-64 (RFC 2464 section 4).
fn interface_identifier(MacAddr([a, b, c, d, e, f]): MacAddr) -> u64 {
    u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// `true` if the first `len` bits are the same.
fn share_prefix(a: Ipv6Addr, b: Ipv6Addr, len: u8) -> bool {
    common_prefix(a, b) >= u32::from(len)
}

/// How many bits are the same, from the first.
fn common_prefix(a: Ipv6Addr, b: Ipv6Addr) -> u32 {
    (a.to_bits() ^ b.to_bits()).leading_zeros()
}
