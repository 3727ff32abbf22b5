//! The machine's network: what it hangs on, and its addresses.

use super::{Bdf, Forward, NicChoice, NicModel};
use ipnet::{Ipv4Net, Ipv6Net};
use ix_abi::host::cmdline;
use serde::Deserialize;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `--net`: what the NIC hangs on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum NetChoice {
    /// QEMU's user networking: no rights needed; the guest reaches out, the host comes in through forwards.
    User,
    /// A tap interface: a real link to the host.
    Tap(String),
}

/// `--ip`: where the guest's IPv4 address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Ip4 {
    /// A DHCP server of its network gives it.
    Dhcp,
    /// Address and prefix, such as 10.0.2.15/24.
    Fixed(Ipv4Net),
}

/// `--ip6`: where the guest's IPv6 addresses come from, beside the link-local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Ip6 {
    /// Routers tell.
    Auto,
    /// Address and prefix, such as fd00::2/64.
    Fixed(Ipv6Net),
}

/// Why the network settings do not go together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// `--net` is something else.
    #[error("`{0}` is no network; write user, or tap:NAME (at most 15 characters, no blank or slash)")]
    Choice(String),
    /// `--ip` is something else.
    #[error("`{0}` is no address with prefix length; write it as 10.0.2.15/24, or dhcp")]
    Ip4(String),
    /// A gateway beside a server that tells one.
    #[error("--gateway goes with an address; with --ip dhcp the server tells the gateway")]
    DhcpNeedsNoGateway,
    /// A gateway for what is not spoken.
    #[error("--gateway goes with --ip; without it the guest speaks no IPv4 here")]
    GatewayNeedsIp,
    /// `--ip6` is something else.
    #[error("`{0}` is no IPv6 address with prefix length; write it as fd00::2/64, or auto")]
    Ip6(String),
    /// An IPv6 address that no host can have.
    #[error("{0} is no single host's address; give the guest one of its own with --ip6")]
    NotAHost6(Ipv6Net),
    /// A gateway for what is not spoken.
    #[error("--gateway6 goes with --ip6; without it the guest speaks no IPv6")]
    Gateway6NeedsIp6,
    /// A gateway that nobody can be.
    #[error(
        "gateway {0} is no other host on the link; give one with --gateway6, its link-local address (fe80::...) at best"
    )]
    Gateway6(Ipv6Addr),
    /// The address is the network itself or its broadcast address.
    #[error("{0} is the network's own or its broadcast address; choose one in between")]
    NotAHost(Ipv4Net),
    /// The gateway is not a neighbour.
    #[error("gateway {gateway} is no other host in {net}; give one with --gateway")]
    Gateway {
        /// The gateway.
        gateway: Ipv4Addr,
        /// The guest's address.
        net: Ipv4Net,
    },
    /// A tap tells nothing of addresses.
    #[error(
        "a tap needs --ip, an address for the guest in the tap's network, such as --ip 192.168.7.2/24, or --ip dhcp"
    )]
    TapNeedsIp,
    /// A further link with nothing to hang on.
    #[error("a --link needs net=tap:NAME, or nic=vfio:BDF; user networking is the first link's")]
    LinkNeedsNet,
    /// A forward is a thing of user networking.
    #[error("--forward goes with --net user only; over a tap the app is reached at its own address")]
    TapNeedsNoForward,
    /// A loopback card has no link.
    #[error("--nic loopback leads to nobody else; leave {0} out")]
    LoopbackAlone(&'static str),
    /// A card of the host's is on its own cable.
    #[error("--nic vfio goes without --net: a card that is passed through is on its own cable")]
    VfioNeedsNoNet,
    /// Which tells nothing of addresses either.
    #[error(
        "--nic vfio needs --ip, an address for the guest in the card's network, such as --ip 192.168.7.2/24, or --ip dhcp"
    )]
    VfioNeedsIp,
    /// And nobody forwards on it.
    #[error(
        "--forward goes with --net user only; over a card of its own the app is reached at its own address"
    )]
    VfioNeedsNoForward,
    /// QEMU's network needs room for its own addresses.
    #[error("{0} is too small for user networking; it needs a prefix of 28 bits or less")]
    UserNetTooSmall(Ipv4Net),
}

