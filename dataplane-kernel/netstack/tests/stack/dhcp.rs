//! The DHCP client: RFC 2131, with a server that the test plays.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames::{arp, decode_arp, udp_with};
use crate::harness::segment::{SYN, ack, syn_ack};
use crate::harness::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use etherparse::{ArpOperation, NetHeaders, PacketHeaders, TcpOptionElement, TransportHeader};
use netstack::rss::{Home, Steering};
use netstack::wire::ethernet::MacAddr;
use netstack::{Error, Event, Ipv4Config, SharedLease};
use std::net::Ipv4Addr;
use std::sync::Arc;

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const ACK: u8 = 5;
const NAK: u8 = 6;
const SECOND: u64 = 1000;

/// What the client said.
#[derive(Debug)]
struct Said {
    from: Ipv4Addr,
    to: Ipv4Addr,
    kind: u8,
    xid: [u8; 4],
    wants_broadcast: bool,
    client: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
}

fn client() -> Dialogue {
    let mut t = Dialogue::with(|config| config.ipv4 = Some(Ipv4Config::Dhcp));
    t.answers_arp = false;
    t.turn();
    t
}

#[track_caller]
fn said(t: &mut Dialogue) -> Said {
    let frame = t.next_frame().expect("a message");
    let headers = PacketHeaders::from_ethernet_slice(&frame).unwrap();
    let (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Udp(udp))) = (headers.net, headers.transport)
    else {
        panic!("no datagram: {frame:02x?}")
    };
    let message = headers.payload.slice();
    assert_eq!((udp.source_port, udp.destination_port), (68, 67));
    assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, message).unwrap());
    assert_eq!(message[..3], [1, 1, 6]);
    assert_eq!(message[28..34], OUR_MAC.0);
    assert_eq!(message[236..240], [99, 130, 83, 99]);
    let mut options = std::collections::HashMap::new();
    let mut rest = &message[240..];
    while rest[0] != 255 {
        let (data, after) = rest[2..].split_at(rest[1].into());
        options.insert(rest[0], data.to_vec());
        rest = after;
    }
    let address = |bytes: &[u8]| Ipv4Addr::from(<[u8; 4]>::try_from(bytes).unwrap());
    Said {
        from: ip.source.into(),
        to: ip.destination.into(),
        kind: options[&53][0],
        xid: message[4..8].try_into().unwrap(),
        wants_broadcast: message[10] & 0x80 != 0,
        client: address(&message[12..16]),
        requested: options.get(&50).map(|data| address(data)),
        server: options.get(&54).map(|data| address(data)),
    }
}

/// Lets time pass until it says something; gives the seconds, too.
#[track_caller]
fn next_said(t: &mut Dialogue) -> (u64, Said) {
    t.expect_nothing();
    let began = t.now;
    let due = t.stack.next_deadline().expect("it goes on");
    t.advance_us(due.ns_since(began) / 1000 + 1);
    (t.now.ns_since(began) / 1_000_000_000, said(t))
}

/// A server's message, with the options of a lease of 120 seconds (T1 60, T2 100) and `more`.
fn reply_with(xid: [u8; 4], kind: u8, given: Ipv4Addr, more: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&xid);
    message[16..20].copy_from_slice(&given.octets());
    message[28..34].copy_from_slice(&OUR_MAC.0);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend_from_slice(&[53, 1, kind, 54, 4, 10, 0, 0, 2]);
    message.extend_from_slice(more);
    if kind != NAK {
        message.extend_from_slice(&[1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 2, 6, 4, 10, 0, 0, 3]);
        message.extend_from_slice(&[51, 4, 0, 0, 0, 120, 58, 4, 0, 0, 0, 60, 59, 4, 0, 0, 0, 100]);
    }
    message.push(255);
    message
}

fn serve(t: &mut Dialogue, xid: [u8; 4], kind: u8, given: Ipv4Addr) {
    serve_with(t, xid, kind, given, &[]);
}

fn serve_with(t: &mut Dialogue, xid: [u8; 4], kind: u8, given: Ipv4Addr, more: &[u8]) {
    let message = reply_with(xid, kind, given, more);
    let mut frame = udp_with(67, 68, &message, |ip| ip.destination = ALL.octets());
    frame[..6].fill(0xff);
    t.inject(&frame);
}

