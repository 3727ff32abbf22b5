//! ICMP errors about packets of ours: RFC 1122 sections 3.2.2.1 and 4.2.3.9, RFC 1191, RFC 8201, RFC 5927.

use crate::harness::dialogue::{Dialogue, pattern, peer};
use crate::harness::frames::ipv4;
use crate::harness::frames_v6::{self, OUR_IP6, PEER_IP6};
use crate::harness::segment::{SYN, ack, data, syn_ack};
use crate::harness::{OUR_IP, PEER_IP};
use etherparse::{IpNumber, TcpOptionElement};
use netstack::{Error, Event, Id};
use std::net::Ipv6Addr;

/// Somebody says this of the packet in `frame`, one of ours: type, code, and the MTU if it tells one.
fn complain(t: &mut Dialogue, frame: &[u8], (kind, code): (u8, u8), mtu: u32) {
    let answer = if frame[12..14] == [8, 0] {
        let mut message = [&[kind, code, 0, 0][..], &mtu.to_be_bytes(), &frame[14..]].concat();
        let sum = netstack::checksum::checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        ipv4(IpNumber::ICMP, &message, |ip| ip.source = [10, 0, 0, 99])
    } else {
        let router: Ipv6Addr = "fe80::99".parse().unwrap();
        let quoted = &frame[14..frame.len().min(14 + 1232)];
        frames_v6::icmp((router, OUR_IP6), kind, code, mtu.to_be_bytes(), quoted)
    };
    t.inject(&answer);
}

fn connecting(v6: bool) -> (Dialogue, Id, Vec<u8>) {
    let mut t = if v6 { Dialogue::new_v6() } else { Dialogue::new() };
    let flow = t.connect();
    let syn = t.next_frame().expect("a SYN");
    (t, flow, syn)
}

#[test]
fn a_hard_error_ends_a_connection_being_opened() {
    for (v6, error) in [(false, (3, 3)), (false, (3, 2)), (true, (1, 4)), (true, (4, 1))] {
        let (mut t, flow, syn) = connecting(v6);
        complain(&mut t, &syn, error, 0);
        t.expect_connected(flow, Err(Error::ConnectionRefused));
        t.end();
    }
}

/// RFC 1122 section 4.2.3.9: it must not be aborted.
#[test]
fn a_soft_error_does_not() {
    let v4 = [(3, 0), (3, 1), (3, 5), (3, 13), (11, 0), (11, 1)].map(|error| (false, error));
    let v6 = [(1, 0), (1, 1), (1, 3), (3, 0), (4, 0)].map(|error| (true, error));
    for (v6, error) in v4.into_iter().chain(v6) {
        let (mut t, _, syn) = connecting(v6);
        complain(&mut t, &syn, error, 0);
        t.no_event();
        t.end();
    }
}

/// RFC 5927 section 4: of a connection that is open, no error is believed to end it.
#[test]
fn no_error_ends_an_open_connection() {
    for v6 in [false, true] {
        let mut t = if v6 { Dialogue::new_v6() } else { Dialogue::new() };
        let flow = t.connected();
        t.write(flow, "data");
        let frame = t.next_frame().expect("data");
        complain(&mut t, &frame, if v6 { (1, 4) } else { (3, 3) }, 0);
        t.no_event();
        t.send(ack(1, 5));
        t.expect_sent(flow, 4);
        t.end();
    }
}

/// RFC 5927 section 4.1: the number must be of a segment on its way.
#[test]
fn a_forged_number_is_not_believed() {
    let (mut t, _, mut syn) = connecting(false);
    syn[41] ^= 1;
    complain(&mut t, &syn, (3, 3), 0);
    t.no_event();
    t.end();

    let mut t = Dialogue::new();
    let flow = t.connected();
    t.write(flow, pattern(1, 1460));
    let mut frame = t.next_frame().expect("data");
    frame[38..42].copy_from_slice(&[1, 2, 3, 4]);
    complain(&mut t, &frame, (3, 4), 1000);
    t.expect_nothing();
    assert_eq!(t.stack.counters().path_mtus_lowered, 0);
    t.send(ack(1, 1461));
    t.expect_sent(flow, 1460);
    t.end();
}

/// RFC 1191 section 6.4: what was too long is sent again at once, in pieces that fit; later segments fit too.
#[test]
fn segments_shrink_to_what_the_way_carries() {
    let mut t = Dialogue::new();
    let flow = t.connected();
    t.write(flow, pattern(1, 1460));
    let frame = t.next_frame().expect("data");
    complain(&mut t, &frame, (3, 4), 1000);
    t.expect(data(1, 1, pattern(1, 960)));
    t.expect(data(961, 1, pattern(961, 500)));
    t.send(ack(1, 1461));
    t.expect_sent(flow, 1460);
    t.write(flow, pattern(1461, 1000));
    t.expect(data(1461, 1, pattern(1461, 960)));
    t.expect(data(2421, 1, pattern(2421, 40)));
    t.send(ack(1, 2461));
    t.expect_sent(flow, 1000);
    assert_eq!(t.stack.counters().path_mtus_lowered, 1);
    t.end();
}

