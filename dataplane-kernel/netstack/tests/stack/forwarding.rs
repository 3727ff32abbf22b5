//! Packets of others: RFC 1812 sections 4.2 and 5, RFC 1624, RFC 8200, RFC 4443. Here they come and go by the same link: the peer
//! is our gateway.

use crate::harness::dialogue::{Dialogue, pattern, tagged};
use crate::harness::driver::FRAME_OFFSET;
use crate::harness::frames::{ipv4, udp_with};
use crate::harness::frames_v6::{self, PEER_IP6};
use crate::harness::{OUR_IP, OUR_MAC, PEER_IP, PEER_MAC};
use etherparse::{IpNumber, Ipv4Header, NetHeaders, PacketHeaders};
use netstack::wire::vlan::VlanId;
use netstack::{Config, Ipv4Config, Ipv6Config, NotForwarded, Passing, RxChecksum, Transit};
use std::net::{Ipv4Addr, Ipv6Addr};

const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

fn router(config: &mut Config) {
    config.ipv4 = Some(Ipv4Config::Fixed {
        address: OUR_IP,
        prefix: 24,
        gateway: Some(PEER_IP),
    });
}

fn new() -> Dialogue {
    with(router)
}

fn with(change: impl FnOnce(&mut Config)) -> Dialogue {
    let mut t = Dialogue::with(change);
    t.stack.start_forwarding();
    t
}

fn new_v6() -> Dialogue {
    let mut t = Dialogue::with_v6(|config| {
        config.ipv6 = Some(Ipv6Config {
            gateway: Some(PEER_IP6),
            ..frames_v6::fixed()
        });
    });
    t.stack.start_forwarding();
    t
}

fn to_far(len: usize, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    udp_with(5000, 6000, &pattern(0, len), |ip| {
        ip.destination = FAR.octets();
        change(ip);
    })
}

/// What the driver does with a packet for another host; tells what became of it.
fn pass(t: &mut Dialogue) -> Result<(), NotForwarded> {
    let transit = t.stack.poll_transit().expect("a packet for another host");
    let outcome = forward(t, &transit);
    if outcome == Err(NotForwarded::Unresolved) {
        t.turn(); // the peer answers
        let outcome = forward(t, &transit);
        return done(t, transit, outcome);
    }
    done(t, transit, outcome)
}

fn forward(t: &mut Dialogue, transit: &Transit) -> Result<(), NotForwarded> {
    let bytes = t.driver.view(&transit.buf, transit.offset, transit.len).to_vec();
    let passing = Passing {
        bytes: &bytes,
        address: t.driver.place(&bytes).address,
        checksum: transit.checksum,
    };
    t.stack.forward(&mut t.driver, t.now, &passing).map(drop)
}

fn done(t: &mut Dialogue, transit: Transit, outcome: Result<(), NotForwarded>) -> Result<(), NotForwarded> {
    if let Err(why) = outcome {
        let bytes = t.driver.view(&transit.buf, transit.offset, transit.len).to_vec();
        t.stack
            .refuse_transit(&mut t.driver, t.now, PEER_MAC, &bytes, why);
    }
    netstack::Env::free_rx(&mut t.driver, transit.buf);
    t.collect();
    outcome
}

/// Type and code of the ICMP message to the peer, bytes 4 to 8, and what it quotes.
#[track_caller]
fn complaint(t: &mut Dialogue) -> ([u8; 2], u32, Vec<u8>) {
    let frame = t.next_frame().expect("a complaint");
    assert_eq!((&frame[..6], &frame[6..12]), (&PEER_MAC.0[..], &OUR_MAC.0[..]));
    let headers = PacketHeaders::from_ethernet_slice(&frame).unwrap();
    let at = match headers.net {
        Some(NetHeaders::Ipv4(ip, _)) => {
            assert_eq!((ip.source, ip.destination), (OUR_IP.octets(), PEER_IP.octets()));
            assert_eq!(netstack::checksum::checksum(&frame[34..]), 0);
            34
        }
        Some(NetHeaders::Ipv6(ip, _)) => {
            assert_eq!(ip.destination, PEER_IP6.octets());
            54
        }
        _ => panic!("not IP"),
    };
    let value = u32::from_be_bytes(frame[at + 4..at + 8].try_into().unwrap());
    ([frame[at], frame[at + 1]], value, frame[at + 8..].to_vec())
}

