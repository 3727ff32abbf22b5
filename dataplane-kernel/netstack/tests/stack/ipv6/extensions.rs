//! Extension headers: RFC 8200 section 4, RFC 5095.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames_v6::{ALL_NODES, OUR_IP6, PEER_IP6, decode, icmp_message, packet};
use netstack::Counters;
use std::net::Ipv6Addr;

const BETWEEN: (Ipv6Addr, Ipv6Addr) = (PEER_IP6, OUR_IP6);

/// An echo request behind `headers`, the first of which has this type.
fn behind(between: (Ipv6Addr, Ipv6Addr), first: u8, headers: &[u8]) -> Vec<u8> {
    let message = icmp_message(between, 128, 0, [0, 7, 0, 1], b"deep");
    packet(between, first, &[headers, &message].concat())
}

/// What comes of such a packet: the answer's type, code and pointer, and what was counted.
#[track_caller]
fn answered(between: (Ipv6Addr, Ipv6Addr), first: u8, headers: &[u8]) -> (Option<(u8, u8, u8)>, Counters) {
    let mut t = Dialogue::new_v6();
    t.inject(&behind(between, first, headers));
    let answer = t.next_frame().map(|frame| decode(&frame).unwrap());
    let counters = t.stack.counters();
    t.end();
    (answer.map(|icmp| (icmp.kind, icmp.code, icmp.rest[3])), counters)
}

const ECHOED: Option<(u8, u8, u8)> = Some((129, 0, 1));

#[test]
fn what_may_be_skipped_is() {
    let options = [60, 0, 5, 2, 0, 0, 1, 0]; // router alert, and one byte of padding
    let destination = [43, 0, 0x1e, 4, 1, 2, 3, 4];
    let routing = [
        58, 2, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];
    let all = [&options[..], &destination, &routing].concat();
    assert_eq!(answered(BETWEEN, 0, &all).0, ECHOED);
}

/// Section 4.2: the highest bits of an option's type.
#[test]
fn options_that_must_not_be_skipped() {
    let option = |kind| [58, 0, kind, 4, 0, 0, 0, 0];
    assert_eq!(answered(BETWEEN, 60, &option(0x3f)).0, ECHOED);
    let (silence, counters) = answered(BETWEEN, 60, &option(0x7f));
    assert_eq!((silence, counters.rx_ipv6_refused), (None, 1));
    assert_eq!(answered(BETWEEN, 60, &option(0xbf)).0, Some((4, 2, 42)));
    assert_eq!(answered(BETWEEN, 0, &option(0xff)).0, Some((4, 2, 42)));
    let to_all = (PEER_IP6, ALL_NODES);
    assert_eq!(answered(to_all, 60, &option(0xbf)).0, Some((4, 2, 42)));
    assert_eq!(answered(to_all, 60, &option(0xff)).0, None);
}

/// RFC 5095 section 3: as any routing type that is not known.
#[test]
fn a_type_0_routing_header_with_a_way_to_go_is_refused() {
    let mut routing = [0; 24];
    (routing[0], routing[1], routing[3]) = (58, 2, 1);
    let (answer, counters) = answered(BETWEEN, 43, &routing);
    assert_eq!((answer, counters.rx_ipv6_refused), (Some((4, 0, 42)), 1));
}

/// Section 4.1.
#[test]
fn hop_by_hop_options_come_first() {
    let second = [0, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0];
    let (answer, counters) = answered(BETWEEN, 60, &second);
    assert_eq!((answer, counters.rx_ipv6_unknown_protocol), (Some((4, 1, 40)), 1));
}

#[test]
fn an_unknown_next_header_is_told() {
    assert_eq!(answered(BETWEEN, 253, &[]).0, Some((4, 1, 6)));
    assert_eq!(answered((PEER_IP6, ALL_NODES), 253, &[]).0, None);
    // Section 4.7: there is nothing in it.
    let (silence, counters) = answered(BETWEEN, 59, &[]);
    assert_eq!((silence, counters.rx_ipv6_refused), (None, 1));
}

#[test]
fn headers_longer_than_the_packet_or_too_many_of_them() {
    let (silence, counters) = answered(BETWEEN, 60, &[58, 200, 1, 4, 0, 0, 0, 0]);
    assert_eq!((silence, counters.rx_ipv6_malformed), (None, 1));
    let chain: Vec<u8> = [60, 0, 1, 4, 0, 0, 0, 0].repeat(12);
    let (silence, counters) = answered(BETWEEN, 60, &chain);
    assert_eq!((silence, counters.rx_ipv6_malformed), (None, 1));
}

#[test]
fn headers_that_are_none() {
    let mut t = Dialogue::new_v6();
    let good = behind(BETWEEN, 58, &[]);
    t.inject(&good[..53]);
    let mut version = good.clone();
    version[14] = 0x40;
    t.inject(&version);
    let mut long = good;
    long[19] += 1;
    t.inject(&long);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_ipv6_malformed, 3);
    t.end();
}