/// DISCOVER to ACK; gives the exchange's number.
#[track_caller]
fn acknowledged(t: &mut Dialogue, given: Ipv4Addr, more: &[u8]) -> [u8; 4] {
    let discover = said(t);
    answered(t, &discover, given, more)
}

/// The same from there on.
#[track_caller]
fn answered(t: &mut Dialogue, discover: &Said, given: Ipv4Addr, more: &[u8]) -> [u8; 4] {
    assert_eq!(
        (discover.kind, discover.from, discover.to),
        (DISCOVER, NOBODY, ALL)
    );
    assert!(discover.wants_broadcast);
    serve_with(t, discover.xid, OFFER, given, more);
    let request = said(t);
    assert_eq!((request.kind, request.from, request.to), (REQUEST, NOBODY, ALL));
    assert_eq!((request.requested, request.server), (Some(given), Some(PEER_IP)));
    assert_eq!((request.xid, request.client), (discover.xid, NOBODY));
    serve_with(t, request.xid, ACK, given, more);
    request.xid
}

#[track_caller]
fn expect_arp(t: &mut Dialogue, from: Ipv4Addr, target: Ipv4Addr) {
    let frame = t.next_frame().expect("a question");
    let (dst, packet) = decode_arp(&frame).expect("ARP");
    assert_eq!(
        (dst, packet.operation),
        (MacAddr::BROADCAST, ArpOperation::REQUEST)
    );
    assert_eq!(
        (packet.sender_ipv4, packet.target_ipv4),
        (from.octets(), target.octets())
    );
}

/// Two questions whether anybody has it, no answer, and it is announced.
#[track_caller]
fn probed(t: &mut Dialogue, given: Ipv4Addr) {
    expect_arp(t, NOBODY, given);
    assert_eq!(t.stack.ipv4(), None);
    t.advance_ms(250);
    expect_arp(t, NOBODY, given);
    t.advance_ms(250);
    expect_arp(t, given, given);
    assert_eq!(t.stack.ipv4(), Some(given));
}

fn bound() -> Dialogue {
    let mut t = client();
    acknowledged(&mut t, OUR_IP, &[]);
    probed(&mut t, OUR_IP);
    t
}

/// The server's hardware address is asked for, and told.
#[track_caller]
fn resolve(t: &mut Dialogue) {
    expect_arp(t, OUR_IP, PEER_IP);
    t.inject(&arp(ArpOperation::REPLY, (PEER_MAC, PEER_IP), (OUR_MAC, OUR_IP)));
    t.advance_ms(100);
}

#[test]
fn an_address_is_found_asked_for_probed_and_announced() {
    let mut t = bound();
    let lease = *t.stack.lease().unwrap();
    assert_eq!((lease.address, lease.prefix), (OUR_IP, 24));
    assert_eq!((lease.gateway, lease.server), (Some(PEER_IP), PEER_IP));
    assert_eq!(lease.name_servers, [Some(Ipv4Addr::new(10, 0, 0, 3)), None, None]);
    t.no_event(); // the app begins with it
    t.answers_arp = true;
    let flow = t.connected();
    t.abort(flow);
    t.discard_frames();
    assert!(matches!(t.event(), Some(Event::Dead { .. })));
    t.end();
}

#[test]
fn discovers_are_repeated_after_4_8_16_32_and_64_seconds() {
    let mut t = client();
    let first = said(&mut t);
    for wanted_s in [4, 8, 16, 32, 64, 64] {
        let (seconds, again) = next_said(&mut t);
        assert!((wanted_s - 1..=wanted_s + 1).contains(&seconds), "{seconds}");
        assert_eq!((again.kind, again.xid), (DISCOVER, first.xid));
    }
    t.end();
}

