//! Fragments: RFC 791 section 3.2, RFC 815, RFC 1122 section 3.3.2, RFC 5722, RFC 6946, RFC 8200 section 4.5.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::driver::{Device, LARGE};
use crate::harness::frames;
use crate::harness::frames_v6::{self, OUR_IP6, PEER_IP6};
use crate::harness::random::Random;
use crate::harness::{OUR_IP, PEER_IP};
use etherparse::IpNumber;
use netstack::{Error, Event, Id};

/// Cuts the packet of an IPv4 frame into fragments of `size` bytes of data, with this identification.
fn cut(frame: &[u8], size: usize, identification: u16) -> Vec<Vec<u8>> {
    assert_eq!(size % 8, 0);
    let protocol = IpNumber(frame[23]);
    let data = &frame[34..];
    data.chunks(size)
        .enumerate()
        .map(|(number, chunk)| {
            let at = number * size;
            frames::ipv4(protocol, chunk, |ip| {
                ip.source = [frame[26], frame[27], frame[28], frame[29]];
                ip.identification = identification;
                ip.dont_fragment = false;
                ip.more_fragments = at + chunk.len() < data.len();
                ip.fragment_offset = u16::try_from(at / 8).unwrap().try_into().unwrap();
            })
        })
        .collect()
}

/// The same of an IPv6 frame.
fn cut_v6(frame: &[u8], size: usize, identification: u32) -> Vec<Vec<u8>> {
    let data = &frame[54..];
    data.chunks(size)
        .enumerate()
        .map(|(number, chunk)| {
            let at = number * size;
            let more = at + chunk.len() < data.len();
            fragment_v6(frame[20], at, more, identification, chunk)
        })
        .collect()
}

fn fragment_v6(next: u8, at: usize, more: bool, identification: u32, data: &[u8]) -> Vec<u8> {
    let place = u16::try_from(at).unwrap() | u16::from(more);
    let header = [
        &[next, 0][..],
        &place.to_be_bytes(),
        &identification.to_be_bytes(),
        data,
    ]
    .concat();
    frames_v6::packet((PEER_IP6, OUR_IP6), 44, &header)
}

/// A datagram of the peer's to port 7 with this payload, in fragments.
fn datagram(v6: bool, payload: &[u8], size: usize, identification: u16) -> Vec<Vec<u8>> {
    if v6 {
        let frame = frames_v6::udp((PEER_IP6, OUR_IP6), (5000, 7), payload);
        cut_v6(&frame, size, identification.into())
    } else {
        cut(&frames::udp(5000, 7, payload), size, identification)
    }
}

fn both(each: impl Fn(bool, &mut Dialogue, Id)) {
    for v6 in [false, true] {
        let mut t = if v6 { Dialogue::new_v6() } else { Dialogue::new() };
        let socket = t.stack.udp_bind(None, 7, 5).unwrap();
        each(v6, &mut t, socket);
        // Whatever is missing still, its time ends.
        t.advance_ms(61_000);
        while t.next_frame().is_some() {}
        while let Some(event) = t.event() {
            assert!(matches!(event, Event::UdpSent { .. }), "{event:?}");
        }
        assert_eq!(t.stack.counters().reassemblies, 0);
        t.end();
    }
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
            assert_eq!(of, socket);
            assert!(t.driver.view(&buf, offset, len) == payload, "{len} bytes differ");
            t.give_back(buf);
        }
        event => panic!("wanted a datagram, got {event:?}"),
    }
}

#[test]
fn datagrams_of_many_sizes_come_whole() {
    both(|v6, t, socket| {
        let largest = if v6 { 65_487 } else { 65_507 };
        for (number, len) in [1500, 2000, 3000, 9000, 40_000, largest].into_iter().enumerate() {
            let payload = pattern(number, len);
            for fragment in datagram(v6, &payload, 1448, u16::try_from(number).unwrap()) {
                t.inject(&fragment);
            }
            receive(t, socket, &payload);
        }
        assert_eq!(t.stack.counters().reassembled, 6);
    });
}

#[test]
fn in_any_order_and_more_than_once() {
    both(|v6, t, socket| {
        let mut random = Random::new(7);
        for number in 0..50 {
            let payload = pattern(number, 4000);
            let mut fragments = datagram(v6, &payload, 400, u16::try_from(number).unwrap());
            let again = fragments[random.index(fragments.len())].clone();
            for at in (1..fragments.len()).rev() {
                fragments.swap(at, random.index(at + 1));
            }
            let last = fragments.pop().unwrap();
            for fragment in fragments
                .iter()
                .chain([&again])
                .filter(|fragment| **fragment != last)
            {
                t.inject(fragment);
            }
            t.no_event();
            t.inject(&last);
            receive(t, socket, &payload);
        }
    });
}