#[test]
fn a_packet_goes_on_one_hop_older_and_the_rest_is_untouched() {
    for len in [0, 1, 64, 1472] {
        let mut t = new();
        let frame = to_far(len, |_| {});
        t.inject(&frame);
        pass(&mut t).unwrap();
        let out = t.next_frame().expect("the packet");
        assert_eq!((&out[..6], &out[6..12]), (&PEER_MAC.0[..], &OUR_MAC.0[..]));
        assert_eq!(out[22], 63);
        assert_eq!(netstack::checksum::checksum(&out[14..34]), 0);
        assert_eq!((&out[12..22], &out[26..]), (&frame[12..22], &frame[26..]));
        assert_eq!(t.stack.counters().forwarded, 1);
        t.end();
    }
}

/// RFC 1624: also where the sum wraps.
#[test]
fn the_header_checksum_is_right_for_each_ttl_and_identification() {
    let mut t = new();
    for (ttl, id) in (2..=255).zip((0..=u16::MAX).step_by(257)) {
        t.inject(&to_far(8, |ip| (ip.time_to_live, ip.identification) = (ttl, id)));
        pass(&mut t).unwrap();
        let out = t.next_frame().unwrap();
        assert_eq!(
            (out[22], netstack::checksum::checksum(&out[14..34])),
            (ttl - 1, 0)
        );
    }
    t.end();
}

#[test]
fn options_and_fragments_pass_as_they_are_and_padding_does_not() {
    let mut t = new();
    let mut frame = to_far(4, |ip| {
        ip.options = [1, 1, 1, 0][..].try_into().unwrap();
        ip.more_fragments = true;
    });
    let len = frame.len();
    frame.resize(60, 0x55);
    t.inject(&frame);
    pass(&mut t).unwrap();
    let out = t.next_frame().unwrap();
    assert_eq!(out[14..22], frame[14..22]);
    assert_eq!(out[26..], frame[26..len]);
    assert_eq!(netstack::checksum::checksum(&out[14..38]), 0);
    t.end();
}

/// virtio 1.2 section 5.1.6.4.1: the sender's checksum may be missing; it must not be once the frame has left.
#[test]
fn a_checksum_left_to_the_device_is_completed_by_the_card_or_by_us() {
    for (by_card, vlan) in [
        (false, None),
        (true, None),
        (false, VlanId::new(7)),
        (true, VlanId::new(7)),
    ] {
        let mut t = with(|config| {
            router(config);
            config.rx_checksum = true;
            config.tx_checksum = by_card;
            config.vlan = vlan;
        });
        let whole = to_far(101, |_| {});
        let mut frame = whole.clone();
        // The pseudo-header's sum is what the datagram's checksum is without the datagram.
        let mut sum = netstack::checksum::Sum::new();
        sum.add_bytes(&whole[26..34]);
        sum.add_u16(17);
        sum.add_u16(109);
        frame[40..42].copy_from_slice(&sum.folded().to_be_bytes());
        let (frame, tag_len) = vlan.map_or((frame.clone(), 0), |vlan| (tagged(&frame, vlan), 4));
        let buf = t.driver.fill(&frame).unwrap();
        t.count_frame();
        let checksum = RxChecksum::Partial {
            start: 34 + tag_len,
            offset: 6,
        };
        let (driver, now) = (&mut t.driver, t.now);
        t.stack.receive(driver, now, buf, &frame, FRAME_OFFSET, checksum);
        pass(&mut t).unwrap();
        let out = t.next_frame().unwrap();
        assert_eq!(out[34..], whole[34..], "{by_card} {vlan:?}");
        t.end();
    }
}

#[test]
fn a_checksum_beyond_the_packet_is_no_checksum() {
    for (start, offset) in [(33, 6), (34, 200), (u16::MAX, u16::MAX), (0, 24), (200, 0)] {
        let mut t = with(|config| {
            router(config);
            config.rx_checksum = true;
        });
        let frame = to_far(16, |_| {});
        let buf = t.driver.fill(&frame).unwrap();
        t.count_frame();
        let (driver, now) = (&mut t.driver, t.now);
        let checksum = RxChecksum::Partial { start, offset };
        t.stack.receive(driver, now, buf, &frame, FRAME_OFFSET, checksum);
        assert_eq!(pass(&mut t), Err(NotForwarded::Malformed), "{start} {offset}");
        assert_eq!(t.stack.counters().forward_malformed, 1);
        t.end();
    }
}

#[test]
fn the_sender_of_a_packet_that_has_gone_too_many_hops_is_told() {
    for ttl in [0, 1] {
        let mut t = new();
        let frame = to_far(8, |ip| ip.time_to_live = ttl);
        t.inject(&frame);
        assert_eq!(pass(&mut t), Err(NotForwarded::HopLimit));
        assert_eq!(complaint(&mut t), ([11, 0], 0, frame[14..].to_vec()));
        assert_eq!(t.stack.counters().forward_hop_limit, 1);
        t.end();
    }
}