/// The network, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What the NIC hangs on.
    pub link: Link,
    /// The guest's address; `None`: it speaks no IPv4.
    pub ip: Option<Ip4>,
    /// Its gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 addresses; `None`: it speaks no IPv6.
    pub ip6: Option<Ip6>,
    /// Its gateway in IPv6.
    pub gateway6: Option<Ipv6Addr>,
}

/// What the NIC hangs on, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// User networking with these forwards.
    User(Vec<Forward>),
    /// The tap of this name.
    Tap(String),
    /// The cable of this card of the host's, which is passed through.
    Cable(Bdf),
    /// Nothing: what is sent comes back.
    Loopback,
}

/// As the user says it.
impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Link::User(_) => f.write_str("user"),
            Link::Tap(tap) => write!(f, "tap:{tap}"),
            Link::Cable(bdf) => write!(f, "vfio:{bdf}"),
            Link::Loopback => f.write_str("loopback"),
        }
    }
}

/// The guest's address in user networking, unless it is told another.
const USER_NET: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 15), 24);

/// The addresses of a machine that talks to itself only, unless it is told others.
const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8);
const LOOPBACK_6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);

impl Network {
    /// Fills in what was not said and checks the rest.
    pub(super) fn new(
        nic: NicChoice,
        choice: Option<&NetChoice>,
        ip: Option<Ip4>,
        gateway: Option<Ipv4Addr>,
        forwards: Vec<Forward>,
    ) -> Result<Self, NetError> {
        let link = match (nic, choice.unwrap_or(&NetChoice::User)) {
            (NicChoice::Vfio(_), _) if choice.is_some() => return Err(NetError::VfioNeedsNoNet),
            (NicChoice::Vfio(_), _) if !forwards.is_empty() => return Err(NetError::VfioNeedsNoForward),
            (NicChoice::Vfio(bdf), _) => Link::Cable(bdf),
            (NicChoice::Model(NicModel::Loopback), _) => {
                let alone = [
                    (choice.is_some(), "--net"),
                    (!forwards.is_empty(), "--forward"),
                    (gateway.is_some(), "--gateway"),
                    (ip == Some(Ip4::Dhcp), "--ip dhcp"),
                ];
                match alone.iter().find(|(said, _)| *said) {
                    Some((_, option)) => return Err(NetError::LoopbackAlone(option)),
                    None => Link::Loopback,
                }
            }
            (_, NetChoice::Tap(_)) if !forwards.is_empty() => return Err(NetError::TapNeedsNoForward),
            (_, NetChoice::Tap(name)) => Link::Tap(name.clone()),
            (_, NetChoice::User) => return Self::user(forwards, ip, gateway)?.check(),
        };
        let network = Self {
            link,
            ip,
            gateway,
            ip6: None,
            gateway6: None,
        };
        network.check()
    }

    /// User networking, which knows an address for the guest.
    fn user(forwards: Vec<Forward>, ip: Option<Ip4>, gateway: Option<Ipv4Addr>) -> Result<Self, NetError> {
        let ip = ip.unwrap_or(Ip4::Fixed(USER_NET));
        let gateway = match ip {
            Ip4::Fixed(net) if net.prefix_len() > 28 => return Err(NetError::UserNetTooSmall(net)),
            Ip4::Fixed(net) => gateway.or_else(|| Some(host_number(net, 2))),
            Ip4::Dhcp => gateway,
        };
        Ok(Self {
            link: Link::User(forwards),
            ip: Some(ip),
            gateway,
            ip6: None,
            gateway6: None,
        })
    }

