//! UDP over IPv6: RFC 8200 section 8.1.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::frames_v6::{OUR_IP6, OUR_LOCAL, PEER_IP6, udp};
use crate::harness::{OUR_IP, PEER_MAC, frames};
use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use netstack::{Error, Event, Id};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const BETWEEN: (Ipv6Addr, Ipv6Addr) = (PEER_IP6, OUR_IP6);

#[track_caller]
fn receive(t: &mut Dialogue, socket: Id, payload: &[u8]) -> IpAddr {
    match t.event() {
        Some(Event::UdpRecv {
            socket: of,
            peer,
            buf,
            offset,
            len,
            ..
        }) => {
            assert_eq!((of, t.driver.view(&buf, offset, len)), (socket, payload));
            t.give_back(buf);
            peer.ip()
        }
        event => panic!("wanted a datagram, got {event:?}"),
    }
}

fn send(t: &mut Dialogue, socket: Id, to: Ipv6Addr, payload: &[u8]) -> Result<(), Error> {
    let span = t.driver.place(payload);
    let sent = t
        .stack
        .udp_send(&mut t.driver, t.now, socket, (to, 5000).into(), &[span], 1);
    t.turn();
    sent
}

#[track_caller]
fn expect_sent(t: &mut Dialogue, socket: Id, result: Result<(), Error>) {
    let cookie = 1;
    assert_eq!(
        t.event(),
        Some(Event::UdpSent {
            socket,
            cookie,
            result
        })
    );
}

#[test]
fn datagrams_of_every_size_both_ways() {
    let mut t = Dialogue::new_v6();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    for len in (0..=1452).step_by(44) {
        let payload = pattern(0, len);
        t.inject(&udp(BETWEEN, (5000, 7), &payload));
        assert_eq!(receive(&mut t, socket, &payload), IpAddr::V6(PEER_IP6));
        send(&mut t, socket, PEER_IP6, &payload).unwrap();
        let frame = t.next_frame().expect("a datagram");
        let headers = PacketHeaders::from_ethernet_slice(&frame).unwrap();
        let (Some(NetHeaders::Ipv6(ip, _)), Some(TransportHeader::Udp(header))) =
            (headers.net, headers.transport)
        else {
            panic!("{frame:02x?}")
        };
        assert_eq!((ip.source, ip.destination), (OUR_IP6.octets(), PEER_IP6.octets()));
        assert_eq!((header.source_port, header.destination_port), (7, 5000));
        assert_eq!(header.checksum, header.calc_checksum_ipv6(&ip, &payload).unwrap());
        assert_eq!(
            (headers.payload.slice(), &frame[..6]),
            (&payload[..], &PEER_MAC.0[..])
        );
        expect_sent(&mut t, socket, Ok(()));
    }
    t.end();
}

/// A checksum of 0 says "none" in IPv4 only.
#[test]
fn a_datagram_without_a_checksum_is_dropped() {
    let mut t = Dialogue::new_v6();
    t.stack.udp_bind(None, 7, 5).unwrap();
    let mut frame = udp(BETWEEN, (5000, 7), b"data");
    frame[60..62].fill(0);
    t.inject(&frame);
    t.no_event();
    assert_eq!(t.stack.counters().rx_udp_checksum, 1);
    t.end();
}

#[test]
fn one_socket_serves_both_families_unless_it_is_bound_to_one() {
    let mut t = Dialogue::new_v6();
    let both = t.stack.udp_bind(None, 7, 5).unwrap();
    let old = t
        .stack
        .udp_bind(Some(Ipv4Addr::UNSPECIFIED.into()), 8, 5)
        .unwrap();
    let new = t.stack.udp_bind(Some(OUR_IP6.into()), 9, 5).unwrap();
    t.inject(&udp(BETWEEN, (5000, 7), b"six"));
    receive(&mut t, both, b"six");
    t.inject(&frames::udp(5000, 7, b"four"));
    receive(&mut t, both, b"four");
    t.inject(&frames::udp(5000, 8, b"four"));
    receive(&mut t, old, b"four");
    t.inject(&udp(BETWEEN, (5000, 9), b"six"));
    receive(&mut t, new, b"six");
    t.inject(&udp((PEER_IP6, OUR_LOCAL), (5000, 9), b"elsewhere"));
    t.inject(&udp(BETWEEN, (5000, 8), b"six"));
    t.inject(&frames::udp(5000, 9, b"four"));
    assert_eq!(t.stack.counters().rx_udp_no_port, 3);
    assert_eq!(std::iter::from_fn(|| t.next_frame()).count(), 3);
    t.end();
}

#[test]
fn addresses_that_are_not_ours_cannot_be_bound() {
    let mut t = Dialogue::new_v6();
    let bind = |t: &mut Dialogue, ip: IpAddr| t.stack.udp_bind(Some(ip), 0, 5).map(drop);
    assert_eq!(bind(&mut t, PEER_IP6.into()), Err(Error::AddressNotAvailable));
    for ours in [
        OUR_IP.into(),
        OUR_IP6.into(),
        OUR_LOCAL.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ] {
        assert_eq!(bind(&mut t, ours), Ok(()));
    }
    t.end();
    let mut old = Dialogue::new();
    assert_eq!(
        bind(&mut old, Ipv6Addr::UNSPECIFIED.into()),
        Err(Error::NotSupported)
    );
    old.end();
}

#[test]
fn there_is_no_way_beyond_the_link_without_a_router() {
    let mut t = Dialogue::new_v6();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    for to in ["2001:db8::1", "::", "::1", "fd00:0:0:1::1"] {
        let sent = send(&mut t, socket, to.parse().unwrap(), b"x");
        assert_eq!(sent, Err(Error::Unreachable), "{to}");
    }
    t.end();
}

#[test]
fn a_group_needs_nobodys_answer() {
    let mut t = Dialogue::new_v6();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
    send(&mut t, socket, group, b"all").unwrap();
    let frame = t.next_frame().expect("a datagram");
    assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 0xfb]);
    assert_eq!(frame[22..38], OUR_LOCAL.octets());
    expect_sent(&mut t, socket, Ok(()));
    t.end();
}
