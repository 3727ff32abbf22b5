//! Neighbour discovery: RFC 4861 sections 7.1 and 7.2, RFC 4862 section 5.4.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames_v6::{
    ALL_NODES, Icmp, OUR_IP6, OUR_LOCAL, PEER_IP6, advertisement_with, decode, fixed, icmp, icmp_message,
    option, packet_with, solicitation, solicited_node,
};
use crate::harness::{OUR_MAC, PEER_MAC};
use netstack::wire::ethernet::MacAddr;
use netstack::{Event, Id};
use std::net::Ipv6Addr;

const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;

/// The messages we have sent.
fn sent(t: &mut Dialogue) -> Vec<Icmp> {
    std::iter::from_fn(|| t.next_frame())
        .map(|frame| decode(&frame).expect("ICMPv6"))
        .collect()
}

/// One whose addresses are not ours yet.
fn fresh() -> Dialogue {
    let mut t = Dialogue::with(|config| config.ipv6 = Some(fixed()));
    t.turn();
    t
}

/// RFC 4862 section 5.4.2.
#[test]
fn our_addresses_are_asked_for_before_they_are_ours() {
    let mut t = fresh();
    let probes = sent(&mut t);
    for (probe, target) in probes.iter().zip([OUR_LOCAL, OUR_IP6]) {
        assert_eq!((probe.kind, probe.code, probe.hop_limit), (135, 0, 255));
        assert_eq!(probe.between, (NOBODY, solicited_node(target)));
        assert_eq!(probe.station.0[..3], [0x33, 0x33, 0xff]);
        assert_eq!(probe.body, target.octets());
    }
    assert_eq!(probes.len(), 2);
    // Until they are, nobody is answered.
    t.inject(&solicitation(PEER_IP6, OUR_IP6));
    assert_eq!(sent(&mut t), []);
    t.advance_ms(1001);
    t.inject(&solicitation(PEER_IP6, OUR_IP6));
    assert_eq!(sent(&mut t).len(), 1);
    t.end();
}

/// RFC 4862 sections 5.4.3 and 5.4.4: another asks for the same, or has it.
#[test]
fn an_address_that_another_has_is_given_up() {
    let said = advertisement_with((OUR_IP6, ALL_NODES), OUR_IP6, 0x20, PEER_MAC);
    for claim in [solicitation(NOBODY, OUR_IP6), said] {
        let mut t = fresh();
        sent(&mut t);
        t.inject(&claim);
        assert_eq!(t.stack.counters().nd_conflicts, 1);
        t.advance_ms(2000);
        t.inject(&solicitation(PEER_IP6, OUR_IP6));
        assert_eq!(sent(&mut t), []);
        // The other one is not concerned.
        t.inject(&solicitation(PEER_IP6, OUR_LOCAL));
        assert_eq!(sent(&mut t).len(), 1);
        t.end();
    }
}

/// Section 7.2.4.
#[test]
fn a_solicitation_is_answered_to_the_asker_alone() {
    let mut t = Dialogue::new_v6();
    t.inject(&solicitation(PEER_IP6, OUR_IP6));
    let [answer] = &sent(&mut t)[..] else { panic!() };
    assert_eq!((answer.kind, answer.hop_limit, answer.rest[0]), (136, 255, 0x60));
    assert_eq!((answer.between, answer.station), ((OUR_IP6, PEER_IP6), PEER_MAC));
    assert_eq!(answer.body, [&OUR_IP6.octets()[..], &option(2, OUR_MAC)].concat());
    t.end();
}

/// Section 7.2.4: who has no address yet is answered by all hearing it.
#[test]
fn a_probe_for_our_address_is_answered_to_all() {
    let mut t = Dialogue::new_v6();
    t.inject(&solicitation(NOBODY, OUR_IP6));
    let [answer] = &sent(&mut t)[..] else { panic!() };
    assert_eq!((answer.kind, answer.rest[0]), (136, 0x20));
    assert_eq!(
        (answer.between.1, answer.station.0),
        (ALL_NODES, [0x33, 0x33, 0, 0, 0, 1])
    );
    t.end();
}

