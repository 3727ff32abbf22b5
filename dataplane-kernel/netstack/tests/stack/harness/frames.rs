//! Frames other than TCP's, to us and from us.

use super::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use etherparse::{
    ArpEthIpv4Packet, ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IcmpEchoHeader,
    Icmpv4Header, Icmpv4Type, IpNumber, Ipv4Header, UdpHeader,
};
use netstack::wire::ethernet::MacAddr;
use std::net::Ipv4Addr;

/// An Ethernet frame from the peer.
pub(crate) fn ethernet(dst: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let header = Ethernet2Header {
        source: PEER_MAC.0,
        destination: dst.0,
        ether_type,
    };
    [&header.to_bytes()[..], payload].concat()
}

/// A packet to us with these header fields changed by `change` before its checksum is made.
pub(crate) fn ipv4(protocol: IpNumber, payload: &[u8], change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut ip = Ipv4Header::new(len, 64, protocol, PEER_IP.octets(), OUR_IP.octets()).unwrap();
    change(&mut ip);
    ip.set_payload_len(payload.len()).unwrap();
    let mut packet = Vec::new();
    ip.write(&mut packet).unwrap();
    packet.extend_from_slice(payload);
    ethernet(OUR_MAC, EtherType::IPV4, &packet)
}

pub(crate) fn echo_request(id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
    let echo = Icmpv4Type::EchoRequest(IcmpEchoHeader { id, seq });
    let header = Icmpv4Header::with_checksum(echo, payload);
    let message = [&header.to_bytes()[..], payload].concat();
    ipv4(IpNumber::ICMP, &message, |_| {})
}

/// A datagram from the peer.
pub(crate) fn udp(src_port: u16, dst_port: u16, payload: &[u8]) -> Vec<u8> {
    udp_with(src_port, dst_port, payload, |_| {})
}

pub(crate) fn udp_with(
    src_port: u16,
    dst_port: u16,
    payload: &[u8],
    change: impl FnOnce(&mut Ipv4Header),
) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 8).unwrap();
    let mut ip = Ipv4Header::new(len, 64, IpNumber::UDP, PEER_IP.octets(), OUR_IP.octets()).unwrap();
    change(&mut ip);
    let header = UdpHeader::with_ipv4_checksum(src_port, dst_port, &ip, payload).unwrap();
    let datagram = [&header.to_bytes()[..], payload].concat();
    let fixed = ip.clone();
    ipv4(IpNumber::UDP, &datagram, |ip| *ip = fixed)
}

/// One direction of ARP: who says it (by addresses), and whom it is about.
pub(crate) fn arp(
    operation: ArpOperation,
    sender: (MacAddr, Ipv4Addr),
    target: (MacAddr, Ipv4Addr),
) -> Vec<u8> {
    let packet = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &sender.0.0,
        &sender.1.octets(),
        &target.0.0,
        &target.1.octets(),
    )
    .unwrap();
    let mut frame = ethernet(OUR_MAC, EtherType::ARP, &packet.to_bytes());
    frame[6..12].copy_from_slice(&sender.0.0);
    frame
}

/// The peer asks for our address.
pub(crate) fn arp_request() -> Vec<u8> {
    let mut frame = arp(
        ArpOperation::REQUEST,
        (PEER_MAC, PEER_IP),
        (MacAddr([0; 6]), OUR_IP),
    );
    frame[..6].fill(0xff);
    frame
}

/// The peer tells us its address.
pub(crate) fn arp_reply() -> Vec<u8> {
    arp(ArpOperation::REPLY, (PEER_MAC, PEER_IP), (OUR_MAC, OUR_IP))
}

/// Reads an ARP frame: where it goes, and what it says.
pub(crate) fn decode_arp(frame: &[u8]) -> Option<(MacAddr, ArpEthIpv4Packet)> {
    let (link, rest) = Ethernet2Header::from_slice(frame).unwrap();
    if link.ether_type != EtherType::ARP {
        return None;
    }
    assert_eq!(link.source, OUR_MAC.0);
    let packet = etherparse::ArpPacketSlice::from_slice(rest).unwrap().to_packet();
    Some((MacAddr(link.destination), packet.try_eth_ipv4().unwrap()))
}
