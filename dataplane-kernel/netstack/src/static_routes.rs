//! Ways to networks beyond the link that somebody has laid down, tried from the longest prefix to the shortest
//! (RFC 1122 section 3.3.1.2, RFC 1812 section 5.2.4.3).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A way to a network: over a gateway that must be a neighbour; as long as it is none, the way leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// An address of the network.
    pub network: IpAddr,
    /// How many bits of it all of the network share.
    pub prefix: u8,
    /// Next hop to it; of the same family.
    pub gateway: IpAddr,
}

/// All of them, of both families.
#[derive(Clone, Debug, Default)]
pub struct StaticRoutes(Vec<StaticRoute>);

impl StaticRoutes {
    /// None.
    pub const EMPTY: StaticRoutes = StaticRoutes(Vec::new());

    /// These, in any order.
    #[must_use]
    pub fn new(routes: &[StaticRoute]) -> Self {
        let mut sorted = Vec::from(routes);
        sorted.sort_by_key(|route| core::cmp::Reverse(route.prefix));
        StaticRoutes(sorted)
    }

    /// Those that lead to `dst`, the one with the longest prefix first: its length and the gateway.
    pub(crate) fn to_v4(&self, dst: Ipv4Addr) -> impl Iterator<Item = (u8, Ipv4Addr)> + '_ {
        let dst = dst.to_bits();
        self.0
            .iter()
            .filter_map(move |route| match (route.network, route.gateway) {
                (IpAddr::V4(network), IpAddr::V4(gateway)) => {
                    let common = (network.to_bits() ^ dst).leading_zeros();
                    (common >= route.prefix.into()).then_some((route.prefix, gateway))
                }
                _ => None,
            })
    }

    /// The same in IPv6.
    pub(crate) fn to_v6(&self, dst: Ipv6Addr) -> impl Iterator<Item = (u8, Ipv6Addr)> + '_ {
        let dst = dst.to_bits();
        self.0
            .iter()
            .filter_map(move |route| match (route.network, route.gateway) {
                (IpAddr::V6(network), IpAddr::V6(gateway)) => {
                    let common = (network.to_bits() ^ dst).leading_zeros();
                    (common >= route.prefix.into()).then_some((route.prefix, gateway))
                }
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{StaticRoute, StaticRoutes};
    use alloc::vec::Vec;
    use core::net::IpAddr;

    fn ip<T: core::str::FromStr<Err: core::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn routes() -> StaticRoutes {
        let route = |network: &str, prefix, gateway: &str| StaticRoute {
            network: ip::<IpAddr>(network),
            prefix,
            gateway: ip(gateway),
        };
        StaticRoutes::new(&[
            route("10.0.0.0", 8, "192.168.0.1"),
            route("fd00::", 16, "fe80::1"),
            route("10.1.2.0", 24, "192.168.0.3"),
            route("10.1.0.0", 16, "192.168.0.2"),
        ])
    }

    #[test]
    fn the_longest_prefix_comes_first() {
        let to = |dst: &str| routes().to_v4(ip(dst)).collect::<Vec<_>>();
        let all = [
            (24, ip("192.168.0.3")),
            (16, ip("192.168.0.2")),
            (8, ip("192.168.0.1")),
        ];
        assert_eq!(to("10.1.2.9"), all);
        assert_eq!(to("10.1.3.9"), all[1..]);
        assert_eq!(to("10.2.2.9"), all[2..]);
        assert_eq!(to("11.1.2.9"), []);
    }

    #[test]
    fn families_have_nothing_to_do_with_each_other() {
        let to = |dst: &str| routes().to_v6(ip(dst)).collect::<Vec<_>>();
        assert_eq!(to("fd00:1::1"), [(16, ip("fe80::1"))]);
        assert_eq!(to("::a01:209"), []);
    }
}