/// Packets at the same time are told apart by all that names them.
#[test]
fn packets_under_way_at_once_are_not_mixed() {
    both(|v6, t, socket| {
        let payloads = [pattern(1, 2000), pattern(2, 2000), pattern(3, 2000)];
        let parts: Vec<_> = (0..3)
            .map(|i| datagram(v6, &payloads[usize::from(i)], 1448, i))
            .collect();
        for part in &parts {
            t.inject(&part[1]);
        }
        for (part, payload) in parts.iter().zip(&payloads) {
            t.inject(&part[0]);
            receive(t, socket, payload);
        }
    });
}

/// RFC 5722: all of the packet is dropped, also what comes later.
#[test]
fn an_overlap_drops_the_packet() {
    both(|v6, t, _| {
        let whole = pattern(1, 3000);
        let first = datagram(v6, &whole, 1448, 1);
        let other = datagram(v6, &pattern(9, 3000), 720, 1);
        t.inject(&first[0]);
        t.inject(&other[1]);
        t.inject(&first[1]);
        t.inject(&first[2]);
        t.no_event();
        let counters = t.stack.counters();
        assert_eq!((counters.rx_fragment, counters.rx_fragment_overlap), (1, 3));
        // The memory is free at once.
        assert_eq!(t.driver.buffers_out(), 0);
    });
}

#[test]
fn a_part_with_other_bytes_is_an_overlap() {
    both(|v6, t, _| {
        let fragments = datagram(v6, &pattern(1, 3000), 1448, 1);
        let mut forged = fragments[0].clone();
        *forged.last_mut().unwrap() ^= 1;
        t.inject(&fragments[0]);
        t.inject(&forged);
        assert_eq!(t.stack.counters().rx_fragment_overlap, 1);
    });
}

/// Beyond the longest packet ("ping of death"), of no length, not a multiple of eight, two ends.
#[test]
fn fragments_that_cannot_be() {
    let mut t = Dialogue::new();
    let fragment = |at: u16, more: bool, data: &[u8]| {
        frames::ipv4(IpNumber::UDP, data, |ip| {
            ip.more_fragments = more;
            ip.dont_fragment = false;
            ip.fragment_offset = at.try_into().unwrap();
        })
    };
    t.inject(&fragment(8189, false, &[0; 1000]));
    t.inject(&fragment(4, true, &[]));
    t.inject(&fragment(4, true, &[0; 12]));
    assert_eq!(t.stack.counters().rx_fragment_impossible, 3);
    t.inject(&fragment(4, false, &[0; 8]));
    t.inject(&fragment(8, false, &[0; 8]));
    t.inject(&fragment(8, true, &[0; 8]));
    let counters = t.stack.counters();
    assert_eq!((counters.rx_fragment, counters.rx_fragment_impossible), (1, 5));
    t.advance_ms(61_000);
    t.end();
}

/// RFC 8200 section 4.5: the payload length is the field that is wrong.
#[test]
fn an_odd_fragment_of_ipv6_is_told() {
    let mut t = Dialogue::new_v6();
    t.inject(&fragment_v6(17, 0, true, 1, &[0; 12]));
    let answer = frames_v6::decode(&t.next_frame().expect("an error")).unwrap();
    assert_eq!((answer.kind, answer.code, answer.rest), (4, 0, [0, 0, 0, 4]));
    assert_eq!(t.stack.counters().rx_ipv6_refused, 1);
    t.end();
}

/// RFC 6946: a fragment that is all of its packet has nothing to do with others of the same name.
#[test]
fn an_atomic_fragment_is_taken_by_itself() {
    let mut t = Dialogue::new_v6();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let split = datagram(true, &pattern(1, 3000), 1448, 1);
    t.inject(&split[0]);
    let alone = frames_v6::udp((PEER_IP6, OUR_IP6), (5000, 7), b"alone");
    t.inject(&fragment_v6(17, 0, false, 1, &alone[54..]));
    receive(&mut t, socket, b"alone");
    t.inject(&split[1]);
    t.inject(&split[2]);
    receive(&mut t, socket, &pattern(1, 3000));
    // One in the other is nobody's need.
    t.inject(&fragment_v6(
        44,
        0,
        false,
        1,
        &[17, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0],
    ));
    assert_eq!(t.stack.counters().rx_ipv6_malformed, 1);
    t.end();
}

