//! Groups: RFC 1112, RFC 2236, RFC 3376, RFC 3810.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::frames::{self, ipv4, udp_with};
use crate::harness::frames_v6::{self, OUR_LOCAL, PEER_IP6, is_report, solicited_node};
use crate::harness::{OUR_IP, PEER_IP};
use etherparse::{IpNumber, Ipv4Header};
use netstack::{Error, Event, Id};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 129, 2, 3);
const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0x1234, 0x5678);

fn bound(t: &mut Dialogue, port: u16) -> Id {
    t.hears_reports = true;
    t.stack.udp_bind(None, port, 5).unwrap()
}

fn join(t: &mut Dialogue, socket: Id, group: impl Into<IpAddr>) {
    t.stack.udp_join(t.now, socket, group.into()).unwrap();
    t.turn();
}

/// A frame to the stations of an IPv4 group.
fn to_group(mut frame: Vec<u8>) -> Vec<u8> {
    let [_, b, c, d] = [frame[30], frame[31], frame[32], frame[33]];
    frame[..6].copy_from_slice(&[1, 0, 0x5e, b & 0x7f, c, d]);
    frame
}

fn datagram(group: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    to_group(udp_with(5000, port, payload, |ip| {
        ip.destination = group.octets()
    }))
}

fn query(group: Ipv4Addr, tenths: u8, len: usize) -> Vec<u8> {
    let mut message = vec![0x11, tenths, 0, 0];
    message.extend(group.octets());
    message.resize(len, 0);
    let sum = netstack::checksum::checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let to = if group.is_unspecified() {
        [224, 0, 0, 1]
    } else {
        group.octets()
    };
    to_group(ipv4(IpNumber::IGMP, &message, |ip| ip.destination = to))
}

/// The IGMP message of the next frame: where it goes, and its bytes.
#[track_caller]
fn report(t: &mut Dialogue) -> (Ipv4Addr, Vec<u8>) {
    let frame = t.next_frame().expect("a report");
    let (ip, message) = Ipv4Header::from_slice(&frame[14..]).unwrap();
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    assert_eq!(
        (ip.protocol, ip.time_to_live, ip.source),
        (IpNumber::IGMP, 1, OUR_IP.octets())
    );
    assert_eq!(*ip.options, [0x94, 4, 0, 0]);
    let [_, b, c, d] = ip.destination;
    assert_eq!(frame[..6], [1, 0, 0x5e, b & 0x7f, c, d]);
    assert_eq!(netstack::checksum::checksum(message), 0);
    (ip.destination.into(), message.to_vec())
}

/// The same of one record in IGMPv3: its type and group.
#[track_caller]
fn record(t: &mut Dialogue) -> (u8, Ipv4Addr) {
    let (to, message) = report(t);
    assert_eq!(to, Ipv4Addr::new(224, 0, 0, 22));
    assert_eq!(
        (message[0], &message[4..8], message.len()),
        (0x22, &[0, 0, 0, 1][..], 16)
    );
    assert_eq!(message[9..12], [0, 0, 0]);
    (
        message[8],
        [message[12], message[13], message[14], message[15]].into(),
    )
}

#[track_caller]
fn receive(t: &mut Dialogue, socket: Id, payload: &[u8]) {
    match t.event() {
        Some(Event::UdpRecv {
            socket: of,
            buf,
            offset,
            len,
            ..
        }) => {
            assert_eq!((of, t.driver.view(&buf, offset, len)), (socket, payload));
            t.give_back(buf);
        }
        event => panic!("wanted a datagram, got {event:?}"),
    }
}

#[test]
fn datagrams_come_while_the_socket_is_in_the_group() {
    let mut t = Dialogue::new();
    let socket = bound(&mut t, 7);
    t.inject(&datagram(GROUP, 7, b"before"));
    join(&mut t, socket, GROUP);
    assert_eq!(record(&mut t), (4, GROUP));
    t.inject(&datagram(GROUP, 7, b"in"));
    receive(&mut t, socket, b"in");
    // Another port, another group, a group's address by a station's frame and the other way round.
    t.inject(&datagram(GROUP, 8, b"port"));
    t.inject(&datagram(Ipv4Addr::new(239, 1, 2, 3), 7, b"group"));
    t.inject(&to_group(frames::udp(5000, 7, b"host")));
    t.stack.udp_leave(t.now, socket, GROUP.into()).unwrap();
    t.turn();
    assert_eq!(record(&mut t), (3, GROUP));
    t.inject(&datagram(GROUP, 7, b"after"));
    t.no_event();
    let counters = t.stack.counters();
    assert_eq!(
        (
            counters.rx_udp,
            counters.rx_udp_no_port,
            counters.rx_ipv4_not_ours
        ),
        (1, 1, 4)
    );
    t.advance_ms(1000);
    assert_eq!(record(&mut t), (3, GROUP));
    t.advance_ms(10_000);
    t.end();
}

