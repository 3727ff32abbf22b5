//! ICMPv6: RFC 4443.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames_v6::{
    ALL_NODES, OUR_IP6, OUR_LOCAL, PEER_IP6, decode, echo_request, icmp, icmp_message, packet, udp,
};
use crate::harness::{OUR_MAC, PEER_MAC};
use std::net::Ipv6Addr;

const BETWEEN: (Ipv6Addr, Ipv6Addr) = (PEER_IP6, OUR_IP6);

/// Section 4.2.
#[test]
fn echo_of_every_size() {
    let mut t = Dialogue::new_v6();
    for len in 0..=1452u16 {
        let body: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
        t.inject(&echo_request(BETWEEN, &body));
        let reply = decode(&t.next_frame().expect("a reply")).unwrap();
        assert_eq!((reply.kind, reply.code, reply.rest), (129, 0, [0, 7, 0, 1]));
        assert_eq!((reply.between, reply.station), ((OUR_IP6, PEER_IP6), PEER_MAC));
        assert_eq!(reply.body, body);
    }
    t.end();
}

#[test]
fn the_link_local_address_answers_too() {
    let mut t = Dialogue::new_v6();
    let neighbor = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    t.inject(&echo_request((neighbor, OUR_LOCAL), b"hello"));
    let reply = decode(&t.next_frame().expect("a reply")).unwrap();
    assert_eq!(reply.between, (OUR_LOCAL, neighbor));
    t.end();
}

/// An answer to a group would help an attacker multiply.
#[test]
fn echo_to_a_group_is_not_answered() {
    let mut t = Dialogue::new_v6();
    t.inject(&echo_request((PEER_IP6, ALL_NODES), b"all?"));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_icmpv6, 1);
    t.end();
}

#[test]
fn a_wrong_checksum_is_dropped_and_counted() {
    let mut t = Dialogue::new_v6();
    let mut frame = echo_request(BETWEEN, b"abcd");
    *frame.last_mut().unwrap() ^= 1;
    t.inject(&frame);
    t.inject(&packet(BETWEEN, 58, &[128, 0, 0]));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_icmpv6_malformed, 2);
    t.end();
}

/// Section 3.1.
#[test]
fn a_closed_udp_port_is_told_with_the_packet_quoted() {
    let mut t = Dialogue::new_v6();
    let frame = udp(BETWEEN, (5000, 9), b"anybody?");
    t.inject(&frame);
    let error = decode(&t.next_frame().expect("an error")).unwrap();
    assert_eq!((error.kind, error.code), (1, 4));
    assert_eq!(error.body, frame[14..]);
    t.end();
}

/// Section 2.4 c.
#[test]
fn an_error_is_no_longer_than_1280_bytes() {
    let mut t = Dialogue::new_v6();
    t.inject(&udp(BETWEEN, (5000, 9), &[7; 1400]));
    let frame = t.next_frame().expect("an error");
    assert_eq!(frame.len(), 14 + 1280);
    decode(&frame).unwrap();
    t.end();
}

/// Section 2.4 f.
#[test]
fn errors_are_limited_in_rate() {
    let mut t = Dialogue::new_v6();
    for _ in 0..200 {
        t.inject(&udp(BETWEEN, (5000, 9), b"flood"));
    }
    assert_eq!(std::iter::from_fn(|| t.next_frame()).count(), 50);
    t.end();
}

/// Section 2.4 e: not for errors, not for groups, not to nobody.
#[test]
fn what_must_not_be_answered_by_an_error() {
    let mut t = Dialogue::new_v6();
    let quoted = &udp((OUR_IP6, PEER_IP6), (1, 2), b"x")[14..];
    for kind in [1, 2, 3, 4, 100, 127, 129, 130, 200, 255] {
        t.inject(&icmp(BETWEEN, kind, 0, [0; 4], quoted));
    }
    t.inject(&udp((PEER_IP6, ALL_NODES), (5000, 9), b"all?"));
    let mut by_link = udp(BETWEEN, (5000, 9), b"all?");
    by_link[..6].fill(0xff);
    t.inject(&by_link);
    t.inject(&udp((Ipv6Addr::UNSPECIFIED, OUR_IP6), (5000, 9), b"who?"));
    t.expect_nothing();
    let counters = t.stack.counters();
    assert_eq!((counters.rx_icmpv6, counters.rx_udp_no_port), (10, 1));
    assert_eq!((counters.rx_ipv6_not_ours, counters.rx_ipv6_bad_source), (1, 1));
    t.end();
}

#[test]
fn sources_that_no_host_can_have() {
    let mut t = Dialogue::new_v6();
    let mapped = "::ffff:10.0.0.2".parse().unwrap();
    for src in [ALL_NODES, Ipv6Addr::LOCALHOST, OUR_IP6, OUR_LOCAL, mapped] {
        let message = icmp_message((src, OUR_IP6), 128, 0, [0; 4], b"echo");
        t.inject(&packet((src, OUR_IP6), 58, &message));
    }
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_ipv6_bad_source, 5);
    t.end();
}

#[test]
fn other_hosts_and_other_groups() {
    let mut t = Dialogue::new_v6();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    for dst in [PEER_IP6, group, Ipv6Addr::LOCALHOST] {
        t.inject(&echo_request(("fd00:0:0:1::9".parse().unwrap(), dst), b"echo"));
    }
    let mut foreign = echo_request(BETWEEN, b"echo");
    foreign[5] ^= 0x40;
    t.inject(&foreign);
    t.expect_nothing();
    let counters = t.stack.counters();
    assert_eq!((counters.rx_ipv6_not_ours, counters.rx_ethernet_not_ours), (3, 1));
    t.end();
}

#[test]
fn padding_is_not_part_of_the_message() {
    let mut t = Dialogue::new_v6();
    let mut frame = echo_request(BETWEEN, b"ab");
    frame.resize(80, 0x55);
    t.inject(&frame);
    assert_eq!(decode(&t.next_frame().unwrap()).unwrap().body, b"ab");
    assert_eq!(frame[..6], OUR_MAC.0);
    t.end();
}
