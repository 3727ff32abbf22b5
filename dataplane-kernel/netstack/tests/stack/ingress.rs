//! What is dropped at the door, and that each is counted as what it is.

use crate::harness::dialogue::Dialogue;
use crate::harness::frames::{echo_request, ethernet, ipv4, udp, udp_with};
use crate::harness::{OUR_IP, OUR_MAC};
use etherparse::{EtherType, IpNumber};
use netstack::Counters;
use netstack::wire::ethernet::MacAddr;

/// Injects a frame; nothing leaves, and only this counter moves.
#[track_caller]
fn dropped_as(counter: fn(&Counters) -> u64, frame: &[u8]) {
    let mut t = Dialogue::new();
    t.inject(frame);
    t.expect_nothing();
    assert_eq!(counter(&t.stack.counters()), 1, "{:?}", t.stack.counters());
    t.end();
}

fn damaged(frame: &[u8], at: usize, bits: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] ^= bits;
    frame
}

#[test]
fn frames_of_the_wrong_kind() {
    let echo = echo_request(1, 1, b"x");
    dropped_as(|c| c.rx_ethernet_short, &echo[..13]);
    dropped_as(|c| c.rx_ethernet_short, &[]);
    dropped_as(
        |c| c.rx_ethernet_unknown_type,
        &ethernet(OUR_MAC, EtherType::IPV6, &[0; 50]),
    );
    dropped_as(
        |c| c.rx_ethernet_unknown_type,
        &ethernet(OUR_MAC, EtherType(50), &[0; 50]),
    );
    let elsewhere = MacAddr([2, 0, 0, 0, 0, 77]);
    dropped_as(|c| c.rx_ethernet_not_ours, &[&elsewhere.0, &echo[6..]].concat());
}

#[test]
fn packets_with_bad_headers() {
    let echo = echo_request(1, 1, b"x");
    dropped_as(|c| c.rx_ipv4_malformed, &echo[..33]);
    dropped_as(|c| c.rx_ipv4_malformed, &echo[..echo.len() - 1]);
    dropped_as(|c| c.rx_ipv4_malformed, &damaged(&echo, 14, 0x20));
    dropped_as(|c| c.rx_ipv4_malformed, &damaged(&echo, 14, 0x01));
    dropped_as(|c| c.rx_ipv4_checksum, &damaged(&echo, 22, 0x01));
    dropped_as(|c| c.rx_ipv4_checksum, &damaged(&echo, 29, 0x80));
}

#[test]
fn packets_for_others_or_from_nobody() {
    dropped_as(
        |c| c.rx_ipv4_not_ours,
        &udp_with(1, 2, b"x", |ip| ip.destination = [10, 0, 0, 7]),
    );
    dropped_as(
        |c| c.rx_ipv4_not_ours,
        &udp_with(1, 2, b"x", |ip| ip.destination = [224, 0, 0, 251]),
    );
    for source in [
        [0; 4],
        [127, 0, 0, 1],
        [224, 0, 0, 251],
        [255; 4],
        [10, 0, 0, 255],
        OUR_IP.octets(),
    ] {
        dropped_as(
            |c| c.rx_ipv4_bad_source,
            &udp_with(1, 2, b"x", |ip| ip.source = source),
        );
    }
}

#[test]
fn options_of_ip_are_skipped() {
    let mut t = Dialogue::new();
    let plain = echo_request(1, 1, b"with options");
    t.inject(&ipv4(IpNumber::ICMP, &plain[34..], |ip| {
        ip.options = [7, 7, 4, 0, 0, 0, 0, 0].into();
    }));
    let reply = t.next_frame().expect("a reply");
    assert_eq!(reply[42..], *b"with options");
    t.end();
}

#[test]
fn transports_that_are_damaged_or_unknown() {
    dropped_as(
        |c| c.rx_udp_malformed,
        &ipv4(IpNumber::UDP, &[0, 1, 0, 2, 0, 7, 0, 0], |_| {}),
    );
    dropped_as(
        |c| c.rx_udp_malformed,
        &ipv4(IpNumber::UDP, &[0, 1, 0, 2, 0, 99, 0, 0], |_| {}),
    );
    dropped_as(|c| c.rx_udp_malformed, &ipv4(IpNumber::UDP, &[0, 1], |_| {}));
    let datagram = udp(1, 2, b"xy");
    dropped_as(|c| c.rx_udp_checksum, &damaged(&datagram, 42, 1));
    dropped_as(|c| c.rx_tcp_malformed, &ipv4(IpNumber::TCP, &[0; 19], |_| {}));
    for words in [0, 4, 15] {
        let mut header = [0; 20];
        header[12] = words << 4;
        dropped_as(|c| c.rx_tcp_malformed, &ipv4(IpNumber::TCP, &header, |_| {}));
    }
    let mut header = [0; 20];
    header[12] = 5 << 4;
    dropped_as(|c| c.rx_tcp_checksum, &ipv4(IpNumber::TCP, &header, |_| {}));
}