/// RFC 3376 section 5.1: told again, since reports may be lost.
#[test]
fn joining_is_told_twice_and_only_by_the_first() {
    let mut t = Dialogue::new();
    let (one, two) = (bound(&mut t, 7), bound(&mut t, 8));
    join(&mut t, one, GROUP);
    assert_eq!(record(&mut t), (4, GROUP));
    t.advance_ms(1000);
    assert_eq!(record(&mut t), (4, GROUP));
    join(&mut t, two, GROUP);
    join(&mut t, one, GROUP);
    t.advance_ms(2000);
    t.expect_nothing();
    // Only when the last one leaves it is left; closing the socket is leaving.
    t.stack.udp_unbind(&mut t.driver, t.now, one).unwrap();
    t.turn();
    t.expect_nothing();
    t.stack.udp_leave(t.now, two, GROUP.into()).unwrap();
    t.turn();
    assert_eq!(record(&mut t), (3, GROUP));
    t.advance_ms(1000);
    assert_eq!(record(&mut t), (3, GROUP));
    t.end();
}

/// RFC 3376 section 5.2.
#[test]
fn a_query_is_answered_in_time() {
    let mut t = Dialogue::new();
    let socket = bound(&mut t, 7);
    t.inject(&query(Ipv4Addr::UNSPECIFIED, 20, 12));
    t.advance_ms(2000);
    t.expect_nothing();
    join(&mut t, socket, GROUP);
    t.advance_ms(1000);
    assert_eq!([record(&mut t), record(&mut t)], [(4, GROUP); 2]);
    for asked in [Ipv4Addr::UNSPECIFIED, GROUP] {
        t.inject(&query(asked, 20, 12));
        t.advance_ms(2000);
        assert_eq!(record(&mut t), (2, GROUP));
    }
    t.advance_ms(5000);
    assert_eq!(
        (t.stack.counters().rx_igmp, t.stack.counters().tx_reports),
        (3, 4)
    );
    t.end();
}

/// RFC 3376 section 7.2: with a router that knows version 2 only, that is spoken.
#[test]
fn an_old_router_is_answered_in_its_language() {
    let mut t = Dialogue::new();
    let socket = bound(&mut t, 7);
    join(&mut t, socket, GROUP);
    t.advance_ms(1000);
    assert_eq!([record(&mut t), record(&mut t)], [(4, GROUP); 2]);
    t.inject(&query(Ipv4Addr::UNSPECIFIED, 20, 8));
    t.advance_ms(2000);
    let (to, message) = report(&mut t);
    assert_eq!(
        (to, message[0], &message[4..8]),
        (GROUP, 0x16, &GROUP.octets()[..])
    );
    t.stack.udp_leave(t.now, socket, GROUP.into()).unwrap();
    t.turn();
    let (to, message) = report(&mut t);
    assert_eq!((to, message[0]), (Ipv4Addr::new(224, 0, 0, 2), 0x17));
    t.advance_ms(1000);
    report(&mut t);
    t.end();
}

#[test]
fn damaged_queries_are_counted() {
    let mut t = Dialogue::new();
    let mut frame = query(Ipv4Addr::UNSPECIFIED, 20, 8);
    frame[40] ^= 1;
    t.inject(&frame);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_igmp_malformed, 1);
    t.end();
}

#[test]
fn what_cannot_be_joined_or_left() {
    let mut t = Dialogue::new();
    let socket = bound(&mut t, 7);
    let join = |t: &mut Dialogue, id, group: IpAddr| t.stack.udp_join(t.now, id, group);
    assert_eq!(join(&mut t, socket, PEER_IP.into()), Err(Error::Invalid));
    assert_eq!(join(&mut t, socket, GROUP6.into()), Err(Error::NotSupported));
    let forged = Id { index: 9, ..socket };
    assert_eq!(join(&mut t, forged, GROUP.into()), Err(Error::BadHandle));
    let left = t.stack.udp_leave(t.now, socket, GROUP.into());
    assert_eq!(left, Err(Error::Invalid));
    for last in 0..64 {
        assert_eq!(
            join(&mut t, socket, Ipv4Addr::new(239, 0, 0, last).into()),
            Ok(())
        );
    }
    assert_eq!(join(&mut t, socket, GROUP.into()), Err(Error::NoMemory));
    t.turn();
    let (_, message) = report(&mut t);
    assert_eq!((message[7], message.len()), (64, 8 + 64 * 8));
    t.advance_ms(1000);
    report(&mut t);
    t.end();
}

