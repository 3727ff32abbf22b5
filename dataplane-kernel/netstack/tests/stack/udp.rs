//! UDP: RFC 768, RFC 1122 section 4.1.

use crate::harness::dialogue::{Dialogue, pattern, peer};
use crate::harness::driver::Device;
use crate::harness::frames::{arp_reply, decode_arp, udp, udp_with};
use crate::harness::{OUR_IP, PEER_IP, PEER_MAC};
use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use netstack::{BufId, Error, Event, Id};

const SOCKET: u64 = 5;

fn bind(t: &mut Dialogue, port: u16) -> Id {
    t.stack.udp_bind(None, port, SOCKET).unwrap()
}

fn send(t: &mut Dialogue, socket: Id, port: u16, pieces: &[&[u8]], cookie: u64) -> Result<(), Error> {
    let spans: Vec<_> = pieces.iter().map(|piece| t.driver.place(piece)).collect();
    let result = t
        .stack
        .udp_send(&mut t.driver, t.now, socket, peer(port), &spans, cookie);
    t.turn();
    result
}

#[track_caller]
fn expect_datagram(t: &mut Dialogue, ports: (u16, u16), payload: &[u8]) {
    let frame = t.next_frame().expect("a datagram");
    let headers = PacketHeaders::from_ethernet_slice(&frame).unwrap();
    let Some(NetHeaders::Ipv4(ip, _)) = headers.net else {
        panic!("not IPv4: {frame:02x?}")
    };
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    assert_eq!((ip.source, ip.destination), (OUR_IP.octets(), PEER_IP.octets()));
    let Some(TransportHeader::Udp(header)) = headers.transport else {
        panic!("not UDP")
    };
    assert_eq!((header.source_port, header.destination_port), ports);
    assert_eq!(headers.payload.slice(), payload);
    assert_eq!(header.checksum, header.calc_checksum_ipv4(&ip, payload).unwrap());
    assert_eq!(frame[..6], PEER_MAC.0);
}

#[track_caller]
fn expect_received(t: &mut Dialogue, socket: Id, port: u16, payload: &[u8]) -> BufId {
    match t.event() {
        Some(Event::UdpRecv {
            socket: of,
            cookie: SOCKET,
            peer: from,
            buf,
            offset,
            len,
        }) => {
            assert_eq!((of, from), (socket, peer(port)));
            assert_eq!(t.driver.view(&buf, offset, len), payload);
            buf
        }
        event => panic!("wanted a datagram, got {event:?}"),
    }
}

#[track_caller]
fn expect_outcome(t: &mut Dialogue, socket: Id, cookie: u64, result: Result<(), Error>) {
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
fn echo_of_every_size() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    for len in (0..=1472).step_by(23) {
        let payload = pattern(0, len);
        t.inject(&udp(5000, 7, &payload));
        let buf = expect_received(&mut t, socket, 5000, &payload);
        t.give_back(buf);
        send(&mut t, socket, 5000, &[&payload], len as u64).unwrap();
        expect_datagram(&mut t, (7, 5000), &payload);
        expect_outcome(&mut t, socket, len as u64, Ok(()));
    }
    t.end();
}

#[test]
fn a_datagram_without_checksum_is_taken() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    let mut frame = udp(5000, 7, b"unchecked");
    frame[40..42].fill(0);
    t.inject(&frame);
    let buf = expect_received(&mut t, socket, 5000, b"unchecked");
    t.give_back(buf);
    t.end();
}

#[test]
fn a_broadcast_reaches_the_socket() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 67);
    t.inject(&udp_with(68, 67, b"hello?", |ip| ip.destination = [255; 4]));
    let buf = expect_received(&mut t, socket, 68, b"hello?");
    t.give_back(buf);
    t.end();
}

#[test]
fn pieces_are_gathered() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    send(&mut t, socket, 9, &[b"a", b"", b"bcd", b"ef"], 1).unwrap();
    expect_datagram(&mut t, (7, 9), b"abcdef");
    expect_outcome(&mut t, socket, 1, Ok(()));
    t.end();
}

#[test]
fn checksums_can_be_left_to_the_device() {
    let mut t = Dialogue::with(|config| config.tx_checksum = true);
    let socket = bind(&mut t, 7);
    send(&mut t, socket, 9, &[b"odd"], 1).unwrap();
    expect_datagram(&mut t, (7, 9), b"odd");
    expect_outcome(&mut t, socket, 1, Ok(()));
    t.end();
}

/// The memory is the app's again when the device has read it, and no sooner.
#[test]
fn sent_is_told_when_the_device_is_done() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    send(&mut t, socket, 9, &[b"first"], 1).unwrap();
    expect_datagram(&mut t, (7, 9), b"first");
    expect_outcome(&mut t, socket, 1, Ok(()));
    t.driver.device = Device::Held;
    send(&mut t, socket, 9, &[b"second"], 2).unwrap();
    t.no_event();
    t.driver.transmit(1);
    t.collect();
    expect_datagram(&mut t, (7, 9), b"second");
    expect_outcome(&mut t, socket, 2, Ok(()));
    t.end();
}

#[test]
fn a_full_ring_delays_and_loses_nothing() {
    let mut t = Dialogue::new();
    t.driver.ring_len = 4;
    let socket = bind(&mut t, 7);
    send(&mut t, socket, 9, &[b"0"], 0).unwrap();
    expect_datagram(&mut t, (7, 9), b"0");
    expect_outcome(&mut t, socket, 0, Ok(()));
    t.driver.device = Device::Held;
    for i in 1..10u8 {
        send(&mut t, socket, 9, &[&[i]], i.into()).unwrap();
    }
    for i in 1..10u8 {
        t.driver.transmit(1);
        t.turn();
        expect_datagram(&mut t, (7, 9), &[i]);
        expect_outcome(&mut t, socket, i.into(), Ok(()));
    }
    t.end();
}