#[test]
fn before_there_is_an_address_nothing_else_is_answered() {
    let mut t = client();
    said(&mut t);
    t.inject(&crate::harness::frames::arp_request());
    t.inject(&crate::harness::frames::echo_request(1, 1, b"anybody?"));
    let mut zero = crate::harness::frames::arp_request();
    zero[38..42].fill(0);
    t.inject(&zero);
    t.listen();
    t.send(crate::harness::segment::syn());
    let nowhere = t
        .stack
        .tcp_connect(&mut t.driver, t.now, (PEER_IP, 80).into(), None, None, 0);
    assert_eq!(nowhere, Err(Error::Unreachable));
    t.turn();
    assert_eq!(t.stack.counters().rx_ipv4_not_ours, 2);
    assert_eq!(t.stack.counters().rx_arp, 2);
    t.end();
}

#[test]
fn what_answers_no_question_of_ours_is_ignored() {
    let mut t = client();
    let discover = said(&mut t);
    let wrong = [0xaa; 4];
    serve(&mut t, wrong, OFFER, OUR_IP);
    serve(&mut t, discover.xid, ACK, OUR_IP);
    serve(&mut t, discover.xid, NAK, OUR_IP);
    serve(&mut t, discover.xid, OFFER, Ipv4Addr::LOCALHOST);
    serve(&mut t, discover.xid, OFFER, Ipv4Addr::new(10, 0, 0, 255));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_dhcp_ignored, 5);
    serve(&mut t, discover.xid, OFFER, OUR_IP);
    assert_eq!(said(&mut t).kind, REQUEST);
    // Another offer comes too late, and another server does not speak for the one chosen.
    serve(&mut t, discover.xid, OFFER, PEER_IP);
    let mut other = reply_with(discover.xid, ACK, OUR_IP, &[]);
    other[248] = 77;
    let mut frame = udp_with(67, 68, &other, |ip| ip.destination = ALL.octets());
    frame[..6].fill(0xff);
    t.inject(&frame);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_dhcp_ignored, 7);
    t.end();
}

#[test]
fn an_offer_by_unicast_is_taken_too() {
    let mut t = client();
    let discover = said(&mut t);
    let message = reply_with(discover.xid, OFFER, OUR_IP, &[]);
    t.inject(&udp_with(67, 68, &message, |_| {}));
    assert_eq!(said(&mut t).kind, REQUEST);
    t.end();
}

#[test]
fn a_request_without_an_answer_is_given_up_after_four() {
    let mut t = client();
    let discover = said(&mut t);
    serve(&mut t, discover.xid, OFFER, OUR_IP);
    assert_eq!(said(&mut t).kind, REQUEST);
    for _ in 1..4 {
        assert_eq!(next_said(&mut t).1.kind, REQUEST);
    }
    let (_, again) = next_said(&mut t);
    assert_eq!(again.kind, DISCOVER);
    assert_ne!(again.xid, discover.xid);
    t.end();
}

#[test]
fn a_refusal_begins_it_anew_a_second_later() {
    let mut t = client();
    let discover = said(&mut t);
    serve(&mut t, discover.xid, OFFER, OUR_IP);
    said(&mut t);
    serve(&mut t, discover.xid, NAK, NOBODY);
    t.expect_nothing();
    t.advance_ms(SECOND);
    assert_eq!(said(&mut t).kind, DISCOVER);
    t.end();
}

#[test]
fn an_address_that_another_station_has_is_declined() {
    let answers = arp(ArpOperation::REPLY, (PEER_MAC, OUR_IP), (OUR_MAC, NOBODY));
    let probes_too = arp(
        ArpOperation::REQUEST,
        (PEER_MAC, NOBODY),
        (MacAddr([0; 6]), OUR_IP),
    );
    for claim in [answers, probes_too] {
        let mut t = client();
        let xid = acknowledged(&mut t, OUR_IP, &[]);
        expect_arp(&mut t, NOBODY, OUR_IP);
        t.inject(&claim);
        let decline = said(&mut t);
        assert_eq!((decline.kind, decline.xid, decline.to), (DECLINE, xid, ALL));
        assert_eq!((decline.requested, decline.server), (Some(OUR_IP), Some(PEER_IP)));
        t.advance_ms(10 * SECOND - 1);
        t.expect_nothing();
        t.advance_ms(1);
        assert_eq!(said(&mut t).kind, DISCOVER);
        t.end();
    }
}