/// RFC 1112 section 6.1: one hop, to the group's stations, without asking anybody.
#[test]
fn datagrams_are_sent_to_groups() {
    let mut t = Dialogue::new();
    let socket = bound(&mut t, 7);
    let span = t.driver.place(b"all");
    t.stack
        .udp_send(&mut t.driver, t.now, socket, (GROUP, 9).into(), &[span], 1)
        .unwrap();
    t.turn();
    let frame = t.next_frame().expect("a datagram");
    assert_eq!(frame[..6], [1, 0, 0x5e, 1, 2, 3]);
    assert_eq!((frame[22], &frame[30..34]), (1, &GROUP.octets()[..]));
    assert!(matches!(t.event(), Some(Event::UdpSent { .. })));
    t.end();
}

/// The groups of a report of MLDv2, with the types of their records.
#[track_caller]
fn groups_v6(t: &mut Dialogue, from: Ipv6Addr) -> Vec<(u8, Ipv6Addr)> {
    let frame = t.next_frame().expect("a report");
    assert!(is_report(&frame), "{frame:02x?}");
    assert_eq!((frame[21], &frame[54..62]), (1, &[58, 0, 5, 2, 0, 0, 1, 0][..]));
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 0x16]);
    let to: Ipv6Addr = "ff02::16".parse().unwrap();
    assert_eq!(
        (&frame[22..38], &frame[38..54]),
        (&from.octets()[..], &to.octets()[..])
    );
    let message = &frame[62..];
    let body = frames_v6::icmp_message((from, to), 143, 0, [0, 0, message[6], message[7]], &message[8..]);
    assert_eq!(body, message, "the checksum");
    message[8..]
        .chunks(20)
        .map(|record| (record[0], <[u8; 16]>::try_from(&record[4..]).unwrap().into()))
        .collect()
}

/// RFC 4861 section 7.2.1: also the groups by which our own addresses are asked for, and before they are ours.
#[test]
fn the_groups_of_our_own_addresses_are_told() {
    let mut t = Dialogue::with(|config| config.ipv6 = Some(frames_v6::fixed()));
    t.hears_reports = true;
    t.turn();
    let own = [
        (4, solicited_node(OUR_LOCAL)),
        (4, solicited_node(frames_v6::OUR_IP6)),
    ];
    let mut reports = 0;
    t.advance_ms(3000);
    let frames: Vec<_> = std::iter::from_fn(|| t.next_frame())
        .filter(|frame| is_report(frame))
        .collect();
    for frame in &frames {
        assert_eq!(frame[62 + 8 + 4..62 + 8 + 20], own[0].1.octets());
        reports += 1;
    }
    assert!(reports >= 2, "{reports}");
    t.end();
}

#[test]
fn groups_in_ipv6() {
    let mut t = Dialogue::new_v6();
    t.advance_ms(5000);
    let socket = bound(&mut t, 7);
    let own = [
        (4, solicited_node(OUR_LOCAL)),
        (4, solicited_node(frames_v6::OUR_IP6)),
    ];
    let frame = frames_v6::udp((PEER_IP6, GROUP6), (5000, 7), &pattern(1, 100));
    t.inject(&frame);
    join(&mut t, socket, GROUP6);
    let told = groups_v6(&mut t, OUR_LOCAL);
    assert_eq!(told, [&own[..], &[(4, GROUP6)]].concat());
    t.inject(&frame);
    receive(&mut t, socket, &pattern(1, 100));
    t.advance_ms(1000);
    groups_v6(&mut t, OUR_LOCAL);
    // A router asks; one from beyond the link, or without an address, is none.
    let asked = |t: &mut Dialogue, src: &str, hops: u8| {
        let to = "ff02::1".parse().unwrap();
        let between = (src.parse().unwrap(), to);
        let message = frames_v6::icmp_message(between, 130, 0, [3, 0xe8, 0, 0], &[0; 20]);
        t.inject(&frames_v6::packet_with(between, 58, &message, |ip| {
            ip.hop_limit = hops
        }));
        t.advance_ms(1100);
    };
    asked(&mut t, "fe80::1", 2);
    asked(&mut t, "2001:db8::1", 1);
    t.expect_nothing();
    asked(&mut t, "fe80::1", 1);
    assert_eq!(groups_v6(&mut t, OUR_LOCAL).last(), Some(&(2, GROUP6)));
    t.stack.udp_leave(t.now, socket, GROUP6.into()).unwrap();
    t.turn();
    assert_eq!(groups_v6(&mut t, OUR_LOCAL).last(), Some(&(3, GROUP6)));
    t.inject(&frame);
    t.no_event();
    assert_eq!(t.stack.counters().rx_ipv6_not_ours, 2);
    t.advance_ms(1000);
    groups_v6(&mut t, OUR_LOCAL);
    t.end();
}
