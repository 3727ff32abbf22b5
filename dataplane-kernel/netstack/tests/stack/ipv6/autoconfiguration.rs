//! Routers and what they tell: RFC 4861 section 6.3, RFC 4862 section 5.5.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames_v6::{ALL_NODES, Icmp, OUR_LOCAL, decode, echo_request, icmp, option};
use crate::harness::{OUR_MAC, PEER_MAC};
use netstack::{Event, Id, Ipv6Config};
use std::net::Ipv6Addr;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0);
/// The prefix, and what our station's address makes.
const MADE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0xff, 0xfe00, 1);
const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 9, 9, 0, 0, 0, 1);
const DAY: u32 = 86400;

fn new() -> Dialogue {
    let mut t = Dialogue::with(|config| {
        config.ipv6 = Some(Ipv6Config {
            autoconfigure: true,
            ..Ipv6Config::default()
        });
    });
    t.turn();
    t.advance_ms(1001);
    t
}

fn sent(t: &mut Dialogue) -> Vec<Icmp> {
    std::iter::from_fn(|| t.next_frame())
        .map(|frame| decode(&frame).expect("ICMPv6"))
        .collect()
}

/// A Prefix Information option for addresses of our making.
fn prefix(valid: u32, preferred: u32) -> Vec<u8> {
    prefix_with(64, 0xc0, valid, preferred)
}

fn prefix_with(len: u8, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    let times = [valid.to_be_bytes(), preferred.to_be_bytes(), [0; 4]].concat();
    [&[3, 4, len, flags][..], &times, &PREFIX.octets()].concat()
}

/// The router speaks: for how long it is a default router, and these options.
fn advertise(t: &mut Dialogue, lifetime: u16, options: &[u8]) {
    let [high, low] = lifetime.to_be_bytes();
    let body = [&[0; 8][..], &option(1, PEER_MAC), options].concat();
    t.inject(&icmp((ROUTER, ALL_NODES), 134, 0, [64, 0, high, low], &body));
}

fn is_ours(t: &mut Dialogue, ip: Ipv6Addr) -> bool {
    t.inject(&echo_request((ROUTER, ip), b"?"));
    !sent(t).is_empty()
}

/// RFC 4861 section 6.3.7.
#[test]
fn routers_are_asked_for_three_times() {
    let mut t = new();
    t.advance_ms(30_000);
    let questions: Vec<Icmp> = sent(&mut t).into_iter().filter(|icmp| icmp.kind == 133).collect();
    assert_eq!(questions.len(), 3);
    for question in questions {
        assert_eq!((question.between.0, question.hop_limit), (OUR_LOCAL, 255));
        assert_eq!(question.between.1, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2));
        assert_eq!(question.body, option(1, OUR_MAC));
    }
    t.end();
}

#[test]
fn a_prefix_becomes_an_address_after_it_was_asked_for() {
    let mut t = new();
    advertise(&mut t, 1800, &prefix(DAY, DAY));
    let probe = sent(&mut t).pop().expect("a probe");
    assert_eq!((probe.kind, &probe.body[..]), (135, &MADE.octets()[..]));
    assert!(!is_ours(&mut t, MADE));
    t.advance_ms(1001);
    assert!(is_ours(&mut t, MADE));
    t.end();
}

/// RFC 4862 section 5.5.3 a to d.
#[test]
fn prefixes_that_make_no_address() {
    for refused in [
        prefix_with(64, 0x80, DAY, DAY),     // not autonomous
        prefix_with(48, 0xc0, DAY, DAY),     // of another length
        prefix_with(64, 0xc0, DAY, DAY + 1), // preferred for longer than valid
        prefix_with(64, 0xc0, 0, 0),
    ] {
        let mut t = new();
        advertise(&mut t, 1800, &refused);
        t.advance_ms(1001);
        sent(&mut t);
        assert!(!is_ours(&mut t, MADE));
        t.end();
    }
}

/// RFC 4862 section 5.5.3 e: a forged advertisement cannot take an address away at once.
#[test]
fn a_short_lifetime_counts_as_two_hours() {
    let mut t = new();
    advertise(&mut t, 1800, &prefix(DAY, DAY));
    t.advance_ms(1001);
    advertise(&mut t, 1800, &prefix(1, 1));
    t.advance_ms(7_190_000);
    assert!(is_ours(&mut t, MADE));
    t.advance_ms(20_000);
    sent(&mut t);
    assert!(!is_ours(&mut t, MADE));
    t.end();
}

