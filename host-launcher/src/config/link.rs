//! `--link`, and all that is said of a link: a network the dataplane is on, with a card of its own.

use super::{Ip4, Ip6, NetChoice, NetError, Network, NicChoice, NicError, NicModel, Options};
use serde::Deserialize;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `--link`: what `--net`, `--nic`, `--ip` and so on say of the first link, said of a further one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LinkChoice {
    /// As `--net`, but for `user`.
    pub net: Option<NetChoice>,
    /// As `--nic`.
    pub nic: Option<NicChoice>,
    /// As `--ip`.
    pub ip: Option<Ip4>,
    /// As `--gateway`.
    pub gateway: Option<Ipv4Addr>,
    /// As `--ip6`.
    pub ip6: Option<Ip6>,
    /// As `--gateway6`.
    pub gateway6: Option<Ipv6Addr>,
    /// As `--mtu`.
    pub mtu: Option<u16>,
    /// As `--vlan`.
    pub vlan: Option<u16>,
}

/// Why a text says nothing of a link.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A word that means nothing.
    #[error(
        "`{0}` says nothing of a link; write it as net=tap:NAME,ip=CIDR, and where wanted nic=, gateway=, ip6=, gateway6=, \
         mtu=, vlan="
    )]
    Word(String),
    /// A number or an address that is none.
    #[error("`{0}` has no value that goes with it")]
    Value(String),
    /// A network that is none.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A card that is none.
    #[error(transparent)]
    Nic(#[from] NicError),
}

impl FromStr for LinkChoice {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        fn plain<T: FromStr>(word: &str, value: &str) -> Result<Option<T>, LinkError> {
            let value = value.parse().map_err(|_| LinkError::Value(word.to_owned()))?;
            Ok(Some(value))
        }
        let mut link = Self::default();
        for word in text.split(',') {
            let unknown = || LinkError::Word(word.to_owned());
            let (key, value) = word.split_once('=').ok_or_else(unknown)?;
            match key {
                "net" => link.net = Some(value.parse()?),
                "nic" => link.nic = Some(value.parse()?),
                "ip" => link.ip = Some(value.parse()?),
                "gateway" => link.gateway = plain(word, value)?,
                "ip6" => link.ip6 = Some(value.parse()?),
                "gateway6" => link.gateway6 = plain(word, value)?,
                "mtu" => link.mtu = plain(word, value)?,
                "vlan" => link.vlan = plain(word, value)?,
                _ => return Err(unknown()),
            }
        }
        Ok(link)
    }
}

impl TryFrom<String> for LinkChoice {
    type Error = LinkError;

    fn try_from(text: String) -> Result<Self, LinkError> {
        text.parse()
    }
}

impl LinkChoice {
    /// What the options say of the first link.
    pub(super) fn first(options: &Options) -> Self {
        Self {
            net: options.net.clone(),
            nic: options.nic,
            ip: options.ip,
            gateway: options.gateway,
            ip6: options.ip6,
            gateway6: options.gateway6,
            mtu: options.mtu,
            vlan: options.vlan,
        }
    }
}

/// A link, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlan {
    /// The network.
    pub network: Network,
    /// The card on it.
    pub nic: NicChoice,
    /// Largest IP packet, if that matters.
    pub mtu: Option<u16>,
    /// The VLAN it is on.
    pub vlan: Option<u16>,
}

impl LinkPlan {
    /// The first link: what is not said of it has a meaning, and it has an address.
    pub(super) fn first(options: &Options) -> Result<Self, NetError> {
        let link = Self::of(&LinkChoice::first(options), options.forward.clone())?;
        link.network.check_reachable()?;
        Ok(link)
    }

    /// A further one.
    pub(super) fn further(choice: &LinkChoice) -> Result<Self, NetError> {
        match (&choice.net, choice.nic) {
            (_, Some(NicChoice::Model(NicModel::Loopback)))
            | (Some(NetChoice::Tap(_)), _)
            | (None, Some(NicChoice::Vfio(_))) => Self::of(choice, Vec::new()),
            (Some(NetChoice::User), Some(NicChoice::Vfio(_))) => Err(NetError::VfioNeedsNoNet),
            _ => Err(NetError::LinkNeedsNet),
        }
    }

    fn of(choice: &LinkChoice, forwards: Vec<super::Forward>) -> Result<Self, NetError> {
        let nic = choice.nic.unwrap_or(NicChoice::Model(NicModel::VirtioNet));
        let network = Network::new(nic, choice.net.as_ref(), choice.ip, choice.gateway, forwards)?;
        Ok(Self {
            network: network.with_ipv6(choice.ip6, choice.gateway6)?,
            nic,
            mtu: choice.mtu,
            vlan: choice.vlan,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LinkChoice, LinkError, LinkPlan};
    use crate::config::{Link, NetError, NicChoice, NicModel};

    fn plan(text: &str) -> Result<LinkPlan, NetError> {
        LinkPlan::further(&text.parse::<LinkChoice>().unwrap())
    }

    #[test]
    fn a_link_is_said_in_one_word() {
        let link = plan("net=tap:b,ip=10.2.0.2/24,nic=e1000e,gateway=10.2.0.1,mtu=9000,vlan=7").unwrap();
        assert_eq!(link.network.link, Link::Tap("b".to_owned()));
        assert_eq!(link.network.ip.unwrap().to_string(), "10.2.0.2/24");
        assert_eq!(link.network.gateway, "10.2.0.1".parse().ok());
        assert_eq!(link.nic, NicChoice::Model(NicModel::E1000e));
        assert_eq!((link.mtu, link.vlan), (Some(9000), Some(7)));
        let six = plan("net=tap:b,ip6=fd00::2/64,gateway6=fe80::1").unwrap();
        assert_eq!(
            (six.network.ip, six.network.gateway6),
            (None, "fe80::1".parse().ok())
        );
    }

    #[test]
    fn a_link_may_do_without_an_address() {
        let link = plan("net=tap:b").unwrap();
        assert_eq!((link.network.ip, link.network.ip6), (None, None));
        assert!(plan("nic=vfio:01:00.0").is_ok());
        assert_eq!(plan("nic=loopback").unwrap().network.link, Link::Loopback);
        assert_eq!(
            plan("net=tap:b,nic=loopback"),
            Err(NetError::LoopbackAlone("--net"))
        );
    }

    #[test]
    fn a_link_hangs_on_something() {
        assert_eq!(plan("ip=10.2.0.2/24"), Err(NetError::LinkNeedsNet));
        assert_eq!(plan("net=user"), Err(NetError::LinkNeedsNet));
        assert_eq!(plan("net=tap:b,nic=vfio:01:00.0"), Err(NetError::VfioNeedsNoNet));
    }

    #[test]
    fn what_says_nothing_is_named() {
        let refused = |text: &str| text.parse::<LinkChoice>().unwrap_err();
        for word in ["", "tap:b", "nett=tap:b"] {
            assert_eq!(refused(word), LinkError::Word(word.to_owned()));
        }
        for word in ["gateway=x", "mtu=-1", "vlan=many"] {
            assert_eq!(
                refused(&format!("net=tap:b,{word}")),
                LinkError::Value(word.to_owned())
            );
        }
        assert!(matches!(refused("ip=10.2.0.2"), LinkError::Net(NetError::Ip4(_))));
        assert!(matches!(refused("nic=ne2000"), LinkError::Nic(_)));
    }
}