/// RFC 1122 section 3.3.2, RFC 8200 section 4.5: after 60 s the sender is told, if the first fragment has come.
#[test]
fn what_stays_incomplete_is_given_up_and_told() {
    for v6 in [false, true] {
        let mut t = if v6 { Dialogue::new_v6() } else { Dialogue::new() };
        let fragments = datagram(v6, &pattern(1, 3000), 1448, 1);
        t.inject(&fragments[0]);
        t.inject(&fragments[2]);
        t.advance_ms(59_000);
        t.expect_nothing();
        t.advance_ms(2000);
        let frame = t.next_frame().expect("an error");
        if v6 {
            let error = frames_v6::decode(&frame).unwrap();
            assert_eq!((error.kind, error.code), (3, 1));
            // The header as it would have stood in front of the whole.
            assert_eq!(error.body[40..48], fragments[0][62..70]);
        } else {
            assert_eq!((frame[34], frame[35]), (11, 1));
            assert_eq!(frame[30..34], PEER_IP.octets());
            // Header and the first bytes of UDP's.
            assert_eq!(frame[42 + 20..42 + 28], fragments[0][34..42]);
        }
        t.inject(&datagram(v6, &pattern(2, 3000), 1448, 2)[1]);
        t.advance_ms(61_000);
        t.expect_nothing();
        assert_eq!(t.stack.counters().reassembly_timeouts, 2);
        t.end();
    }
}

/// A flood of first fragments: memory stays bounded, and another source gets its packets through.
#[test]
fn a_fragment_bomb_hurts_nobody() {
    let mut t = Dialogue::new();
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let honest = datagram(false, &pattern(1, 3000), 1448, 9);
    t.inject(&honest[0]);
    for identification in 0..5000 {
        let mut frame = frames::udp(5000, 7, &[0; 2000]);
        frame[29] = 66;
        let bomb = cut(&frame, 1448, identification);
        t.inject(&bomb[usize::from(identification % 2)]);
    }
    assert!(t.driver.buffers_out() <= LARGE as usize);
    assert!(t.stack.counters().reassemblies <= 5);
    t.inject(&honest[1]);
    t.inject(&honest[2]);
    receive(&mut t, socket, &pattern(1, 3000));
    t.advance_ms(61_000);
    while t.next_frame().is_some() {}
    t.end();
}

/// From ever new addresses: the oldest makes way, and nothing is left over.
#[test]
fn a_fragment_bomb_from_everywhere_is_bounded() {
    let mut t = Dialogue::new();
    for host in 3..250u8 {
        for identification in 0..4 {
            let mut frame = frames::udp(5000, 7, &[0; 2000]);
            frame[29] = host;
            t.inject(&cut(&frame, 1448, identification)[0]);
        }
    }
    assert!(t.driver.buffers_out() <= LARGE as usize);
    assert!(t.stack.counters().reassembly_evicted > 900);
    // What comes now still finds room.
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    for fragment in datagram(false, &pattern(1, 3000), 1448, 9) {
        t.inject(&fragment);
    }
    receive(&mut t, socket, &pattern(1, 3000));
    t.advance_ms(61_000);
    while t.next_frame().is_some() {}
    t.end();
}

/// An app that keeps what it got takes the memory of its own packets, and of no others.
#[test]
fn an_app_that_holds_on_to_datagrams_gets_no_more_long_ones() {
    let mut t = Dialogue::new();
    t.stack.udp_bind(None, 7, 5).unwrap();
    let mut held = Vec::new();
    for number in 0..20 {
        for fragment in datagram(false, &pattern(1, 3000), 1448, number) {
            t.inject(&fragment);
        }
        if let Some(Event::UdpRecv { buf, .. }) = t.event() {
            held.push(buf);
        }
    }
    assert_eq!(held.len(), LARGE as usize);
    assert!(t.stack.counters().rx_fragment_no_room > 0);
    t.inject(&frames::udp(5000, 7, b"short"));
    let Some(Event::UdpRecv { buf, .. }) = t.event() else {
        panic!("short ones still come")
    };
    held.push(buf);
    for buf in held {
        t.give_back(buf);
    }
    t.advance_ms(61_000);
    t.end();
}

/// Puts the fragments that we have sent together: protocol and data.
fn join(t: &mut Dialogue, v6: bool) -> (u8, Vec<u8>) {
    let (mut data, mut names) = (Vec::new(), Vec::new());
    loop {
        let frame = t.next_frame().expect("a fragment");
        assert!(frame.len() <= 1514);
        let (protocol, name, place, more, payload);
        if v6 {
            assert_eq!(frame[20], 44);
            protocol = frame[54];
            place = usize::from(u16::from_be_bytes([frame[56], frame[57]]) & !7);
            (more, name) = (frame[57] & 1 != 0, frame[58..62].to_vec());
            payload = &frame[62..];
        } else {
            let header = etherparse::Ipv4Header::from_slice(&frame[14..]).unwrap().0;
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            protocol = header.protocol.0;
            place = usize::from(header.fragment_offset.value()) * 8;
            (more, name) = (
                header.more_fragments,
                header.identification.to_be_bytes().to_vec(),
            );
            payload = &frame[34..];
        }
        assert!(!more || payload.len() % 8 == 0);
        assert_eq!(place, data.len());
        data.extend_from_slice(payload);
        names.push(name);
        if !more {
            names.dedup();
            assert_eq!(names.len(), 1);
            return (protocol, data);
        }
    }
}

