//! `--route`: ways to networks beyond those of the links.

use super::{Ip4, Ip6, LinkPlan};
use ipnet::IpNet;
use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network, and the neighbour that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteChoice {
    /// The network.
    pub network: IpNet,
    /// The neighbour, on whatever link.
    pub gateway: IpAddr,
}

/// Why a route leads nowhere.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It is none.
    #[error("`{0}` is no route; write a network and its gateway, of one family, as 10.9.0.0/16=10.2.0.1")]
    Text(String),
    /// Its gateway could be on any link.
    #[error("{0} could be on any link; give --route a gateway's other address")]
    LinkLocal(IpAddr),
    /// Its gateway is on none.
    #[error("gateway {0} is on no link's network; give --route one that is")]
    NoNeighbor(IpAddr),
}

impl FromStr for RouteChoice {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        let parse = || {
            let (network, gateway) = text.split_once('=')?;
            let network: IpNet = network.parse().ok()?;
            let gateway: IpAddr = gateway.parse().ok()?;
            let one_family = network.addr().is_ipv4() == gateway.is_ipv4();
            one_family.then_some(Self {
                network: network.trunc(),
                gateway,
            })
        };
        let route = parse().ok_or_else(|| RouteError::Text(text.to_owned()))?;
        match route.gateway {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Err(RouteError::LinkLocal(route.gateway)),
            _ => Ok(route),
        }
    }
}

impl TryFrom<String> for RouteChoice {
    type Error = RouteError;

    fn try_from(text: String) -> Result<Self, RouteError> {
        text.parse()
    }
}

impl RouteChoice {
    /// Its gateway is on a link, as far as the links' networks are known now.
    pub(super) fn check(&self, links: &[LinkPlan]) -> Result<(), RouteError> {
        let may_be_on = |link: &LinkPlan| match (self.gateway, link.network.ip, link.network.ip6) {
            (IpAddr::V4(_), Some(Ip4::Dhcp), _) | (IpAddr::V6(_), _, Some(Ip6::Auto)) => true,
            (IpAddr::V4(ip), Some(Ip4::Fixed(net)), _) => net.contains(&ip) && ip != net.addr(),
            (IpAddr::V6(ip), _, Some(Ip6::Fixed(net))) => net.contains(&ip) && ip != net.addr(),
            _ => false,
        };
        if links.iter().any(may_be_on) {
            Ok(())
        } else {
            Err(RouteError::NoNeighbor(self.gateway))
        }
    }
}

/// As the kernel's command line has it.
impl fmt::Display for RouteChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.network, self.gateway)
    }
}

#[cfg(test)]
mod tests {
    use super::{RouteChoice, RouteError};

    #[test]
    fn a_route_is_a_network_and_a_gateway() {
        let route: RouteChoice = "10.9.3.4/16=10.2.0.1".parse().unwrap();
        assert_eq!(route.to_string(), "10.9.0.0/16,10.2.0.1");
        let six: RouteChoice = "fd09::/32=fd00::1".parse().unwrap();
        assert_eq!(six.to_string(), "fd09::/32,fd00::1");
        for text in [
            "",
            "10.9.0.0/16",
            "10.9.0.0=10.2.0.1",
            "10.9.0.0/16=fd00::1",
            "10.9.0.0/33=10.2.0.1",
        ] {
            assert_eq!(
                text.parse::<RouteChoice>(),
                Err(RouteError::Text(text.to_owned()))
            );
        }
        let anywhere = "fd09::/32=fe80::1".parse::<RouteChoice>();
        assert!(matches!(anywhere, Err(RouteError::LinkLocal(_))));
    }
}
