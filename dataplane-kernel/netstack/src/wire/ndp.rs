//! Neighbour discovery's messages (RFC 4861 section 4): solicitations and advertisements of neighbours and routers.

use super::ethernet::MacAddr;
use super::ipv6::address;
use super::{be16, be32, icmpv6, put};
use core::net::Ipv6Addr;

/// Packets of neighbour discovery have gone no hop: their hop limit is still this.
pub const HOP_LIMIT: u8 = 255;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const PREFIX_INFORMATION: u8 = 3;
const MTU: u8 = 5;

/// Bytes of a message about a neighbour: header, target, and one link-layer address.
pub const NEIGHBOR_LEN: usize = 32;
/// Bytes of a Router Solicitation with our link-layer address.
pub const ROUTER_SOLICITATION_LEN: usize = 16;
const LINK_ADDRESS_AT: usize = 24;
/// Header and the fixed part of a Router Advertisement.
const ROUTER_ADVERTISEMENT_LEN: usize = 16;

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Who has the target? (Section 4.3.)
    NeighborSolicitation {
        /// The address asked for.
        target: Ipv6Addr,
        /// The asker's station.
        source: Option<MacAddr>,
    },
    /// The target's owner says (section 4.4).
    NeighborAdvertisement(Advertisement),
    /// What a router says (section 4.2).
    RouterAdvertisement(RouterAdvertisement<'a>),
    /// For routers, or Redirect, which is not heeded.
    Other,
}

/// A Neighbor Advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Whose address.
    pub target: Ipv6Addr,
    /// Its station, if the message tells.
    pub station: Option<MacAddr>,
    /// R: it is a router.
    pub is_router: bool,
    /// S: it was asked by us alone.
    pub is_solicited: bool,
    /// O: an address known so far is to be replaced.
    pub overrides: bool,
}

/// A Router Advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAdvertisement<'a> {
    /// Hops that packets to outside may go; 0: it does not say.
    pub hop_limit: u8,
    /// How long it is a default router; 0: it is none.
    pub lifetime_s: u16,
    /// How long a neighbour is reachable without a new sign; 0: it does not say.
    pub reachable_ms: u32,
    /// The options, checked.
    options: &'a [u8],
}

/// A Prefix Information option (section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix.
    pub prefix: Ipv6Addr,
    /// Its length in bits.
    pub len: u8,
    /// L: such addresses are on this link.
    pub on_link: bool,
    /// A: hosts may make themselves addresses of it.
    pub autonomous: bool,
    /// From now on; all ones: for ever.
    pub valid_s: u32,
    /// The same.
    pub preferred_s: u32,
}

impl<'a> Message<'a> {
    /// Reads a message, whose checksum is right. `None` if it violates sections 6.1.2, 7.1.1 or 7.1.2: it then is to be
    /// dropped.
    #[must_use]
    pub fn parse(bytes: &'a [u8], src: Ipv6Addr, dst: Ipv6Addr, hop_limit: u8) -> Option<Message<'a>> {
        let header = bytes.first_chunk::<{ icmpv6::HEADER_LEN }>()?;
        if hop_limit != HOP_LIMIT || header[1] != 0 {
            return None;
        }
        match header[0] {
            NEIGHBOR_SOLICITATION => solicitation(bytes, src, dst),
            NEIGHBOR_ADVERTISEMENT => advertisement(bytes, dst),
            ROUTER_ADVERTISEMENT => router_advertisement(bytes, src),
            _ => Some(Message::Other),
        }
    }
}

fn solicitation(bytes: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> Option<Message<'_>> {
    let (fixed, options) = bytes.split_first_chunk::<LINK_ADDRESS_AT>()?;
    let target = address(fixed, 8);
    let source = station(options, SOURCE_LINK_ADDRESS)?;
    // From nobody yet: a question whether somebody has the address (RFC 4862 section 5.4.2).
    let is_probe = src.is_unspecified();
    let fits = !is_probe || (dst == solicited_node(target) && source.is_none());
    (fits && !target.is_multicast()).then_some(Message::NeighborSolicitation { target, source })
}

fn advertisement(bytes: &[u8], dst: Ipv6Addr) -> Option<Message<'_>> {
    let (fixed, options) = bytes.split_first_chunk::<LINK_ADDRESS_AT>()?;
    let said = Advertisement {
        target: address(fixed, 8),
        station: station(options, TARGET_LINK_ADDRESS)?,
        is_router: fixed[4] & 0x80 != 0,
        is_solicited: fixed[4] & 0x40 != 0,
        overrides: fixed[4] & 0x20 != 0,
    };
    let answers_a_group = dst.is_multicast() && said.is_solicited;
    (!said.target.is_multicast() && !answers_a_group).then_some(Message::NeighborAdvertisement(said))
}