fn send(t: &mut Dialogue, socket: Id, pieces: &[&[u8]]) -> Result<(), Error> {
    let spans: Vec<_> = pieces.iter().map(|piece| t.driver.place(piece)).collect();
    let to = t.peer(5000);
    let sent = t.stack.udp_send(&mut t.driver, t.now, socket, to, &spans, 1);
    t.turn();
    sent
}

/// What leaves in fragments is the datagram, its checksum over all.
#[test]
fn long_datagrams_leave_in_fragments() {
    both(|v6, t, socket| {
        let largest = if v6 { 65_487 } else { 65_507 };
        for len in [1473, 2000, 2953, 9000, largest] {
            let payload = pattern(len, len);
            send(
                t,
                socket,
                &[&payload[..100], &payload[100..1001], &payload[1001..]],
            )
            .unwrap();
            let (protocol, data) = join(t, v6);
            assert_eq!((protocol, data.len()), (17, len + 8));
            assert!(data[8..] == payload);
            let whole = if v6 {
                frames_v6::udp_datagram((OUR_IP6, PEER_IP6), (7, 5000), &payload)
            } else {
                let header = etherparse::Ipv4Header {
                    source: OUR_IP.octets(),
                    destination: PEER_IP.octets(),
                    ..Default::default()
                };
                let udp = etherparse::UdpHeader::with_ipv4_checksum(7, 5000, &header, &payload).unwrap();
                [&udp.to_bytes()[..], &payload].concat()
            };
            assert_eq!(data[..8], whole[..8]);
            assert!(matches!(t.event(), Some(Event::UdpSent { result: Ok(()), .. })));
        }
        let too_long = vec![0; largest + 1];
        assert_eq!(send(t, socket, &[&too_long]), Err(Error::MessageTooLong));
    });
}

/// A ring that is full in the middle: the rest follows, and the app's memory is its own only after the last one.
#[test]
fn a_full_ring_holds_the_rest_back() {
    both(|v6, t, socket| {
        t.driver.device = Device::Held;
        t.driver.ring_len = 3;
        let payload = pattern(1, 9000);
        send(t, socket, &[&payload]).unwrap();
        t.driver.transmit(99);
        // In IPv4 the peer is asked for first.
        t.turn();
        t.inject(&frames::arp_reply());
        for _ in 0..5 {
            t.driver.transmit(99);
            t.turn();
        }
        t.driver.device = Device::Prompt;
        t.driver.transmit(99);
        t.driver.ring_len = 64;
        t.turn();
        let (_, data) = join(t, v6);
        assert!(data[8..] == payload);
        assert!(matches!(t.event(), Some(Event::UdpSent { result: Ok(()), .. })));
        t.expect_nothing();
    });
}

/// RFC 1122 section 3.2.2.6, RFC 4443 section 4.2: all of it comes back.
#[test]
fn a_long_echo_is_answered_in_fragments() {
    both(|v6, t, _| {
        for (number, len) in [1500u16, 3000, 60_000].into_iter().enumerate() {
            let body = pattern(number, len.into());
            let number = u16::try_from(number).unwrap();
            let fragments = if v6 {
                let frame = frames_v6::echo_request((PEER_IP6, OUR_IP6), &body);
                cut_v6(&frame, 1448, number.into())
            } else {
                cut(&frames::echo_request(7, 1, &body), 1448, number)
            };
            for fragment in fragments {
                t.inject(&fragment);
            }
            let (protocol, message) = join(t, v6);
            assert_eq!(protocol, if v6 { 58 } else { 1 });
            assert_eq!(message[0], if v6 { 129 } else { 0 });
            assert!(message[8..] == body);
            if v6 {
                let whole = frames_v6::icmp_message((OUR_IP6, PEER_IP6), 129, 0, [0, 7, 0, 1], &body);
                assert_eq!(message[..8], whole[..8]);
            } else {
                assert_eq!(netstack::checksum::checksum(&message), 0);
            }
        }
    });
}

/// A segment of TCP's that somebody cut is a segment.
#[test]
fn tcp_in_fragments() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let segment = crate::harness::segment::data(1, 1, pattern(1, 1000));
    let frame = t.encode(&segment);
    for fragment in cut(&frame, 256, 1) {
        t.inject(&fragment);
    }
    t.read(flow, pattern(1, 1000));
    t.advance_ms(20);
    t.expect(crate::harness::segment::ack(1, 1001));
    t.end();
}