#[test]
fn where_no_route_leads_the_sender_is_told_but_not_of_an_error_or_a_later_fragment() {
    let mut t = with(|_| {});
    t.inject(&to_far(8, |_| {}));
    assert_eq!(pass(&mut t), Err(NotForwarded::NoRoute));
    assert_eq!(complaint(&mut t).0, [3, 0]);
    t.inject(&to_far(8, |ip| ip.fragment_offset = 8.try_into().unwrap()));
    assert_eq!(pass(&mut t), Err(NotForwarded::NoRoute));
    t.inject(&ipv4(IpNumber::ICMP, &[3, 1, 0, 0, 0, 0, 0, 0], |ip| {
        ip.destination = FAR.octets();
    }));
    assert_eq!(pass(&mut t), Err(NotForwarded::NoRoute));
    assert_eq!(t.stack.counters().forward_no_route, 3);
    t.end();
}

/// RFC 1191 section 4.
#[test]
fn a_packet_that_must_not_be_cut_and_is_too_long_is_refused_with_the_mtu() {
    let mut t = with(|config| {
        router(config);
        config.mtu = 600;
    });
    t.inject(&to_far(1000, |ip| ip.dont_fragment = true));
    assert_eq!(pass(&mut t), Err(NotForwarded::TooLong { mtu: 600 }));
    let (error, mtu, quoted) = complaint(&mut t);
    assert_eq!((error, mtu, quoted.len()), ([3, 4], 600, 548));
    t.end();
}

/// RFC 791 section 3.2, RFC 1812 section 4.2.2.7; a part of a packet may be cut again.
#[test]
fn a_packet_that_may_be_cut_is() {
    for (id, at, more) in [(1, 0, false), (2, 0, true), (3, 80, true), (4, 80, false)] {
        let mut t = with(|config| {
            router(config);
            config.mtu = 600;
        });
        let frame = to_far(1496, |ip| {
            (ip.dont_fragment, ip.more_fragments, ip.identification) = (false, more, id);
            ip.fragment_offset = (at / 8).try_into().unwrap();
        });
        t.inject(&frame);
        pass(&mut t).unwrap();
        let mut data = Vec::new();
        while let Some(out) = t.next_frame() {
            let headers = PacketHeaders::from_ethernet_slice(&out).unwrap();
            let Some(NetHeaders::Ipv4(ip, _)) = headers.net else {
                panic!("not IPv4")
            };
            assert!(out.len() <= 614 && ip.time_to_live == 63 && ip.identification == id);
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            assert_eq!(
                usize::from(ip.fragment_offset.byte_offset()),
                data.len() + usize::from(at)
            );
            data.extend_from_slice(&out[34..]);
            assert_eq!(ip.more_fragments, more || data.len() < 1504);
        }
        assert_eq!(data, frame[34..]);
        t.end();
    }
}

#[test]
fn a_full_ring_drops_and_a_silent_neighbour_is_asked_for() {
    let mut t = new();
    t.answers_arp = false;
    t.inject(&to_far(8, |_| {}));
    assert_eq!(pass(&mut t), Err(NotForwarded::Unresolved));
    t.discard_frames();
    assert_eq!(t.stack.counters().forward_unreached, 1);
    t.answers_arp = true;
    t.advance_ms(1100);
    t.driver.ring_len = 0;
    t.inject(&to_far(8, |_| {}));
    assert_eq!(pass(&mut t), Err(NotForwarded::RingFull));
    t.driver.ring_len = 64;
    t.end();
}

#[test]
fn what_is_not_for_us_to_forward_is_dropped_as_before() {
    let cases: [(&str, Vec<u8>); 7] = [
        ("all stations", {
            let mut frame = to_far(8, |_| {});
            frame[..6].fill(0xff);
            frame
        }),
        ("a group", to_far(8, |ip| ip.destination = [224, 0, 0, 9])),
        ("link-local", to_far(8, |ip| ip.destination = [169, 254, 0, 9])),
        ("from link-local", to_far(8, |ip| ip.source = [169, 254, 0, 9])),
        ("loopback", to_far(8, |ip| ip.destination = [127, 0, 0, 1])),
        ("from us", to_far(8, |ip| ip.source = OUR_IP.octets())),
        ("from nobody", to_far(8, |ip| ip.source = [0; 4])),
    ];
    let mut t = new();
    for (name, frame) in &cases {
        t.inject(frame);
        assert_eq!(t.stack.poll_transit(), None, "{name}");
    }
    assert_eq!(t.stack.counters().rx_ipv4_not_ours, cases.len() as u64);
    t.end();
}