#[test]
fn sends_wait_for_arp_in_order() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    let socket = bind(&mut t, 7);
    send(&mut t, socket, 9, &[b"one"], 1).unwrap();
    send(&mut t, socket, 9, &[b"two"], 2).unwrap();
    assert!(decode_arp(&t.next_frame().expect("a request")).is_some());
    t.expect_nothing();
    t.no_event();
    t.inject(&arp_reply());
    expect_datagram(&mut t, (7, 9), b"one");
    expect_datagram(&mut t, (7, 9), b"two");
    expect_outcome(&mut t, socket, 1, Ok(()));
    expect_outcome(&mut t, socket, 2, Ok(()));
    t.end();
}

#[test]
fn sends_fail_when_nobody_answers() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    let socket = bind(&mut t, 7);
    send(&mut t, socket, 9, &[b"one"], 1).unwrap();
    t.advance_ms(2_900);
    t.no_event();
    t.advance_ms(200);
    let requests = std::iter::from_fn(|| t.next_frame())
        .filter(|frame| decode_arp(frame).is_some())
        .count();
    assert_eq!(requests, 3);
    expect_outcome(&mut t, socket, 1, Err(Error::Unreachable));
    t.end();
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    assert_eq!(
        send(&mut t, socket, 9, &[&[0; 65_508]], 1),
        Err(Error::MessageTooLong)
    );
    assert_eq!(send(&mut t, socket, 0, &[b"x"], 1), Err(Error::Invalid));
    let far = "192.0.2.1:9".parse().unwrap();
    assert_eq!(
        t.stack.udp_send(&mut t.driver, t.now, socket, far, &[], 1),
        Err(Error::Unreachable)
    );
    let six = "[::1]:9".parse().unwrap();
    assert_eq!(
        t.stack.udp_send(&mut t.driver, t.now, socket, six, &[], 1),
        Err(Error::NotSupported)
    );
    let forged = Id {
        index: 999_999,
        generation: 3,
    };
    assert_eq!(send(&mut t, forged, 9, &[b"x"], 1), Err(Error::BadHandle));
    t.expect_nothing();
    t.end();
}

#[test]
fn ports_are_bound_once_and_chosen_where_none_is_named() {
    let mut t = Dialogue::with(|config| config.max_udp_sockets = 3);
    let first = bind(&mut t, 7);
    assert_eq!(t.stack.udp_bind(None, 7, SOCKET), Err(Error::AddressInUse));
    let (second, third) = (bind(&mut t, 0), bind(&mut t, 0));
    assert_eq!(t.stack.udp_bind(None, 0, SOCKET), Err(Error::NoMemory));
    let ports = [second, third].map(|id| t.stack.udp_local_port(id).unwrap());
    assert!(ports[0] != ports[1] && ports.iter().all(|port| *port >= 49152));
    t.stack.udp_unbind(&mut t.driver, t.now, first).unwrap();
    assert_eq!(t.stack.udp_local_port(first), Err(Error::BadHandle));
    let again = bind(&mut t, 7);
    assert_ne!(again, first);
    t.end();
}

#[test]
fn only_our_own_address_can_be_bound() {
    let mut t = Dialogue::new();
    assert!(t.stack.udp_bind(Some(OUR_IP.into()), 7, SOCKET).is_ok());
    assert_eq!(
        t.stack.udp_bind(Some(PEER_IP.into()), 8, SOCKET),
        Err(Error::AddressNotAvailable)
    );
    t.end();
}

#[test]
fn unbinding_drops_what_was_not_fetched() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    for _ in 0..5 {
        t.inject(&udp(5000, 7, b"late"));
    }
    t.stack.udp_unbind(&mut t.driver, t.now, socket).unwrap();
    t.no_event();
    t.end();
}

/// Datagrams that nobody fetches take a bounded number of buffers; the rest is dropped and counted.
#[test]
fn a_flood_leaves_buffers_for_others() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    for _ in 0..1000 {
        t.inject(&udp(5000, 7, b"flood"));
    }
    assert!(t.driver.buffers_out() < 250);
    let dropped = t.stack.counters().rx_udp_no_room;
    assert_eq!(dropped + t.driver.buffers_out() as u64, 1000);
    let held = t.driver.buffers_out();
    let bufs: Vec<_> = (0..held)
        .map(|_| expect_received(&mut t, socket, 5000, b"flood"))
        .collect();
    t.inject(&udp(5000, 7, b"more"));
    t.no_event();
    bufs.into_iter().for_each(|buf| t.give_back(buf));
    t.inject(&udp(5000, 7, b"more"));
    let buf = expect_received(&mut t, socket, 5000, b"more");
    t.give_back(buf);
    t.end();
}

#[test]
fn a_buffer_is_returned_once() {
    let mut t = Dialogue::new();
    let socket = bind(&mut t, 7);
    t.inject(&udp(5000, 7, b"x"));
    let buf = expect_received(&mut t, socket, 5000, b"x");
    let index = buf.0;
    t.give_back(buf);
    for forged in [index, 0, 255, 256, u32::MAX] {
        assert!(t.stack.rx_done(&mut t.driver, t.now, forged).is_err());
    }
    t.end();
}
