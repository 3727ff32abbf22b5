//! TCP between IPv6 hosts: the same flows, found by other names.

use crate::harness::dialogue::{Dialogue, LISTENER, PEER_ISN, pattern};
use crate::harness::frames_v6::{OUR_IP6, PEER_IP6, packet};
use crate::harness::segment::{OUR_PORT, PEER_PORT, SYN, Segment, ack, data, fin, rst_ack, syn, syn_ack};
use netstack::{Error, Event};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[test]
fn a_peer_connects_talks_and_leaves() {
    let mut t = Dialogue::new_v6();
    t.listen();
    t.send(syn().mss(1440));
    t.expect(syn_ack().mss(1440));
    t.send(ack(1, 1));
    let flow = match t.event() {
        Some(Event::Knock {
            flow,
            cookie: LISTENER,
            peer,
        }) => {
            assert_eq!(peer, (PEER_IP6, PEER_PORT).into());
            flow
        }
        event => panic!("{event:?}"),
    };
    t.take(flow);
    t.send(data(1, 1, "hello"));
    t.read(flow, "hello");
    t.write(flow, "world");
    t.expect(data(1, 6, "world"));
    t.send(fin(6, 6));
    t.expect_sent(flow, 5);
    t.expect_eof(flow);
    t.close(flow);
    t.expect(fin(6, 7));
    t.send(ack(7, 7));
    t.expect_dead(flow, Ok(()));
    assert_eq!(
        t.stack.counters().ipv6_pairs,
        0,
        "the pair of addresses is forgotten"
    );
    t.end();
}

#[test]
fn we_connect() {
    let mut t = Dialogue::new_v6();
    let flow = t.connected();
    t.write(flow, "hello");
    t.expect(data(1, 1, "hello"));
    t.send(data(1, 6, "world"));
    t.expect_sent(flow, 5);
    t.read(flow, "world");
    t.end();
}

/// Every option, segments of every length, and payload in pieces; with and without a device that sums.
#[test]
fn segments_are_cut_to_the_larger_header() {
    for device_checksum in [false, true] {
        let mut t = Dialogue::with_v6(|config| config.tx_checksum = device_checksum);
        t.listen();
        t.send(syn().mss(9000).timestamps(7, 0).sack_permitted());
        let answer = t.expect(syn_ack());
        let (ours, _) = answer.timestamp().unwrap();
        t.send(ack(1, 1).timestamps(8, ours));
        let flow = t.knock();
        t.take(flow);
        let bytes = pattern(1, 3000);
        t.write(flow, &bytes);
        // 1500 - 40 - 20 - 12
        for start in [0, 1428, 2856] {
            let piece = &bytes[start..bytes.len().min(start + 1428)];
            t.expect(data(u32::try_from(start).unwrap() + 1, 1, piece));
        }
        t.send(ack(1, 3001).timestamps(9, ours));
        t.expect_sent(flow, 3000);
        t.end();
    }
}

#[test]
fn a_closed_port_resets() {
    let mut t = Dialogue::new_v6();
    t.send(syn());
    t.expect(rst_ack(0, 1));
    t.end();
}

/// RFC 9293 section 3.9.2.3.
#[test]
fn a_syn_to_a_group_opens_nothing() {
    let mut t = Dialogue::new_v6();
    t.listen();
    let frame = t.encode(&syn());
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    t.inject(&packet((PEER_IP6, group), 6, &frame[54..]));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_ipv6_unknown_protocol, 1);
    t.end();
}

#[test]
fn a_listener_serves_both_families_unless_it_is_bound_to_one() {
    let mut t = Dialogue::new_v6();
    t.stack.tcp_listen(None, OUR_PORT, 8, LISTENER).unwrap();
    let v4 = Some(IpAddr::from(Ipv4Addr::UNSPECIFIED));
    t.stack.tcp_listen(v4, 81, 8, LISTENER).unwrap();
    t.stack.tcp_listen(Some(OUR_IP6.into()), 82, 8, LISTENER).unwrap();
    let to = |our_port| Segment { our_port, ..syn() };
    let both_answer = |t: &mut Dialogue, port: u16| {
        t.send(to(port));
        let v6 = t.next_segment().unwrap().flags & SYN != 0;
        t.inject(&to(port).port(PEER_PORT + 1).encode(5, 0));
        let v4 = t.next_segment().unwrap().flags & SYN != 0;
        (v4, v6)
    };
    assert_eq!(both_answer(&mut t, OUR_PORT), (true, true));
    assert_eq!(both_answer(&mut t, 81), (true, false));
    assert_eq!(both_answer(&mut t, 82), (false, true));
    t.stack.abort_all(&mut t.driver, t.now);
    t.collect();
    while t.next_segment().is_some() {}
    t.end();
}

/// As many pairs of addresses as there may be, and not one more; the next finds room when one has gone.
#[test]
fn pairs_are_bounded() {
    let mut t = Dialogue::with_v6(|config| config.max_ipv6_pairs = 1);
    t.listen();
    t.send(syn());
    t.expect(syn_ack());
    let from = |t: &mut Dialogue, last: u16| {
        let stranger = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 7, last);
        let frame = segment_from(stranger, &syn());
        t.inject(&frame);
    };
    from(&mut t, 1);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_backlog_full, 1);
    // The same addresses need no second place.
    t.send(syn().port(PEER_PORT + 1));
    assert!(t.next_segment().is_some_and(|answer| answer.flags & SYN != 0));
    assert_eq!(t.stack.counters().ipv6_pairs, 1);
    t.stack.abort_all(&mut t.driver, t.now);
    t.collect();
    while t.next_segment().is_some() {}
    assert_eq!(t.stack.counters().ipv6_pairs, 0);
    t.end();
}

fn segment_from(src: Ipv6Addr, segment: &Segment) -> Vec<u8> {
    let frame = segment.encode_v6(1, 0);
    let (mut tcp, _) = etherparse::TcpHeader::from_slice(&frame[54..]).unwrap();
    tcp.checksum = tcp
        .calc_checksum_ipv6_raw(src.octets(), OUR_IP6.octets(), &[])
        .unwrap();
    packet((src, OUR_IP6), 6, &tcp.to_bytes())
}

#[test]
fn an_address_that_nobody_has_cannot_be_connected_to() {
    let mut t = Dialogue::new_v6();
    t.answers_arp = false;
    let flow = t.connect();
    for _ in 0..3 {
        assert!(crate::harness::frames_v6::asks_for_peer(
            &t.next_frame().expect("a question")
        ));
        t.advance_ms(1100);
    }
    t.expect_connected(flow, Err(Error::Unreachable));
    assert_eq!(t.stack.counters().ipv6_pairs, 0);
    t.end();
}

/// An IPv4 packet from 240/4, where the numbers of pairs stand, finds no flow of IPv6's.
#[test]
fn no_ipv4_address_is_mistaken_for_a_pair() {
    let mut t = Dialogue::new_v6();
    let flow = t.accepted();
    let segment = data(1, 1, "forged");
    let (seq, ack_of) = (PEER_ISN.wrapping_add(1), t.our_isn().wrapping_add(1));
    t.inject(&segment.encode_from([240, 0, 0, 0], seq, ack_of));
    t.no_event();
    t.send(data(1, 1, "true"));
    t.read(flow, "true");
    assert_eq!(t.stack.counters().rx_ipv4_bad_source, 1);
    t.advance_ms(20);
    t.expect(ack(1, 5));
    t.end();
}
