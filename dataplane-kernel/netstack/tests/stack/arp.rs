//! ARP: RFC 826, RFC 1122 section 2.3.2, RFC 5227.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames::{arp, arp_reply, arp_request, decode_arp};
use crate::harness::segment::{SYN, ack, data, rst, syn, syn_ack};
use crate::harness::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use etherparse::ArpOperation;
use netstack::wire::ethernet::MacAddr;
use std::net::Ipv4Addr;

const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const OTHER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

#[track_caller]
fn expect_request(t: &mut Dialogue, to: MacAddr, target: Ipv4Addr) {
    let frame = t.next_frame().expect("a request");
    let (dst, packet) = decode_arp(&frame).expect("ARP");
    assert_eq!(
        (dst, packet.operation, Ipv4Addr::from(packet.target_ipv4)),
        (to, ArpOperation::REQUEST, target)
    );
    assert_eq!(
        (packet.sender_mac, Ipv4Addr::from(packet.sender_ipv4)),
        (OUR_MAC.0, OUR_IP)
    );
}

#[track_caller]
fn expect_reply(t: &mut Dialogue, to: MacAddr, target: Ipv4Addr) {
    let frame = t.next_frame().expect("a reply");
    let (dst, packet) = decode_arp(&frame).expect("ARP");
    assert_eq!((dst, packet.operation), (to, ArpOperation::REPLY));
    assert_eq!(
        (packet.sender_mac, Ipv4Addr::from(packet.sender_ipv4)),
        (OUR_MAC.0, OUR_IP)
    );
    assert_eq!(
        (packet.target_mac, Ipv4Addr::from(packet.target_ipv4)),
        (to.0, target)
    );
}

#[test]
fn a_request_for_us_is_answered_to_its_sender() {
    let mut t = Dialogue::new();
    t.inject(&arp_request());
    expect_reply(&mut t, PEER_MAC, PEER_IP);
    t.end();
}

#[test]
fn a_probe_is_answered_and_teaches_nothing() {
    let mut t = Dialogue::new();
    t.inject(&arp(
        ArpOperation::REQUEST,
        (OTHER_MAC, Ipv4Addr::UNSPECIFIED),
        (MacAddr([0; 6]), OUR_IP),
    ));
    expect_reply(&mut t, OTHER_MAC, Ipv4Addr::UNSPECIFIED);
    t.end();
}

#[test]
fn requests_for_others_and_replies_not_asked_for_are_not_answered() {
    let mut t = Dialogue::new();
    t.inject(&arp(
        ArpOperation::REQUEST,
        (PEER_MAC, PEER_IP),
        (MacAddr([0; 6]), OTHER_IP),
    ));
    t.inject(&arp_reply());
    t.expect_nothing();
    t.end();
}

#[test]
fn what_waits_for_an_answer_leaves_with_it() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    t.connect();
    expect_request(&mut t, MacAddr::BROADCAST, PEER_IP);
    t.expect_nothing();
    t.inject(&arp_reply());
    t.expect(ack(0, 0).flags(SYN));
    t.end();
}

#[test]
fn it_asks_once_a_second() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    t.connect();
    expect_request(&mut t, MacAddr::BROADCAST, PEER_IP);
    t.advance_ms(999);
    t.expect_nothing();
    t.advance_ms(2);
    expect_request(&mut t, MacAddr::BROADCAST, PEER_IP);
    t.inject(&arp_reply());
    t.expect(ack(0, 0).flags(SYN));
    t.end();
}

/// Whoever spoke to us is known for the answer, and asked for confirmation by unicast while that goes out.
#[test]
fn a_station_that_asked_for_us_is_answered_without_a_broadcast() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    t.inject(&arp_request());
    expect_reply(&mut t, PEER_MAC, PEER_IP);
    t.listen();
    t.send(syn().mss(1460));
    let frames: Vec<_> = std::iter::from_fn(|| t.next_frame()).collect();
    assert_eq!(frames.len(), 2, "a SYN-ACK and a unicast request");
    assert!(frames.iter().all(|frame| frame[..6] == PEER_MAC.0));
    t.inject(&arp_reply());
    t.expect_nothing();
    t.send(rst(1));
    t.end();
}