fn router_advertisement(bytes: &[u8], src: Ipv6Addr) -> Option<Message<'_>> {
    let (fixed, options) = bytes.split_first_chunk::<ROUTER_ADVERTISEMENT_LEN>()?;
    if !src.is_unicast_link_local() || each_option(options).any(|option| option.is_none()) {
        return None;
    }
    Some(Message::RouterAdvertisement(RouterAdvertisement {
        hop_limit: fixed[4],
        lifetime_s: be16(fixed, 6),
        reachable_ms: be32(fixed, 8),
        options,
    }))
}

impl RouterAdvertisement<'_> {
    /// The router's station.
    #[must_use]
    pub fn station(&self) -> Option<MacAddr> {
        station(self.options, SOURCE_LINK_ADDRESS).flatten()
    }

    /// Largest packet of the link.
    #[must_use]
    pub fn mtu(&self) -> Option<u32> {
        let option = each_option(self.options)
            .flatten()
            .find(|option| option[0] == MTU)?;
        Some(be32(option.first_chunk::<8>()?, 4))
    }

    /// The prefixes it names.
    pub fn prefixes(&self) -> impl Iterator<Item = PrefixInformation> + use<'_> {
        each_option(self.options)
            .flatten()
            .filter(|option| option[0] == PREFIX_INFORMATION)
            .filter_map(|option| option.first_chunk::<32>())
            .map(|option| PrefixInformation {
                prefix: address(option, 16),
                len: option[2].min(128),
                on_link: option[3] & 0x80 != 0,
                autonomous: option[3] & 0x40 != 0,
                valid_s: be32(option, 4),
                preferred_s: be32(option, 8),
            })
    }
}

/// The options, each whole and of 8 bytes at least; `None` once for one that is not, and then no more.
fn each_option(mut options: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    core::iter::from_fn(move || {
        let len = match options {
            [] => return None,
            [_, units, ..] => 8 * usize::from(*units),
            _ => 0,
        };
        let option = options.get(..len).filter(|option| !option.is_empty());
        options = if option.is_some() {
            options.get(len..).unwrap_or_default()
        } else {
            &[]
        };
        Some(option)
    })
}

/// The link-layer address in the first option of this type; `None` if any option is malformed, or no station can have
/// the address.
fn station(options: &[u8], kind: u8) -> Option<Option<MacAddr>> {
    let mut found = None;
    for option in each_option(options) {
        let option = option?;
        if let [first, 1, a, b, c, d, e, f] = *option
            && first == kind
        {
            let mac = MacAddr([a, b, c, d, e, f]);
            found = found.or(Some(mac.is_unicast().then_some(mac)?));
        }
    }
    Some(found)
}

/// The group of all that may have `target` (RFC 4291 section 2.7.1).
#[must_use]
pub const fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let low = target.to_bits() & 0xff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

/// Writes a question who has `target`; from a station, unless it is asked before the address is ours. Gives its length.
/// The checksum comes later.
pub fn emit_solicitation(target: Ipv6Addr, source: Option<MacAddr>, out: &mut [u8; NEIGHBOR_LEN]) -> usize {
    emit_neighbor(NEIGHBOR_SOLICITATION, 0, target, out);
    match source {
        Some(mac) => {
            emit_station(SOURCE_LINK_ADDRESS, mac, out);
            NEIGHBOR_LEN
        }
        None => LINK_ADDRESS_AT,
    }
}

/// Writes that we, the station `mac`, have `target`: an answer, or to all without having been asked. The checksum comes
/// later.
pub fn emit_advertisement(target: Ipv6Addr, mac: MacAddr, is_answer: bool, out: &mut [u8; NEIGHBOR_LEN]) {
    let flags = if is_answer { 0x60 } else { 0x20 };
    emit_neighbor(NEIGHBOR_ADVERTISEMENT, flags, target, out);
    emit_station(TARGET_LINK_ADDRESS, mac, out);
}

fn emit_neighbor(kind: u8, flags: u8, target: Ipv6Addr, out: &mut [u8; NEIGHBOR_LEN]) {
    *out = [0; NEIGHBOR_LEN];
    (out[0], out[4]) = (kind, flags);
    put(out, 8, target.octets());
}

fn emit_station(kind: u8, mac: MacAddr, out: &mut [u8; NEIGHBOR_LEN]) {
    put(out, LINK_ADDRESS_AT, [kind, 1]);
    put(out, LINK_ADDRESS_AT + 2, mac.0);
}

/// Writes a question to all routers, from the station `mac`. The checksum comes later.
pub fn emit_router_solicitation(mac: MacAddr, out: &mut [u8; ROUTER_SOLICITATION_LEN]) {
    *out = [0; ROUTER_SOLICITATION_LEN];
    out[0] = ROUTER_SOLICITATION;
    put(out, 8, [SOURCE_LINK_ADDRESS, 1]);
    put(out, 10, mac.0);
}
