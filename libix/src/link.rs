use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use ix_abi::app::LinkInfo;

/// A network that the dataplane is on, with a card of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Our Ethernet address there.
    pub mac: [u8; 6],
    /// Our IPv4 address there; `None` while there is none.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 address it was given; `None` if that is for routers to tell.
    pub v6: Option<Ipv6Addr>,
}

impl From<&LinkInfo> for Link {
    fn from(info: &LinkInfo) -> Self {
        Link {
            mac: info.mac,
            v4: info.v4.ipv4(),
            v6: match info.v6.ip() {
                Some(IpAddr::V6(ip)) => Some(ip),
                _ => None,
            },
        }
    }
}
