//! Whether somebody would miss a network interface.

use crate::host::{self, Host};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// What an interface does for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// The default route goes through it.
    DefaultRoute,
    /// It has this address.
    Address(IpAddr),
    /// It is part of this one: a bridge, a bond.
    PartOf(String),
    /// This one sits on top of it: a VLAN, a macvlan.
    Carries(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultRoute => write!(f, "has the default route"),
            Self::Address(address) => write!(f, "has the address {address}"),
            Self::PartOf(other) => write!(f, "is part of {other}"),
            Self::Carries(other) => write!(f, "carries {other}"),
        }
    }
}

/// What `interface` is in use for, the gravest first. Being up is no use, nor is the address that every interface
/// which is up gives itself.
pub(super) fn uses(host: &Host, interface: &str) -> Option<Use> {
    if has_default_route(host, interface) {
        return Some(Use::DefaultRoute);
    }
    let addresses = host.kernel().addresses().into_iter();
    let mut ours = addresses.filter(|(name, address)| name == interface && !is_link_local(*address));
    if let Some((_, address)) = ours.next() {
        return Some(Use::Address(address));
    }
    let folder = host.path("/sys/class/net").join(interface);
    if let Some(master) = host::link(&folder.join("master")) {
        return Some(Use::PartOf(master));
    }
    let upper = host::names(&folder);
    let upper = upper.iter().find_map(|name| name.strip_prefix("upper_"));
    upper.map(|name| Use::Carries(name.to_owned()))
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if Ipv6Addr::is_unicast_link_local(&address))
}

/// proc(5) tells the formats: of IPv4, name, destination, ..., the mask in the eighth column; of IPv6, destination, its
/// prefix length, ..., the name in the last.
fn has_default_route(host: &Host, interface: &str) -> bool {
    let v4 = host.text("/proc/net/route").unwrap_or_default();
    let v4 = v4.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        fields.first() == Some(&interface)
            && fields.get(1) == Some(&"00000000")
            && fields.get(7) == Some(&"00000000")
    });
    let v6 = host.text("/proc/net/ipv6_route").unwrap_or_default();
    let v6 = v6.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let destination = fields.next().unwrap_or("1");
        destination.bytes().all(|digit| digit == b'0')
            && fields.next() == Some("00")
            && fields.next_back() == Some(interface)
    });
    v4 || v6
}