    /// Without an address of either family there is nothing to be reached at.
    pub(super) fn check_reachable(&self) -> Result<(), NetError> {
        match (&self.link, self.ip, self.ip6) {
            (Link::Tap(_), None, None) => Err(NetError::TapNeedsIp),
            (Link::Cable(_), None, None) => Err(NetError::VfioNeedsIp),
            _ => Ok(()),
        }
    }

    /// Adds what was said about IPv6.
    pub(super) fn with_ipv6(mut self, ip6: Option<Ip6>, gateway: Option<Ipv6Addr>) -> Result<Self, NetError> {
        if self.link == Link::Loopback {
            return self.looped(ip6, gateway);
        }
        let is_host = |ip: Ipv6Addr| !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast());
        match (ip6, gateway) {
            (None, Some(_)) => return Err(NetError::Gateway6NeedsIp6),
            (Some(Ip6::Fixed(net)), _) if !is_host(net.addr()) => return Err(NetError::NotAHost6(net)),
            (Some(ip6), Some(gateway)) if !is_host(gateway) || !ip6.reaches(gateway) => {
                return Err(NetError::Gateway6(gateway));
            }
            _ => (self.ip6, self.gateway6) = (ip6, gateway),
        }
        Ok(self)
    }

    /// Without an address of either family, the usual ones.
    fn looped(mut self, ip6: Option<Ip6>, gateway: Option<Ipv6Addr>) -> Result<Self, NetError> {
        match (ip6, gateway) {
            (_, Some(_)) => return Err(NetError::LoopbackAlone("--gateway6")),
            (Some(Ip6::Auto), _) => return Err(NetError::LoopbackAlone("--ip6 auto")),
            (Some(Ip6::Fixed(net)), _) if net.addr().is_unspecified() || net.addr().is_multicast() => {
                return Err(NetError::NotAHost6(net));
            }
            (None, _) if self.ip.is_none() => {
                self.ip = Some(Ip4::Fixed(LOOPBACK));
                self.ip6 = Some(Ip6::Fixed(LOOPBACK_6));
            }
            _ => self.ip6 = ip6,
        }
        Ok(self)
    }

    fn check(self) -> Result<Self, NetError> {
        let net = match (self.ip, self.gateway) {
            (Some(Ip4::Fixed(net)), _) => net,
            (Some(Ip4::Dhcp), Some(_)) => return Err(NetError::DhcpNeedsNoGateway),
            (None, Some(_)) => return Err(NetError::GatewayNeedsIp),
            (Some(Ip4::Dhcp) | None, None) => return Ok(self),
        };
        let is_host =
            |address| net.prefix_len() >= 31 || (address != net.network() && address != net.broadcast());
        if !is_host(net.addr()) || net.addr().is_unspecified() {
            return Err(NetError::NotAHost(net));
        }
        match self.gateway {
            Some(gateway) if !net.contains(&gateway) || gateway == net.addr() || !is_host(gateway) => {
                Err(NetError::Gateway { gateway, net })
            }
            _ => Ok(self),
        }
    }

    /// The guest's address in user networking, where DHCP gives the one we say, and its network.
    #[must_use]
    pub fn user_net(&self) -> Ipv4Net {
        match self.ip {
            Some(Ip4::Fixed(net)) => net,
            Some(Ip4::Dhcp) | None => USER_NET,
        }
    }

    /// Hardware address of the guest: locally administered, and as unique on its link as its fixed IP address, or as its
    /// host and tap. So machines on one bridge do not clash, and a restarted one keeps its place in its peers' ARP caches
    /// and in a DHCP server's memory.
    #[must_use]
    pub fn mac_bytes(&self) -> [u8; 6] {
        let [a, b, c, d] = match (self.ip, &self.link) {
            (Some(Ip4::Fixed(net)), _) => net.addr().octets(),
            (_, Link::Tap(name)) => station(&host_id(), name),
            (_, Link::User(_) | Link::Cable(_) | Link::Loopback) => USER_NET.addr().octets(),
        };
        [0x02, 0x49, a, b, c, d]
    }

    /// The same in words.
    #[must_use]
    pub fn mac(&self) -> String {
        self.mac_bytes().map(|byte| format!("{byte:02x}")).join(":")
    }
}

