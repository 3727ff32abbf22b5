//! Every parser of the wire module, on the same bytes.

use netstack::RxChecksum;
use netstack::wire::ethernet::MacAddr;
use netstack::wire::{arp, dhcp, ethernet, icmpv4, icmpv6, igmp, ipv4, ipv6, ndp, tcp, tcp_options, udp};
use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes as a frame, and as whatever may stand in one; what is made of them lies within them.
pub fn parsers(bytes: &[u8]) {
    black_box(ethernet::Header::parse(bytes));
    if let Some(packet) = arp::Packet::parse(bytes) {
        let mut again = [0; arp::PACKET_LEN];
        packet.emit(&mut again);
        assert_eq!(
            again,
            bytes[..arp::PACKET_LEN],
            "what was read is what is written"
        );
    }
    options(bytes);
    for_ipv4(bytes);
    for_ipv6(bytes);
}

fn options(bytes: &[u8]) {
    let options = tcp_options::Options::parse(bytes);
    let mut out = [0; tcp_options::MAX_LEN];
    let len = options.emit(&mut out);
    assert!(len <= out.len() && len.is_multiple_of(4));
    let again = tcp_options::Options::parse(&out[..len]);
    let mut twice = [0; tcp_options::MAX_LEN];
    assert_eq!(again.emit(&mut twice), len);
    assert_eq!(out, twice, "what was written is what is read");
    black_box(tcp_options::Timestamps::parse_alone(bytes));
}

fn for_ipv4(bytes: &[u8]) {
    let (src, dst) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
    if let Ok(packet) = ipv4::Packet::parse(bytes) {
        assert!(packet.header_len() + packet.payload().len() <= bytes.len());
        assert_eq!(packet.header_len() + packet.payload().len(), packet.bytes().len());
        black_box((packet.protocol(), packet.ttl(), packet.is_fragment()));
    }
    for checksum in [RxChecksum::Good, RxChecksum::Unknown] {
        if let Ok(segment) = tcp::Segment::parse(bytes, src, dst, checksum) {
            assert_eq!(segment.header_len() + segment.payload.len(), bytes.len());
            black_box((
                segment.sequence_len(),
                segment.timestamps(),
                segment.all_options(),
            ));
        }
        if let Ok(datagram) = udp::Datagram::parse(bytes, src, dst, checksum) {
            assert!(datagram.payload.len() + udp::HEADER_LEN <= bytes.len());
        }
    }
    let mut out = [0; 1600];
    if icmpv4::Message::parse(bytes).is_ok() {
        black_box(icmpv4::echo_reply(bytes, &mut out[..bytes.len().min(1600)]));
    }
    black_box(icmpv4::Quoted::parse(bytes));
    black_box(igmp::Message::parse(bytes));
    if let Some(address) = bytes.get(28..34).and_then(|bytes| bytes.try_into().ok()) {
        black_box(dhcp::Reply::parse(bytes, MacAddr(address)));
    }
}

fn for_ipv6(bytes: &[u8]) {
    let (src, dst) = (Ipv6Addr::LOCALHOST, Ipv6Addr::from_bits(2));
    if let Some(packet) = ipv6::Packet::parse(bytes) {
        let rest = packet.from_offset(bytes.len());
        assert!(rest.is_empty() && packet.bytes().len() <= bytes.len());
        black_box(packet.content()).ok();
    }
    black_box(icmpv6::Message::parse(bytes, src, dst)).ok();
    black_box(icmpv6::Quoted::parse(bytes));
    for hop_limit in [255, 64] {
        match ndp::Message::parse(bytes, src, dst, hop_limit) {
            Some(ndp::Message::RouterAdvertisement(advertisement)) => {
                black_box((advertisement.station(), advertisement.mtu()));
                assert!(advertisement.prefixes().count() <= bytes.len());
            }
            other => drop(black_box(other)),
        }
    }
}