#[test]
fn the_same_in_ipv6_but_never_below_1280() {
    let mut t = Dialogue::new_v6();
    let flow = t.connected();
    t.write(flow, pattern(1, 1440));
    let frame = t.next_frame().expect("data");
    complain(&mut t, &frame, (2, 0), 1279);
    complain(&mut t, &frame, (2, 0), 1500);
    t.expect_nothing();
    complain(&mut t, &frame, (2, 0), 1280);
    t.expect(data(1, 1, pattern(1, 1220)));
    t.expect(data(1221, 1, pattern(1221, 220)));
    t.send(ack(1, 1441));
    t.expect_sent(flow, 1440);
    t.end();
}

/// RFC 1191 section 7.1 where a router does not say; and a least, so that nobody can have us send crumbs.
#[test]
fn routers_that_do_not_say_and_routers_that_say_too_little() {
    for (said, segment) in [(0, 1452), (68, 512), (1, 512)] {
        let mut t = Dialogue::new();
        let flow = t.connected();
        t.write(flow, pattern(1, 1460));
        let frame = t.next_frame().expect("data");
        complain(&mut t, &frame, (3, 4), said);
        t.expect(data(1, 1, pattern(1, segment)));
        while t.next_segment().is_some() {}
        t.send(ack(1, 1461));
        t.expect_sent(flow, 1460);
        t.end();
    }
}

/// What is known of a way holds for the next connection, until it is forgotten.
#[test]
fn a_new_connection_begins_with_what_is_known() {
    let mut t = Dialogue::new();
    let flow = t.connected();
    t.write(flow, pattern(1, 1460));
    let frame = t.next_frame().expect("data");
    complain(&mut t, &frame, (3, 4), 1000);
    while t.next_segment().is_some() {}
    t.abort(flow);
    while t.next_segment().is_some() {}
    while t.event().is_some() {}
    for (minutes, first) in [(0, 960), (11, 1460)] {
        t.advance_ms(minutes * 60_000);
        t.forget(7);
        let flow = t.connect();
        // What we take in does not depend on it.
        let syn = t.next_segment().expect("a SYN");
        assert_eq!(syn.flags, SYN);
        assert!(
            syn.options
                .unwrap()
                .contains(&TcpOptionElement::MaximumSegmentSize(1460))
        );
        t.send(syn_ack().mss(1460));
        t.expect(ack(1, 1));
        t.expect_connected(flow, Ok(()));
        t.write(flow, pattern(1, 1460));
        t.expect(data(1, 1, pattern(1, first)));
        while t.next_segment().is_some() {}
        t.send(ack(1, 1461));
        t.expect_sent(flow, 1460);
        t.abort(flow);
        while t.next_segment().is_some() {}
        while t.event().is_some() {}
    }
    t.end();
}

fn sent_datagram(t: &mut Dialogue, socket: Id) -> Vec<u8> {
    let span = t.driver.place(b"anybody?");
    let to = t.peer(9);
    t.stack
        .udp_send(&mut t.driver, t.now, socket, to, &[span], 1)
        .unwrap();
    t.turn();
    assert!(matches!(t.event(), Some(Event::UdpSent { .. })));
    t.next_frame().expect("a datagram")
}

/// RFC 1122 section 4.1.3.3.
#[test]
fn the_app_hears_that_a_udp_port_is_closed() {
    for v6 in [false, true] {
        let mut t = if v6 { Dialogue::new_v6() } else { Dialogue::new() };
        let socket = t.stack.udp_bind(None, 7, 5).unwrap();
        let frame = sent_datagram(&mut t, socket);
        complain(&mut t, &frame, if v6 { (1, 0) } else { (3, 1) }, 0);
        t.no_event();
        complain(&mut t, &frame, if v6 { (1, 4) } else { (3, 3) }, 0);
        let peer = if v6 { (PEER_IP6, 9).into() } else { peer(9) };
        let cookie = 5;
        assert_eq!(t.event(), Some(Event::UdpRefused { socket, cookie, peer }));
        // Of a port that nobody has here, and of one that was closed meanwhile, nothing is told.
        let mut foreign = frame.clone();
        foreign[if v6 { 55 } else { 35 }] ^= 1;
        complain(&mut t, &foreign, if v6 { (1, 4) } else { (3, 3) }, 0);
        complain(&mut t, &frame, if v6 { (1, 4) } else { (3, 3) }, 0);
        t.stack.udp_unbind(&mut t.driver, t.now, socket).unwrap();
        t.no_event();
        t.end();
    }
}

#[test]
fn a_flood_of_refusals_is_bounded() {
    let mut t = Dialogue::new();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let frame = sent_datagram(&mut t, socket);
    for _ in 0..1000 {
        complain(&mut t, &frame, (3, 3), 0);
    }
    let told = std::iter::from_fn(|| t.event()).count();
    assert_eq!((told, t.stack.counters().udp_refused), (64, 64));
    t.end();
}

/// Quotes that are cut short, of other protocols, of packets that were never ours.
#[test]
fn rubbish_in_errors_is_ignored() {
    let (mut t, _, syn) = connecting(false);
    for len in [0, 1, 19, 20, 27] {
        complain(&mut t, &syn[..14 + len], (3, 3), 0);
    }
    let mut other = syn.clone();
    other[23] = 132;
    complain(&mut t, &other, (3, 3), 0);
    let mut reversed = syn;
    reversed[26..30].copy_from_slice(&PEER_IP.octets());
    reversed[30..34].copy_from_slice(&OUR_IP.octets());
    complain(&mut t, &reversed, (3, 3), 0);
    t.no_event();
    t.end();
}
