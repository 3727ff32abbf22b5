//! IPv6 frames, to us and from us.

use super::{OUR_MAC, PEER_MAC};
use etherparse::{
    EtherType, Ethernet2Header, Icmpv6Header, Icmpv6Type, IpNumber, Ipv6Header, NetHeaders, PacketHeaders,
    TransportHeader, UdpHeader,
};
use netstack::Ipv6Config;
use netstack::wire::ethernet::MacAddr;
use std::net::Ipv6Addr;

pub(crate) const OUR_IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 1);
/// What RFC 4291 appendix A makes of our station's address.
pub(crate) const OUR_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
pub(crate) const PEER_IP6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 2);
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// From, to.
pub(crate) type Pair = (Ipv6Addr, Ipv6Addr);

/// Our address, fixed; routers are not heeded.
pub(crate) fn fixed() -> Ipv6Config {
    Ipv6Config {
        address: Some((OUR_IP6, 64)),
        ..Ipv6Config::default()
    }
}

/// The group of all that may have an address (RFC 4291 section 2.7.1).
pub(crate) fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    )
}

/// The station, or stations, that a packet of the peer's to this address goes to.
fn station(dst: Ipv6Addr) -> MacAddr {
    if dst.is_multicast() {
        let [.., a, b, c, d] = dst.octets();
        MacAddr([0x33, 0x33, a, b, c, d])
    } else {
        OUR_MAC
    }
}

/// A packet from the peer, with this next header.
pub(crate) fn packet(between: Pair, next_header: u8, payload: &[u8]) -> Vec<u8> {
    packet_with(between, next_header, payload, |_| {})
}

pub(crate) fn packet_with(
    (src, dst): Pair,
    next_header: u8,
    payload: &[u8],
    change: impl FnOnce(&mut Ipv6Header),
) -> Vec<u8> {
    let link = Ethernet2Header {
        source: PEER_MAC.0,
        destination: station(dst).0,
        ether_type: EtherType::IPV6,
    };
    let mut ip = Ipv6Header {
        payload_length: u16::try_from(payload.len()).unwrap(),
        next_header: IpNumber(next_header),
        hop_limit: 255,
        source: src.octets(),
        destination: dst.octets(),
        ..Ipv6Header::default()
    };
    change(&mut ip);
    [&link.to_bytes()[..], &ip.to_bytes(), payload].concat()
}

/// The bytes of an ICMPv6 message: `rest` is what stands in bytes 4 to 8.
pub(crate) fn icmp_message((src, dst): Pair, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    let icmp_type = Icmpv6Type::Unknown {
        type_u8: kind,
        code_u8: code,
        bytes5to8: rest,
    };
    let header = Icmpv6Header::with_checksum(icmp_type, src.octets(), dst.octets(), body).unwrap();
    [&header.to_bytes()[..], body].concat()
}

pub(crate) fn icmp(between: Pair, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Vec<u8> {
    packet(between, 58, &icmp_message(between, kind, code, rest, body))
}

pub(crate) fn echo_request(between: Pair, body: &[u8]) -> Vec<u8> {
    icmp(between, 128, 0, [0, 7, 0, 1], body)
}

/// A link-layer address option.
pub(crate) fn option(kind: u8, mac: MacAddr) -> Vec<u8> {
    [&[kind, 1], &mac.0[..]].concat()
}

/// Somebody at the peer's station asks who has `target`; from nobody, to see whether it is free.
pub(crate) fn solicitation(src: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let mut body = target.octets().to_vec();
    if !src.is_unspecified() {
        body.extend(option(1, PEER_MAC));
    }
    icmp((src, solicited_node(target)), 135, 0, [0; 4], &body)
}

/// The peer tells us its address, as we asked.
pub(crate) fn advertisement() -> Vec<u8> {
    advertisement_with((PEER_IP6, OUR_LOCAL), PEER_IP6, 0x60, PEER_MAC)
}

/// Flags: 0x80 router, 0x40 solicited, 0x20 override.
pub(crate) fn advertisement_with(between: Pair, target: Ipv6Addr, flags: u8, mac: MacAddr) -> Vec<u8> {
    let body = [&target.octets()[..], &option(2, mac)].concat();
    icmp(between, 136, 0, [flags, 0, 0, 0], &body)
}

/// A datagram from the peer.
pub(crate) fn udp(between: Pair, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    packet(between, 17, &udp_datagram(between, ports, payload))
}

pub(crate) fn udp_datagram((src, dst): Pair, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let ip = Ipv6Header {
        source: src.octets(),
        destination: dst.octets(),
        ..Ipv6Header::default()
    };
    let header = UdpHeader::with_ipv6_checksum(ports.0, ports.1, &ip, payload).unwrap();
    [&header.to_bytes()[..], payload].concat()
}

/// An ICMPv6 message of ours, its checksum checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Icmp {
    pub(crate) station: MacAddr,
    pub(crate) between: Pair,
    pub(crate) hop_limit: u8,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) rest: [u8; 4],
    pub(crate) body: Vec<u8>,
}

/// Reads a frame of ours; `None` if it is no ICMPv6.
pub(crate) fn decode(frame: &[u8]) -> Option<Icmp> {
    let headers = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Icmpv6(icmp))) =
        (headers.net, headers.transport)
    else {
        return None;
    };
    assert_eq!(frame[6..12], OUR_MAC.0);
    let message = &frame[54..];
    let body = message[8..].to_vec();
    let icmp_type = Icmpv6Type::Unknown {
        type_u8: message[0],
        code_u8: message[1],
        bytes5to8: [message[4], message[5], message[6], message[7]],
    };
    let checksum = icmp_type.calc_checksum(ip.source, ip.destination, &body).unwrap();
    assert_eq!(icmp.checksum, checksum, "ICMPv6 checksum");
    let [a, b, c, d, e, f, ..] = *frame else {
        return None;
    };
    Some(Icmp {
        station: MacAddr([a, b, c, d, e, f]),
        between: (ip.source.into(), ip.destination.into()),
        hop_limit: ip.hop_limit,
        kind: message[0],
        code: message[1],
        rest: [message[4], message[5], message[6], message[7]],
        body,
    })
}

/// One of our questions who has the peer's address.
pub(crate) fn asks_for_peer(frame: &[u8]) -> bool {
    frame[12..14] == [0x86, 0xdd] && frame.get(54) == Some(&135) && frame[62..78] == PEER_IP6.octets()
}

/// A report of groups: ICMPv6 behind a router alert.
pub(crate) fn is_report(frame: &[u8]) -> bool {
    frame[12..14] == [0x86, 0xdd] && frame.get(20) == Some(&0) && frame.get(62) == Some(&143)
}