#[test]
fn an_answer_holds_a_minute_and_is_then_confirmed_by_unicast() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.answers_arp = false;
    t.advance_ms(59_000);
    t.write(flow, "x");
    t.expect(data(1, 1, "x"));
    t.send(ack(1, 2));
    t.expect_sent(flow, 1);
    t.advance_ms(2_000);
    t.write(flow, "y");
    let mut frames: Vec<_> = std::iter::from_fn(|| t.next_frame()).collect();
    assert_eq!(frames.len(), 2, "data and a request");
    frames.retain(|frame| decode_arp(frame).is_some());
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0][..6], PEER_MAC.0);
    t.inject(&arp_reply());
    t.send(ack(1, 3));
    t.expect_sent(flow, 1);
    t.expect_nothing();
    t.end();
}

#[test]
fn a_peer_that_moved_is_followed() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.answers_arp = false;
    let mut gratuitous = arp(
        ArpOperation::REQUEST,
        (OTHER_MAC, PEER_IP),
        (MacAddr([0; 6]), PEER_IP),
    );
    gratuitous[..6].fill(0xff);
    t.inject(&gratuitous);
    t.advance_ms(1_001); // a flow may use what it knows for a second
    t.write(flow, "x");
    let frames: Vec<_> = std::iter::from_fn(|| t.next_frame()).collect();
    assert!(
        !frames.is_empty() && frames.iter().all(|frame| frame[..6] == OTHER_MAC.0),
        "{frames:02x?}"
    );
    t.inject(&arp(ArpOperation::REPLY, (OTHER_MAC, PEER_IP), (OUR_MAC, OUR_IP)));
    t.send(ack(1, 2));
    t.expect_sent(flow, 1);
    t.end();
}

#[test]
fn the_announcement_is_a_request_for_ourselves() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    t.stack.announce(&mut t.driver, t.now);
    t.turn();
    expect_request(&mut t, MacAddr::BROADCAST, OUR_IP);
    t.end();
}

#[test]
fn the_gateway_is_asked_for_what_is_far() {
    let gateway = Ipv4Addr::new(10, 0, 0, 254);
    let mut t = Dialogue::with(|config| *config = config.clone().through(gateway));
    t.answers_arp = false;
    let far = "192.0.2.1:80".parse().unwrap();
    t.stack
        .tcp_connect(&mut t.driver, t.now, far, None, None, 1)
        .unwrap();
    t.turn();
    expect_request(&mut t, MacAddr::BROADCAST, gateway);
    t.inject(&arp(ArpOperation::REPLY, (OTHER_MAC, gateway), (OUR_MAC, OUR_IP)));
    let frame = t.next_frame().expect("a SYN");
    assert_eq!(frame[..6], OTHER_MAC.0);
    assert_eq!(frame[30..34], [192, 0, 2, 1]);
}

#[test]
fn malformed_arp_is_counted() {
    let mut t = Dialogue::new();
    let good = arp_request();
    for (at, byte) in [(14, 9), (16, 9), (18, 9), (19, 9), (21, 9), (22, 1)] {
        let mut bad = good.clone();
        bad[at] = byte;
        t.inject(&bad);
    }
    t.inject(&good[..41]);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_arp_malformed, 7);
    t.end();
}

/// The SYN's own station is not learnt from the SYN: only ARP teaches addresses.
#[test]
fn ip_packets_teach_no_address() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    t.listen();
    t.send(syn().mss(1460));
    expect_request(&mut t, MacAddr::BROADCAST, PEER_IP);
    t.inject(&arp_reply());
    t.expect(syn_ack());
    t.send(rst(1));
    t.end();
}