#[test]
fn it_is_renewed_at_t1_by_unicast() {
    let mut t = bound();
    t.advance_ms(60 * SECOND - 500);
    resolve(&mut t);
    let renewal = said(&mut t);
    assert_eq!(
        (renewal.kind, renewal.from, renewal.to),
        (REQUEST, OUR_IP, PEER_IP)
    );
    assert_eq!((renewal.client, renewal.wants_broadcast), (OUR_IP, false));
    assert_eq!((renewal.requested, renewal.server), (None, None));
    let message = reply_with(renewal.xid, ACK, OUR_IP, &[]);
    t.inject(&udp_with(67, 68, &message, |_| {}));
    t.no_event();
    // From then on it holds for 120 seconds again.
    t.advance_ms(59 * SECOND);
    t.expect_nothing();
    t.advance_ms(2 * SECOND);
    assert!(t.next_frame().is_some());
    assert_eq!(t.stack.ipv4(), Some(OUR_IP));
    t.discard_frames();
    t.end();
}

#[test]
fn from_t2_on_any_server_is_asked_and_may_answer() {
    let mut t = bound();
    t.advance_ms(60 * SECOND - 500);
    resolve(&mut t);
    said(&mut t);
    t.advance_ms(40 * SECOND);
    let mut rebinding = said(&mut t);
    while rebinding.to != ALL {
        rebinding = said(&mut t);
    }
    assert_eq!(
        (rebinding.kind, rebinding.from, rebinding.client),
        (REQUEST, OUR_IP, OUR_IP)
    );
    let mut other = reply_with(rebinding.xid, ACK, OUR_IP, &[]);
    other[248] = 77;
    t.inject(&udp_with(67, 68, &other, |_| {}));
    assert_eq!(t.stack.lease().unwrap().server, Ipv4Addr::new(10, 0, 0, 77));
    t.discard_frames();
    t.end();
}

#[test]
fn an_expired_address_is_lost_and_its_connections_with_it() {
    let mut t = bound();
    t.answers_arp = true;
    let flow = t.connected();
    let socket = t.stack.udp_bind(None, 9, 1).unwrap();
    t.advance_ms(130 * SECOND);
    assert_eq!((t.stack.ipv4(), t.stack.lease()), (None, None));
    t.expect_dead(flow, Err(Error::AddressNotAvailable));
    assert_eq!(t.event(), Some(Event::Address { ip: None }));
    assert_eq!(t.stack.counters().tcp_address_lost, 1);
    let span = t.driver.place(b"to nowhere");
    let sent = t
        .stack
        .udp_send(&mut t.driver, t.now, socket, (ALL, 9).into(), &[span], 0);
    assert_eq!(sent, Err(Error::Unreachable));
    // It goes on asking, and another address is news.
    t.answers_arp = false;
    t.discard_frames();
    let (_, discover) = next_said(&mut t);
    let other = Ipv4Addr::new(10, 0, 0, 5);
    serve(&mut t, discover.xid, OFFER, other);
    let request = said(&mut t);
    serve(&mut t, request.xid, ACK, other);
    probed(&mut t, other);
    assert_eq!(t.event(), Some(Event::Address { ip: Some(other) }));
    t.end();
}

#[test]
fn a_refused_renewal_ends_it_at_once() {
    let mut t = bound();
    t.advance_ms(60 * SECOND - 500);
    resolve(&mut t);
    let renewal = said(&mut t);
    let message = reply_with(renewal.xid, NAK, NOBODY, &[]);
    t.inject(&udp_with(67, 68, &message, |_| {}));
    assert_eq!(t.stack.ipv4(), None);
    assert_eq!(t.event(), Some(Event::Address { ip: None }));
    assert_eq!(said(&mut t).kind, DISCOVER);
    t.end();
}

#[test]
fn a_refusal_out_of_the_blue_does_not() {
    let mut t = client();
    let xid = acknowledged(&mut t, OUR_IP, &[]);
    probed(&mut t, OUR_IP);
    let message = reply_with(xid, NAK, NOBODY, &[]);
    t.inject(&udp_with(67, 68, &message, |_| {}));
    assert_eq!(t.stack.ipv4(), Some(OUR_IP));
    t.end();
}

