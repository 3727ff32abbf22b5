//! What is said of a link: its addresses, and how frames look on it.

use crate::nic::{JUMBO_MTU, MIN_MTU};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use ix_abi::host::cmdline;
use netstack::StaticRoute;
use netstack::wire::vlan::VlanId;

/// Where a link's IPv4 address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip4 {
    /// A DHCP server gives it.
    Dhcp,
    /// This address, and how many bits of it all of the network share, at most 32.
    Fixed(Ipv4Addr, u8),
}

/// Where a link's IPv6 addresses come from, beside the link-local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip6 {
    /// Routers tell.
    Auto,
    /// This address, and how many bits of it all of the network share, at most 128.
    Fixed(Ipv6Addr, u8),
}

/// Which card is on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CardChoice {
    /// The next on PCI that there is a driver for.
    #[default]
    First,
    /// One that needs none, and receives what it sends.
    Loopback,
}

/// A network that the dataplane is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Its card.
    pub card: CardChoice,
    /// The IPv4 address; `None`: it speaks no IPv4.
    pub ip: Option<Ip4>,
    /// The way to other networks.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 addresses; `None`: it speaks no IPv6.
    pub ip6: Option<Ip6>,
    /// The way to other networks in IPv6.
    pub gateway6: Option<Ipv6Addr>,
    /// Largest IP packet, in bytes; `None`: what the card says.
    pub mtu: Option<u16>,
    /// The VLAN it is on.
    pub vlan: Option<VlanId>,
}

impl LinkSettings {
    /// Whether a server gives it its IPv4 address.
    pub fn asks_for_address(&self) -> bool {
        self.ip == Some(Ip4::Dhcp)
    }

    /// Takes a word about it; `None`: it is about something else. The error says what would have been right.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Option<Result<(), &'static str>> {
        Some(match key {
            cmdline::NIC if value == cmdline::NIC_LOOPBACK => {
                self.card = CardChoice::Loopback;
                Ok(())
            }
            cmdline::NIC => Err("loopback"),
            cmdline::IP => take(
                &mut self.ip,
                ip4(value),
                "dhcp, or an IPv4 address and prefix, as 10.0.0.2/24",
            ),
            cmdline::GATEWAY => take(&mut self.gateway, value.parse().ok(), "an IPv4 address"),
            cmdline::IP6 => take(
                &mut self.ip6,
                ip6(value),
                "auto, or an IPv6 address and prefix, as fd00::2/64",
            ),
            cmdline::GATEWAY6 => take(&mut self.gateway6, value.parse().ok(), "an IPv6 address"),
            cmdline::MTU => {
                let mtu = value
                    .parse()
                    .ok()
                    .filter(|mtu| (MIN_MTU..=JUMBO_MTU).contains(mtu));
                take(&mut self.mtu, mtu, "68 to 9000")
            }
            cmdline::VLAN => {
                let vlan = value.parse().ok().and_then(VlanId::new);
                take(&mut self.vlan, vlan, "1 to 4094")
            }
            _ => return None,
        })
    }
}

fn take<T>(place: &mut Option<T>, value: Option<T>, wanted: &'static str) -> Result<(), &'static str> {
    *place = Some(value.ok_or(wanted)?);
    Ok(())
}

fn ip4(value: &str) -> Option<Ip4> {
    if value == cmdline::IP_DHCP {
        return Some(Ip4::Dhcp);
    }
    let (address, prefix) = network(value)?;
    Some(Ip4::Fixed(address, prefix))
}

fn ip6(value: &str) -> Option<Ip6> {
    if value == cmdline::IP6_AUTO {
        return Some(Ip6::Auto);
    }
    let (address, prefix) = network(value)?;
    Some(Ip6::Fixed(address, prefix))
}

/// An address, and the length of its prefix.
fn network<A: FromStr + Copy + Into<IpAddr>>(value: &str) -> Option<(A, u8)> {
    let (address, prefix) = value.split_once('/')?;
    let address = A::from_str(address).ok()?;
    let most = if address.into().is_ipv4() { 32 } else { 128 };
    let prefix = u8::from_str(prefix).ok().filter(|&prefix| prefix <= most)?;
    Some((address, prefix))
}

/// A network and the gateway to it, as `10.9.0.0/16,10.0.0.1`.
pub(super) fn route(value: &str) -> Option<StaticRoute> {
    let (to, gateway) = value.split_once(',')?;
    let (network, prefix) = network::<IpAddr>(to)?;
    let gateway: IpAddr = gateway.parse().ok()?;
    (network.is_ipv4() == gateway.is_ipv4()).then_some(StaticRoute {
        network,
        prefix,
        gateway,
    })
}