/// Sections 7.1.1, 7.1.2 and 6.1.2.
#[test]
fn invalid_messages_are_dropped() {
    let mut t = Dialogue::new_v6();
    let between = (PEER_IP6, solicited_node(OUR_IP6));
    let target = OUR_IP6.octets();
    let mut invalid = Vec::new();
    // From beyond the link.
    let good = icmp_message(between, 135, 0, [0; 4], &target);
    invalid.push(packet_with(between, 58, &good, |ip| ip.hop_limit = 254));
    // Code, length, target, an option without length, one that is cut short, a group's station.
    invalid.push(icmp(between, 135, 1, [0; 4], &target));
    invalid.push(icmp(between, 135, 0, [0; 4], &target[..15]));
    invalid.push(icmp(between, 135, 0, [0; 4], &ALL_NODES.octets()));
    invalid.push(icmp(
        between,
        135,
        0,
        [0; 4],
        &[&target[..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat(),
    ));
    invalid.push(icmp(
        between,
        135,
        0,
        [0; 4],
        &[&target[..], &[1, 1, 2, 0]].concat(),
    ));
    let group = option(1, MacAddr::BROADCAST);
    invalid.push(icmp(between, 135, 0, [0; 4], &[&target[..], &group].concat()));
    // From nobody: not to our own address, not with a station.
    invalid.push(icmp((NOBODY, OUR_IP6), 135, 0, [0; 4], &target));
    let named = [&target[..], &option(1, PEER_MAC)].concat();
    invalid.push(icmp((NOBODY, solicited_node(OUR_IP6)), 135, 0, [0; 4], &named));
    // An answer to all that says it was asked for; a router that is not on this link.
    invalid.push(advertisement_with(
        (PEER_IP6, ALL_NODES),
        PEER_IP6,
        0x40,
        PEER_MAC,
    ));
    invalid.push(icmp((PEER_IP6, ALL_NODES), 134, 0, [64, 0, 7, 8], &[0; 8]));
    for frame in &invalid {
        t.inject(frame);
    }
    assert_eq!(sent(&mut t), []);
    assert_eq!(t.stack.counters().rx_nd_invalid, invalid.len() as u64);
    t.end();
}

fn bound(t: &mut Dialogue) -> Id {
    t.stack.udp_bind(None, 7, 5).unwrap()
}

/// Sends a datagram to the peer, and tells what left: the station a datagram went to, or the question who it is.
fn station_of(t: &mut Dialogue, socket: Id) -> Result<MacAddr, Icmp> {
    let span = t.driver.place(b"x");
    t.stack
        .udp_send(&mut t.driver, t.now, socket, (PEER_IP6, 9).into(), &[span], 1)
        .unwrap();
    t.turn();
    let frame = t.next_frame().expect("a frame");
    match decode(&frame) {
        Some(question) => Err(question),
        None => {
            assert!(matches!(t.event(), Some(Event::UdpSent { .. })));
            let [a, b, c, d, e, f, ..] = frame[..] else {
                panic!()
            };
            Ok(MacAddr([a, b, c, d, e, f]))
        }
    }
}

/// Section 7.2.2: what is to be sent waits for the answer.
#[test]
fn a_neighbour_is_asked_for_and_the_datagram_follows() {
    let mut t = Dialogue::new_v6();
    t.answers_arp = false;
    let socket = bound(&mut t);
    let question = station_of(&mut t, socket).unwrap_err();
    assert_eq!((question.kind, question.hop_limit), (135, 255));
    assert_eq!(question.between, (OUR_LOCAL, solicited_node(PEER_IP6)));
    assert_eq!(
        question.body,
        [&PEER_IP6.octets()[..], &option(1, OUR_MAC)].concat()
    );
    t.inject(&crate::harness::frames_v6::advertisement());
    assert_eq!(t.next_frame().expect("the datagram")[..6], PEER_MAC.0);
    assert!(matches!(t.event(), Some(Event::UdpSent { result: Ok(()), .. })));
    t.end();
}

/// Section 7.2.5: what an advertisement changes depends on its flags.
#[test]
fn who_may_replace_a_known_station() {
    let change = |flags: u8, mac: MacAddr| {
        let mut t = Dialogue::new_v6();
        let socket = bound(&mut t);
        assert_eq!(station_of(&mut t, socket), Ok(PEER_MAC));
        t.answers_arp = false;
        let to = if flags & 0x40 == 0 { ALL_NODES } else { OUR_IP6 };
        t.inject(&advertisement_with((PEER_IP6, to), PEER_IP6, flags, mac));
        let station = station_of(&mut t, socket).unwrap();
        // It is asked, alone, whether it is still there, unless the advertisement has said so.
        let questions = sent(&mut t);
        assert!(questions.iter().all(|question| question.station == station));
        t.end();
        (station, questions.len())
    };
    assert_eq!(change(0x00, OTHER_MAC), (PEER_MAC, 1)); // no override: doubt
    assert_eq!(change(0x20, OTHER_MAC), (OTHER_MAC, 1)); // override: believed, and asked
    assert_eq!(change(0x60, OTHER_MAC), (OTHER_MAC, 0)); // override, solicited
    assert_eq!(change(0x40, PEER_MAC), (PEER_MAC, 0));
    assert_eq!(change(0x00, PEER_MAC), (PEER_MAC, 0));
}

/// Section 7.3.3: after a while without a sign it is asked again, by unicast, while it serves on; then it is given up.
#[test]
fn a_stale_neighbour_is_probed_and_forgotten_if_it_is_silent() {
    let mut t = Dialogue::new_v6();
    let socket = bound(&mut t);
    assert_eq!(station_of(&mut t, socket), Ok(PEER_MAC));
    t.advance_ms(31_000);
    t.answers_arp = false;
    assert_eq!(station_of(&mut t, socket), Ok(PEER_MAC));
    t.advance_ms(4000);
    let probes = sent(&mut t);
    assert_eq!(probes.len(), 3);
    assert!(
        probes
            .iter()
            .all(|probe| probe.station == PEER_MAC && probe.between.1 == PEER_IP6)
    );
    let question = station_of(&mut t, socket).unwrap_err();
    assert_eq!(question.between.1, solicited_node(PEER_IP6));
    t.advance_ms(5000);
    assert!(matches!(t.event(), Some(Event::UdpSent { result: Err(_), .. })));
    sent(&mut t);
    t.end();
}

/// Strangers' claims take the places of strangers only.
#[test]
fn a_flood_of_claims_evicts_nobody_reachable() {
    let mut t = Dialogue::new_v6();
    let socket = bound(&mut t);
    assert_eq!(station_of(&mut t, socket), Ok(PEER_MAC));
    for i in 0..5000u16 {
        let stranger = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, i);
        t.inject(&solicitation(stranger, OUR_IP6));
    }
    assert_eq!(sent(&mut t).len(), 5000);
    assert_eq!(station_of(&mut t, socket), Ok(PEER_MAC));
    t.end();
}