#[test]
fn who_has_not_asked_to_forward_does_not_and_who_stops_keeps_nothing() {
    let mut t = new();
    for _ in 0..3 {
        t.inject(&to_far(8, |_| {}));
    }
    t.stack.stop_forwarding(&mut t.driver);
    t.inject(&to_far(8, |_| {}));
    assert_eq!(t.stack.poll_transit(), None);
    let counters = t.stack.counters();
    assert_eq!((counters.rx_forward, counters.rx_ipv4_not_ours), (3, 1));
    t.end();
}

#[test]
fn no_more_than_a_few_batches_wait() {
    let mut t = new();
    let frame = to_far(8, |_| {});
    while t.driver.available() > 0 && t.stack.counters().rx_forward_no_room == 0 {
        t.inject(&frame);
    }
    // The pool of the harness is as large as what may wait.
    assert_eq!(t.stack.counters().rx_forward, 256);
    t.stack.stop_forwarding(&mut t.driver);
    t.end();
}

#[test]
fn ipv6_packets_go_on_and_are_never_cut() {
    let mut t = new_v6();
    let between = (PEER_IP6, FAR6);
    let frame = frames_v6::packet(between, 59, &pattern(0, 1300));
    t.inject(&frame);
    pass(&mut t).unwrap();
    let out = t.next_frame().unwrap();
    assert_eq!((&out[..6], &out[6..12]), (&PEER_MAC.0[..], &OUR_MAC.0[..]));
    assert_eq!(out[21], 254);
    assert_eq!((&out[12..21], &out[22..]), (&frame[12..21], &frame[22..]));

    t.inject(&frames_v6::packet_with(between, 59, b"old", |ip| {
        ip.hop_limit = 1
    }));
    assert_eq!(pass(&mut t), Err(NotForwarded::HopLimit));
    assert_eq!(complaint(&mut t).0, [3, 0]);

    let long = frames_v6::packet(between, 59, &pattern(0, 1500));
    t.inject(&long);
    assert_eq!(pass(&mut t), Err(NotForwarded::TooLong { mtu: 1500 }));
    let (error, mtu, quoted) = complaint(&mut t);
    assert_eq!((error, mtu), ([2, 0], 1500));
    assert_eq!(quoted, long[14..][..1232]);
    t.inject(&frames_v6::icmp(between, 1, 0, [0; 4], &pattern(0, 1500)));
    assert_eq!(pass(&mut t), Err(NotForwarded::TooLong { mtu: 1500 }));
    assert_eq!(t.stack.counters().forward_too_long, 2);
    t.end();
}

#[test]
fn ipv6_beyond_the_link_only() {
    let mut t = new_v6();
    let local: Ipv6Addr = "fe80::7".parse().unwrap();
    for between in [(PEER_IP6, local), (local, FAR6), (PEER_IP6, Ipv6Addr::LOCALHOST)] {
        t.inject(&frames_v6::packet(between, 59, b"x"));
        assert_eq!(t.stack.poll_transit(), None, "{between:?}");
    }
    assert_eq!(t.stack.counters().rx_ipv6_not_ours, 3);
    t.end();
}

#[test]
fn a_frame_goes_on_as_it_is() {
    let mut t = Dialogue::new();
    let frame = [
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xb5][..],
        &pattern(0, 99),
    ]
    .concat();
    let rest = Passing {
        bytes: &frame[14..],
        address: t.driver.place(&frame[14..]).address,
        checksum: RxChecksum::Unknown,
    };
    let ether = frame.first_chunk().unwrap();
    t.stack.bridge(&mut t.driver, ether, &rest).unwrap();
    assert_eq!(t.driver.sent.pop_front().as_deref(), Some(&frame[..]));
    let long = Passing {
        bytes: &[0; 1505],
        ..rest
    };
    let refused = t.stack.bridge(&mut t.driver, ether, &long);
    assert_eq!(refused, Err(NotForwarded::TooLong { mtu: 1500 }));
    assert_eq!(t.stack.counters().bridged, 1);
    t.end();
}

/// RFC 1812 section 5.2.4.3: the longest prefix; a gateway is the last resort.
#[test]
fn a_link_tells_how_far_it_leads() {
    let t = new();
    assert_eq!(t.stack.reach(PEER_IP.into(), t.now), Some(24));
    assert_eq!(t.stack.reach(FAR.into(), t.now), Some(0));
    assert_eq!(t.stack.reach(OUR_IP.into(), t.now), Some(32), "if to no use");
    assert_eq!(Dialogue::new().stack.reach(FAR.into(), t.now), None);
    let t = new_v6();
    assert_eq!(t.stack.reach(PEER_IP6.into(), t.now), Some(64));
    assert_eq!(t.stack.reach(FAR6.into(), t.now), Some(0));
}
