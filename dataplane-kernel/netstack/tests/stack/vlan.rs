//! Frames with IEEE 802.1Q tags. What a [`Dialogue`] on a VLAN injects has its tag, and all that leaves must have it.

use crate::harness::dialogue::{Dialogue, pattern, tagged};
use crate::harness::frames::{arp_request, decode_arp, echo_request, udp};
use crate::harness::frames_v6::{self, OUR_IP6, PEER_IP6, solicitation};
use crate::harness::parts;
use crate::harness::segment::{ack, data};
use etherparse::{PacketHeaders, TransportHeader};
use netstack::wire::vlan::VlanId;
use netstack::{Config, Counters, Event, Ipv4Config, RxChecksum};

fn id(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

fn on_vlan_7(config: &mut Config) {
    config.vlan = Some(id(7));
}

/// A frame with this in place of its type and behind it.
fn with_tags(frame: &[u8], tags: &[u8]) -> Vec<u8> {
    [&frame[..12], tags, &frame[12..]].concat()
}

/// A frame is dropped, and only this counter moves.
#[track_caller]
fn dropped_as(t: &mut Dialogue, counter: fn(&Counters) -> u64, frame: &[u8]) {
    let before = counter(&t.stack.counters());
    t.inject_untouched(frame);
    t.expect_nothing();
    t.no_event();
    assert_eq!(counter(&t.stack.counters()), before + 1, "{frame:02x?}");
}

#[test]
fn connections_of_both_families_live_on_a_vlan_whatever_the_card_does_for_them() {
    for v6 in [false, true] {
        for (checksum, segments) in [(false, false), (true, false), (true, true)] {
            let change = |config: &mut Config| {
                on_vlan_7(config);
                (config.tx_checksum, config.tx_segments) = (checksum, segments);
            };
            let mut t = if v6 {
                Dialogue::with_v6(change)
            } else {
                Dialogue::with(change)
            };
            let flow = t.accepted();
            t.send(data(1, 1, "ping"));
            t.read(flow, "ping");
            let mss = if v6 { 1440 } else { 1460 };
            let bytes = pattern(0, 3 * mss);
            t.write(flow, &bytes);
            let mut seq = 1;
            for piece in bytes.chunks(mss) {
                t.expect(data(seq, 5, piece));
                seq += u32::try_from(piece.len()).unwrap();
            }
            t.send(ack(5, seq));
            t.expect_sent(flow, seq - 1);
            t.end();
        }
    }
}

#[test]
fn a_connection_is_opened_from_a_vlan_by_asking_its_stations() {
    for mut t in [Dialogue::with(on_vlan_7), Dialogue::with_v6(on_vlan_7)] {
        t.connected();
        t.end();
    }
}

#[test]
fn datagrams_whole_and_in_fragments_live_on_a_vlan() {
    let mut t = Dialogue::with(on_vlan_7);
    let socket = t.stack.udp_bind(None, 53, 5).unwrap();
    t.inject(&udp(1000, 53, b"question"));
    let Some(Event::UdpRecv {
        peer,
        buf,
        offset,
        len,
        ..
    }) = t.event()
    else {
        panic!("no datagram")
    };
    assert_eq!(t.driver.view(&buf, offset, len), b"question");
    t.give_back(buf);
    for (size, frames) in [(6, 1), (4000, 3)] {
        let span = t.driver.place(&pattern(0, size));
        t.stack
            .udp_send(&mut t.driver, t.now, socket, peer, &[span], 1)
            .unwrap();
        t.turn();
        let sent: Vec<_> = std::iter::from_fn(|| t.next_frame()).collect();
        assert_eq!(sent.len(), frames);
        assert!(
            sent.iter()
                .all(|frame| frame[12..14] == [8, 0] && frame[23] == 17)
        );
        t.turn();
        assert!(matches!(t.event(), Some(Event::UdpSent { .. })));
    }
    t.stack.udp_unbind(&mut t.driver, t.now, socket).unwrap();
    t.end();
}

#[test]
fn who_asks_on_our_vlan_is_answered_there() {
    let mut t = Dialogue::with_v6(on_vlan_7);
    t.inject(&arp_request());
    assert!(decode_arp(&t.next_frame().unwrap()).is_some());
    t.inject(&solicitation(PEER_IP6, OUR_IP6));
    assert_eq!(frames_v6::decode(&t.next_frame().unwrap()).unwrap().kind, 136);
    t.inject(&frames_v6::echo_request((PEER_IP6, OUR_IP6), b"ping"));
    assert_eq!(frames_v6::decode(&t.next_frame().unwrap()).unwrap().kind, 129);
    t.inject(&echo_request(1, 1, &pattern(0, 1472)));
    assert_eq!(
        t.next_frame().unwrap().len(),
        1514,
        "the packets are as long as ever"
    );
    t.end();
}

#[test]
fn a_server_on_our_vlan_is_asked_for_an_address() {
    let mut t = Dialogue::with(|config| {
        on_vlan_7(config);
        config.ipv4 = Some(Ipv4Config::Dhcp);
    });
    t.advance_ms(11_000);
    let discover = t.next_frame().expect("a question");
    let headers = PacketHeaders::from_ethernet_slice(&discover).unwrap();
    assert!(matches!(headers.transport, Some(TransportHeader::Udp(udp)) if udp.destination_port == 67));
}

#[test]
fn priority_and_drop_mark_of_a_tag_are_not_heeded() {
    let mut t = Dialogue::with(on_vlan_7);
    t.inject_untouched(&with_tags(&echo_request(1, 1, b"x"), &[0x81, 0, 0xf0, 7]));
    assert!(t.next_frame().is_some());
    t.end();
}

#[test]
fn what_is_not_on_our_vlan_is_dropped_and_counted() {
    let mut t = Dialogue::with_v6(on_vlan_7);
    let v6 = frames_v6::echo_request((PEER_IP6, OUR_IP6), b"x");
    for frame in [echo_request(1, 1, b"x"), arp_request(), v6] {
        dropped_as(&mut t, |c| c.rx_vlan_not_ours, &frame);
        dropped_as(&mut t, |c| c.rx_vlan_not_ours, &tagged(&frame, id(8)));
        dropped_as(
            &mut t,
            |c| c.rx_vlan_not_ours,
            &with_tags(&frame, &[0x81, 0, 0xe0, 0]),
        );
        // IEEE 802.1ad: a tag that is not ours to take off.
        dropped_as(
            &mut t,
            |c| c.rx_vlan_not_ours,
            &with_tags(&frame, &[0x88, 0xa8, 0, 7]),
        );
        let twice = tagged(&tagged(&frame, id(7)), id(7));
        dropped_as(&mut t, |c| c.rx_ethernet_unknown_type, &twice);
        for len in 14..18 {
            dropped_as(&mut t, |c| c.rx_ethernet_short, &tagged(&frame, id(7))[..len]);
        }
    }
    dropped_as(
        &mut t,
        |c| c.rx_ipv4_malformed,
        &tagged(&echo_request(1, 1, b"x"), id(7))[..18],
    );
    t.end();
}

#[test]
fn without_a_vlan_a_tag_may_say_a_priority_but_no_vlan() {
    let mut t = Dialogue::new_v6();
    let v6 = frames_v6::echo_request((PEER_IP6, OUR_IP6), b"x");
    for frame in [echo_request(1, 1, b"x"), arp_request(), v6] {
        let ether_type = [frame[12], frame[13]];
        t.inject(&with_tags(&frame, &[0x81, 0, 0xe0, 0]));
        let answer = t.next_frame().expect("an answer");
        assert_eq!([answer[12], answer[13]], ether_type, "without a tag");
        dropped_as(&mut t, |c| c.rx_vlan_not_ours, &tagged(&frame, id(7)));
        let twice = with_tags(&frame, &[0x81, 0, 0, 0, 0x81, 0, 0, 0]);
        dropped_as(&mut t, |c| c.rx_ethernet_unknown_type, &twice);
        dropped_as(
            &mut t,
            |c| c.rx_ethernet_short,
            &with_tags(&frame, &[0x81, 0, 0, 0])[..17],
        );
    }
    t.end();
}

/// Hands in a frame as it is, over several buffers.
fn inject_in_parts(t: &mut Dialogue, frame: &[u8]) {
    t.count_frame();
    let lengths = parts::filled(frame.len());
    let unknown = RxChecksum::Unknown;
    assert!(parts::receive(
        &mut t.stack,
        &mut t.driver,
        t.now,
        frame,
        &lengths,
        unknown
    ));
    t.turn();
}

#[test]
fn a_merged_segment_is_taken_from_our_vlan_alone() {
    for v6 in [false, true] {
        let mut t = if v6 {
            Dialogue::with_v6(on_vlan_7)
        } else {
            Dialogue::with(on_vlan_7)
        };
        let flow = t.accepted();
        let bytes = pattern(0, 5000);
        let frame = t.encode(&data(1, 1, &bytes));
        inject_in_parts(&mut t, &frame);
        inject_in_parts(&mut t, &tagged(&frame, id(8)));
        t.expect_nothing();
        assert_eq!(t.stack.counters().rx_vlan_not_ours, 2);
        inject_in_parts(&mut t, &tagged(&frame, id(7)));
        t.expect(ack(1, 5001));
        let mut got = Vec::new();
        while got.len() < bytes.len() {
            let (piece, buf) = t.hold(flow);
            got.extend(piece);
            t.give_back(buf);
        }
        assert!(got == bytes);
        t.end();
    }
}