/// What tells this host from others: nothing, if it has no such file.
fn host_id() -> Vec<u8> {
    std::fs::read("/etc/machine-id").unwrap_or_default()
}

/// A number for a tap of a host: FNV-1a, which will be the same in years to come.
fn station(host: &[u8], tap: &str) -> [u8; 4] {
    let hash = host
        .iter()
        .chain(tap.as_bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    hash.to_be_bytes()
}

/// The `number`th host of the network.
#[must_use]
pub fn host_number(net: Ipv4Net, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(net.network().to_bits() | number)
}

impl FromStr for NetChoice {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let fit = |name: &str| {
            let plain = name
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'/' && b != b',');
            plain && (1..=15).contains(&name.len()) && name != "." && name != ".."
        };
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            Some(("tap", name)) if fit(name) => Ok(Self::Tap(name.to_owned())),
            _ => Err(NetError::Choice(text.to_owned())),
        }
    }
}

impl TryFrom<String> for NetChoice {
    type Error = NetError;

    fn try_from(text: String) -> Result<Self, NetError> {
        text.parse()
    }
}

impl Ip6 {
    /// `true` if `ip` can be another host on the guest's link.
    fn reaches(self, ip: Ipv6Addr) -> bool {
        match self {
            Self::Fixed(net) if ip == net.addr() => false,
            Self::Fixed(net) => ip.is_unicast_link_local() || net.contains(&ip),
            Self::Auto => ip.is_unicast_link_local(),
        }
    }
}

impl fmt::Display for Ip6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str(cmdline::IP6_AUTO),
            Self::Fixed(net) => fmt::Display::fmt(net, f),
        }
    }
}

impl FromStr for Ip6 {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        if text == cmdline::IP6_AUTO {
            return Ok(Self::Auto);
        }
        text.parse()
            .map(Self::Fixed)
            .map_err(|_| NetError::Ip6(text.to_owned()))
    }
}

impl TryFrom<String> for Ip6 {
    type Error = NetError;

    fn try_from(text: String) -> Result<Self, NetError> {
        text.parse()
    }
}

impl fmt::Display for Ip4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dhcp => f.write_str(cmdline::IP_DHCP),
            Self::Fixed(net) => fmt::Display::fmt(net, f),
        }
    }
}

impl FromStr for Ip4 {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        if text == cmdline::IP_DHCP {
            return Ok(Self::Dhcp);
        }
        text.parse()
            .map(Self::Fixed)
            .map_err(|_| NetError::Ip4(text.to_owned()))
    }
}

impl TryFrom<String> for Ip4 {
    type Error = NetError;