#[test]
fn the_mtu_of_the_server_bounds_segments_and_the_links_bounds_it() {
    for (told, mss) in [([2, 188], 700 - 40), ([255, 255], 1460), ([0, 68], 1460)] {
        let mut t = client();
        acknowledged(&mut t, OUR_IP, &[26, 2, told[0], told[1]]);
        probed(&mut t, OUR_IP);
        t.answers_arp = true;
        t.connect();
        let syn = t.expect(ack(0, 0).flags(SYN));
        let offered = syn.options.unwrap().into_iter().find_map(|option| match option {
            TcpOptionElement::MaximumSegmentSize(mss) => Some(mss),
            _ => None,
        });
        assert_eq!(offered, Some(mss));
        t.end();
    }
}

#[test]
fn the_clients_port_is_taken() {
    let mut t = client();
    said(&mut t);
    assert_eq!(t.stack.udp_bind(None, 68, 0), Err(Error::AddressInUse));
    t.end();
}

#[test]
fn connections_being_opened_fail_when_the_address_goes() {
    let mut t = bound();
    t.advance_ms(60 * SECOND - 500);
    resolve(&mut t);
    let renewal = said(&mut t);
    t.answers_arp = true;
    let flow = t.connect();
    t.expect(ack(0, 0).flags(SYN));
    let message = reply_with(renewal.xid, NAK, NOBODY, &[]);
    t.inject(&udp_with(67, 68, &message, |_| {}));
    t.expect_connected(flow, Err(Error::AddressNotAvailable));
    assert_eq!(t.event(), Some(Event::Address { ip: None }));
    t.send(syn_ack());
    assert_eq!(said(&mut t).kind, DISCOVER);
    t.end();
}

/// The stacks of two cores that share an interface.
fn two_cores() -> [Dialogue; 2] {
    let steering = Arc::new(Steering::new(&[7; 40]));
    let lease = Arc::new(SharedLease::default());
    [0, 1].map(|core| {
        let mut t = Dialogue::with(|config| {
            config.ipv4 = Some(Ipv4Config::Dhcp);
            config.home = Some(Home {
                steering: Arc::clone(&steering),
                core,
                lease: Arc::clone(&lease),
            });
        });
        t.answers_arp = false;
        t
    })
}

#[test]
fn of_several_cores_one_asks_and_all_have_the_address() {
    let [mut first, mut second] = two_cores();
    second.turn();
    second.expect_nothing();
    assert_eq!(second.stack.next_deadline(), None);
    first.turn();
    acknowledged(&mut first, OUR_IP, &[]);
    probed(&mut first, OUR_IP);
    assert_eq!(second.stack.ipv4(), None);
    second.turn();
    assert_eq!(second.stack.ipv4(), Some(OUR_IP));
    assert_eq!(second.stack.lease(), first.stack.lease());
    // Announced it was already, and the app begins with it.
    second.expect_nothing();
    second.no_event();
    first.end();
    second.end();
}

#[test]
fn an_address_that_goes_and_another_that_comes_are_those_of_all_cores() {
    let other = Ipv4Addr::new(10, 0, 0, 9);
    let [mut first, mut second] = two_cores();
    first.turn();
    acknowledged(&mut first, OUR_IP, &[]);
    probed(&mut first, OUR_IP);
    second.turn();
    // Nobody answers for the 120 seconds of the lease.
    for _ in 0..121 {
        first.advance_ms(SECOND);
        second.advance_ms(SECOND);
    }
    for t in [&mut first, &mut second] {
        assert!(matches!(t.event(), Some(Event::Address { ip: None })));
        assert_eq!((t.stack.ipv4(), t.stack.lease()), (None, None));
    }
    first.discard_frames();
    let (_, discover) = next_said(&mut first);
    answered(&mut first, &discover, other, &[]);
    probed(&mut first, other);
    second.turn();
    for t in [&mut first, &mut second] {
        assert!(matches!(t.event(), Some(Event::Address { ip: Some(ip) }) if ip == other));
    }
    second.expect_nothing();
    first.end();
    second.end();
}