#[test]
fn the_prefix_is_on_the_link_and_the_rest_goes_to_the_router() {
    let mut t = new();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    advertise(&mut t, 1800, &prefix(DAY, DAY));
    t.advance_ms(1001);
    sent(&mut t);
    let near = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 7);
    assert_eq!(first_hop(&mut t, socket, near), Err(near));
    // Its station stood in the advertisement: it needs not be asked for.
    assert_eq!(first_hop(&mut t, socket, FAR), Ok(PEER_MAC.0));
    t.advance_ms(10_000);
    finish(&mut t);
    t.end();
}

/// RFC 4861 section 6.3.4: a lifetime of 0 says that it is no default router; and lifetimes end.
#[test]
fn routers_come_and_go() {
    let mut t = new();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let reaches = |t: &mut Dialogue| {
        let span = t.driver.place(b"x");
        let sent = t
            .stack
            .udp_send(&mut t.driver, t.now, socket, (FAR, 9).into(), &[span], 1)
            .is_ok();
        t.turn();
        finish(t);
        sent
    };
    assert!(!reaches(&mut t));
    advertise(&mut t, 1800, &prefix(DAY, DAY));
    assert!(reaches(&mut t));
    advertise(&mut t, 0, &[]);
    assert!(!reaches(&mut t));
    advertise(&mut t, 10, &[]);
    assert!(reaches(&mut t));
    t.advance_ms(10_001);
    assert!(!reaches(&mut t));
    t.end();
}

/// RFC 4861 section 6.3.4; less than 1280 bytes no link carries (RFC 8200 section 5).
#[test]
fn the_link_may_be_narrower_than_the_interface() {
    let mut t = new();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let widest = |t: &mut Dialogue| {
        let span = t.driver.place(&[0; 1452]);
        let to = (ROUTER, 9).into();
        t.stack
            .udp_send(&mut t.driver, t.now, socket, to, &[span], 1)
            .unwrap();
        t.turn();
        let frames = std::iter::from_fn(|| t.next_frame());
        let widest = frames.map(|frame| frame.len() - 14).max();
        finish(t);
        widest
    };
    let mtu = |mtu: u32| [&[5, 1, 0, 0], &mtu.to_be_bytes()[..]].concat();
    advertise(&mut t, 1800, &mtu(1279));
    assert_eq!(widest(&mut t), Some(1500));
    advertise(&mut t, 1800, &mtu(1400));
    assert_eq!(widest(&mut t), Some(1400));
    advertise(&mut t, 1800, &mtu(9000));
    assert_eq!(widest(&mut t), Some(1400));
    t.end();
}

/// Without autoconfiguration a router's station is learned, and nothing else.
#[test]
fn routers_are_not_heeded_unless_that_is_wanted() {
    let mut t = Dialogue::new_v6();
    advertise(&mut t, 1800, &prefix(DAY, DAY));
    t.advance_ms(2000);
    t.expect_nothing();
    assert!(!is_ours(&mut t, MADE));
    t.end();
}

/// Sends a datagram; gives the station it went to, or the address that was asked for first.
fn first_hop(t: &mut Dialogue, socket: Id, to: Ipv6Addr) -> Result<[u8; 6], Ipv6Addr> {
    let span = t.driver.place(b"x");
    t.stack
        .udp_send(&mut t.driver, t.now, socket, (to, 9).into(), &[span], 1)
        .unwrap();
    t.turn();
    let frame = t.next_frame().expect("a frame");
    match decode(&frame) {
        Some(question) => {
            let target: [u8; 16] = question.body[..16].try_into().unwrap();
            Err(target.into())
        }
        None => Ok(frame[..6].try_into().unwrap()),
    }
}

/// Takes the frames and events of datagrams.
fn finish(t: &mut Dialogue) {
    while t.next_frame().is_some() {}
    while let Some(event) = t.event() {
        assert!(matches!(event, Event::UdpSent { .. }), "{event:?}");
    }
}