    fn try_from(text: String) -> Result<Self, NetError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ip4, Ip6, Link, NetChoice, NetError, Network, station};
    use crate::config::{NicChoice, NicModel};
    use std::net::Ipv4Addr;

    const MODEL: NicChoice = NicChoice::Model(NicModel::VirtioNet);

    fn network(choice: &str, ip: Option<&str>, gateway: Option<&str>) -> Result<Network, NetError> {
        let ip: Option<Ip4> = ip.map(str::parse).transpose()?;
        let gateway = gateway.map(|g| g.parse().unwrap());
        Network::new(MODEL, Some(&choice.parse()?), ip, gateway, Vec::new())
    }

    fn shown(network: &Network) -> String {
        network.ip.unwrap().to_string()
    }

    #[test]
    fn user_networking_needs_no_word() {
        let default = network("user", None, None).unwrap();
        assert_eq!(shown(&default), "10.0.2.15/24");
        assert_eq!(default.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(default.mac(), "02:49:0a:00:02:0f");
        let other = network("user", Some("192.168.5.9/16"), None).unwrap();
        assert_eq!(other.gateway, Some(Ipv4Addr::new(192, 168, 0, 2)));
    }

    #[test]
    fn a_tap_needs_an_address_but_no_gateway() {
        let none = network("tap:t0", None, None).unwrap();
        assert_eq!(none.check_reachable(), Err(NetError::TapNeedsIp));
        let tap = network("tap:t0", Some("10.1.0.2/30"), None).unwrap();
        assert_eq!((tap.link, tap.gateway), (Link::Tap("t0".to_owned()), None));
        let forward = vec!["80:80".parse().unwrap()];
        let refused = Network::new(MODEL, Some(&NetChoice::Tap("t0".to_owned())), None, None, forward);
        assert_eq!(refused, Err(NetError::TapNeedsNoForward));
    }

    #[test]
    fn a_card_of_the_hosts_is_on_its_own_cable() {
        let nic: NicChoice = "vfio:0000:01:00.0".parse().unwrap();
        let ip = "10.1.0.2/24".parse().ok();
        let with = |choice: Option<NetChoice>, ip, forwards: &[&str]| {
            let forwards = forwards.iter().map(|text| text.parse().unwrap()).collect();
            Network::new(nic, choice.as_ref(), ip, None, forwards)
        };
        let bdf = "01:00.0".parse().unwrap();
        assert_eq!(with(None, ip, &[]).unwrap().link, Link::Cable(bdf));
        let none = with(None, None, &[]).unwrap();
        assert_eq!(none.check_reachable(), Err(NetError::VfioNeedsIp));
        assert_eq!(
            with(Some(NetChoice::User), ip, &[]),
            Err(NetError::VfioNeedsNoNet)
        );
        assert_eq!(with(None, ip, &["80:80"]), Err(NetError::VfioNeedsNoForward));
    }

    #[test]
    fn a_card_that_leads_back_has_addresses_and_leads_nowhere_else() {
        let nic = NicChoice::Model(NicModel::Loopback);
        let with = |ip: Option<&str>, ip6: Option<&str>| {
            let ip = ip.map(|text| text.parse().unwrap());
            let ip6 = ip6.map(|text| text.parse().unwrap());
            Network::new(nic, None, ip, None, Vec::new())?.with_ipv6(ip6, None)
        };
        let addresses = |network: Network| {
            assert_eq!(network.link, Link::Loopback);
            let ip = network.ip.map(|ip| ip.to_string());
            (ip, network.ip6.map(|ip6| ip6.to_string()))
        };
        for (ip, ip6, expected) in [
            (None, None, (Some("127.0.0.1/8"), Some("::1/128"))),
            (Some("10.0.0.1/24"), None, (Some("10.0.0.1/24"), None)),
            (None, Some("::1/128"), (None, Some("::1/128"))),
            (None, Some("fd00::2/64"), (None, Some("fd00::2/64"))),
        ] {
            let (ip, ip6) = addresses(with(ip, ip6).unwrap());
            assert_eq!((ip.as_deref(), ip6.as_deref()), expected);
        }
        assert_eq!(
            with(Some("dhcp"), None),
            Err(NetError::LoopbackAlone("--ip dhcp"))
        );
        assert_eq!(
            with(None, Some("auto")),
            Err(NetError::LoopbackAlone("--ip6 auto"))
        );
        let choice = Some(NetChoice::User);
        let refused = Network::new(nic, choice.as_ref(), None, None, Vec::new());
        assert_eq!(refused, Err(NetError::LoopbackAlone("--net")));
        let forward = vec!["80:80".parse().unwrap()];
        let refused = Network::new(nic, None, None, None, forward);
        assert_eq!(refused, Err(NetError::LoopbackAlone("--forward")));
    }

    #[test]
    fn ipv6_is_wanted_or_not() {
        let with = |ip6: Option<&str>, gateway: Option<&str>| {
            let ip6 = ip6.map(str::parse).transpose()?;
            let gateway = gateway.map(|text| text.parse().unwrap());
            network("user", None, None)?.with_ipv6(ip6, gateway)
        };
        assert_eq!(with(None, None).unwrap().ip6, None);
        assert_eq!(with(Some("auto"), None).unwrap().ip6, Some(Ip6::Auto));
        let fixed = with(Some("fd00::2/64"), Some("fd00::1")).unwrap();
        assert_eq!(fixed.ip6.unwrap().to_string(), "fd00::2/64");
        assert!(with(Some("fd00::2/64"), Some("fe80::1")).is_ok());
        assert_eq!(with(None, Some("fe80::1")), Err(NetError::Gateway6NeedsIp6));
        for gateway in ["fd00::2", "fd01::1", "::", "ff02::2"] {
            let refused = with(Some("fd00::2/64"), Some(gateway));
            assert!(matches!(refused, Err(NetError::Gateway6(_))), "{gateway}");
        }
        for ip6 in ["", "fd00::2", "fd00::2/129", "10.0.0.1/8"] {
            assert_eq!(with(Some(ip6), None), Err(NetError::Ip6(ip6.to_owned())));
        }
        for ip6 in ["::/64", "::1/128", "ff02::1/64"] {
            assert!(
                matches!(with(Some(ip6), None), Err(NetError::NotAHost6(_))),
                "{ip6}"
            );
        }
    }

    #[test]
    fn a_server_gives_an_address_and_the_gateway() {
        let tap = network("tap:t0", Some("dhcp"), None).unwrap();
        assert_eq!((shown(&tap).as_str(), tap.gateway), ("dhcp", None));
        let gateway = Some("10.0.0.1");
        assert_eq!(
            network("tap:t0", Some("dhcp"), gateway),
            Err(NetError::DhcpNeedsNoGateway)
        );
        let user = network("user", Some("dhcp"), None).unwrap();
        assert_eq!(user.user_net().to_string(), "10.0.2.15/24");
        assert_eq!(user.gateway, None);
    }

    #[test]
    fn a_station_without_an_address_is_known_by_its_host_and_tap() {
        let one = network("tap:t0", Some("dhcp"), None).unwrap();
        let other = network("tap:t1", Some("dhcp"), None).unwrap();
        assert_eq!(one.mac(), network("tap:t0", Some("dhcp"), None).unwrap().mac());
        assert_ne!(one.mac(), other.mac());
        assert_ne!(station(b"a host", "t0"), station(b"another", "t0"));
        // The published value of FNV-1a for "foobar".
        assert_eq!(station(b"foo", "bar"), 0xbf9c_f968_u32.to_be_bytes());
    }

    #[test]
    fn ipv6_alone_is_enough_but_for_a_gateway_of_ipv4() {
        let alone = network("tap:t0", None, None).unwrap();
        let alone = alone.with_ipv6("fd00::2/64".parse().ok(), None).unwrap();
        assert_eq!((alone.ip, alone.check_reachable()), (None, Ok(())));
        assert_eq!(
            network("tap:t0", None, Some("10.0.0.1")),
            Err(NetError::GatewayNeedsIp)
        );
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for choice in [
            "",
            "users",
            "tap",
            "tap:",
            "tap:sixteen-letters.",
            "tap:a b",
            "tap:a/b",
            "tap:a,b",
        ] {
            assert_eq!(
                network(choice, None, None),
                Err(NetError::Choice(choice.to_owned()))
            );
        }
        for ip in ["10.0.0.300/24", "10.0.0.1", "10.0.0.1/33", "fe80::1/64"] {
            assert_eq!(network("user", Some(ip), None), Err(NetError::Ip4(ip.to_owned())));
        }
        for ip in ["10.0.2.0/24", "10.0.2.255/24"] {
            assert!(
                matches!(network("user", Some(ip), None), Err(NetError::NotAHost(_))),
                "{ip}"
            );
        }
        for gateway in ["10.0.3.1", "10.0.2.15", "10.0.2.0", "10.0.2.255"] {
            let refused = network("user", None, Some(gateway));
            assert!(matches!(refused, Err(NetError::Gateway { .. })), "{gateway}");
        }
        assert!(matches!(
            network("user", Some("10.0.2.2/30"), None),
            Err(NetError::UserNetTooSmall(_))
        ));
    }
}
