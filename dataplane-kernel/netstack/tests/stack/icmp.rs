//! ICMP: RFC 792, RFC 1122 section 3.2.2.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames::{echo_request, ipv4, udp, udp_with};
use crate::harness::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use etherparse::{Icmpv4Type, IpNumber, NetHeaders, PacketHeaders, TransportHeader};

/// The ICMP message of a frame to the peer: type, code and what follows the header.
#[track_caller]
fn decode(frame: &[u8]) -> (Icmpv4Type, Vec<u8>) {
    assert_eq!((&frame[..6], &frame[6..12]), (&PEER_MAC.0[..], &OUR_MAC.0[..]));
    let headers = PacketHeaders::from_ethernet_slice(frame).unwrap();
    let Some(NetHeaders::Ipv4(ip, _)) = headers.net else {
        panic!("not IPv4")
    };
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    assert_eq!((ip.source, ip.destination), (OUR_IP.octets(), PEER_IP.octets()));
    let Some(TransportHeader::Icmpv4(icmp)) = headers.transport else {
        panic!("not ICMP")
    };
    let payload = headers.payload.slice();
    assert_eq!(icmp.checksum, icmp.icmp_type.calc_checksum(payload));
    (icmp.icmp_type, payload.to_vec())
}

#[test]
fn echo_of_every_size() {
    let mut t = Dialogue::new();
    for len in 0..=1472 {
        let payload: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
        t.inject(&echo_request(7, len, &payload));
        let (kind, echoed) = decode(&t.next_frame().expect("a reply"));
        let Icmpv4Type::EchoReply(header) = kind else {
            panic!("{kind:?}")
        };
        assert_eq!((header.id, header.seq), (7, len));
        assert_eq!(echoed, payload);
    }
    assert_eq!(t.stack.counters().rx_icmp, 1473);
    t.end();
}

/// Ethernet pads short frames; the padding is not echoed.
#[test]
fn padding_is_not_part_of_the_message() {
    let mut t = Dialogue::new();
    let mut frame = echo_request(1, 1, b"ab");
    frame.resize(60, 0x55);
    t.inject(&frame);
    let (_, echoed) = decode(&t.next_frame().expect("a reply"));
    assert_eq!(echoed, b"ab");
    t.end();
}

#[test]
fn a_wrong_checksum_is_dropped_and_counted() {
    let mut t = Dialogue::new();
    let mut frame = echo_request(1, 1, b"abcd");
    *frame.last_mut().unwrap() ^= 1;
    t.inject(&frame);
    t.inject(&ipv4(IpNumber::ICMP, &[8, 0, 0], |_| {}));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_icmp_malformed, 2);
    t.end();
}

/// RFC 1122 section 3.2.2.6 allows it, and an answer would help an attacker multiply.
#[test]
fn echo_to_a_broadcast_address_is_not_answered() {
    let mut t = Dialogue::new();
    for address in [[10, 0, 0, 255], [255; 4]] {
        let mut message = vec![8, 0, 0, 0, 0, 1, 0, 1];
        let sum = netstack::checksum::checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        t.inject(&ipv4(IpNumber::ICMP, &message, |ip| ip.destination = address));
    }
    t.expect_nothing();
    t.end();
}

#[test]
fn a_closed_udp_port_is_told_with_the_packet_quoted() {
    let mut t = Dialogue::new();
    let frame = udp(5000, 9, b"anybody?");
    t.inject(&frame);
    let (kind, quoted) = decode(&t.next_frame().expect("an error"));
    let Icmpv4Type::DestinationUnreachable(header) = kind else {
        panic!("{kind:?}")
    };
    assert_eq!(header.code_u8(), 3);
    assert_eq!(quoted, frame[14..]);
    assert_eq!(t.stack.counters().rx_udp_no_port, 1);
    t.end();
}

/// RFC 1122 section 3.2.2.1.
#[test]
fn a_protocol_that_nobody_takes_is_told() {
    let mut t = Dialogue::new();
    let frame = ipv4(IpNumber::SCTP, &[0; 40], |_| {});
    t.inject(&frame);
    let (kind, quoted) = decode(&t.next_frame().expect("an error"));
    let Icmpv4Type::DestinationUnreachable(header) = kind else {
        panic!("{kind:?}")
    };
    assert_eq!((header.code_u8(), &quoted[..]), (2, &frame[14..]));
    t.inject(&ipv4(IpNumber::SCTP, &[0; 40], |ip| ip.destination = [255; 4]));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_ipv4_unknown_protocol, 2);
    t.end();
}

#[test]
fn an_error_is_no_longer_than_576_bytes() {
    let mut t = Dialogue::new();
    t.inject(&udp(5000, 9, &[7; 1400]));
    let frame = t.next_frame().expect("an error");
    assert_eq!(frame.len(), 14 + 576);
    decode(&frame);
    t.end();
}

#[test]
fn errors_are_limited_in_rate() {
    let mut t = Dialogue::new();
    let answers = |t: &mut Dialogue| {
        for _ in 0..200 {
            t.inject(&udp(5000, 9, b"flood"));
        }
        std::iter::from_fn(|| t.next_frame()).count()
    };
    assert_eq!(answers(&mut t), 50);
    t.advance_ms(10);
    assert_eq!(answers(&mut t), 10);
    t.end();
}

/// RFC 1122 section 3.2.2: never in answer to what was for many.
#[test]
fn no_error_in_answer_to_a_broadcast() {
    let mut t = Dialogue::new();
    t.inject(&udp_with(5000, 9, b"all?", |ip| ip.destination = [10, 0, 0, 255]));
    let mut by_link = udp(5000, 9, b"all?");
    by_link[..6].fill(0xff);
    t.inject(&by_link);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_udp_no_port, 2);
    t.end();
}

#[test]
fn errors_and_replies_from_others_are_never_answered() {
    let mut t = Dialogue::new();
    for kind in [0, 3, 4, 5, 11, 12, 42] {
        let mut message = vec![kind, 3, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&udp(1, 2, b"x")[14..]);
        let sum = netstack::checksum::checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        t.inject(&ipv4(IpNumber::ICMP, &message, |_| {}));
    }
    t.expect_nothing();
    t.end();
}
