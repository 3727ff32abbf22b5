//! IPv6 without IPv4.

use crate::harness::dialogue::{Dialogue, FLOW};
use crate::harness::frames::{arp_request, echo_request, udp_with};
use crate::harness::segment::{ack, data};
use netstack::Error;
use std::net::{IpAddr, Ipv4Addr};

const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn alone() -> Dialogue {
    Dialogue::with_v6(|config| config.ipv4 = None)
}

#[test]
fn frames_of_ipv4_are_of_a_type_that_nobody_takes() {
    let mut t = alone();
    t.inject(&arp_request());
    t.inject(&echo_request(1, 1, b"anybody?"));
    let mut to_all = udp_with(67, 68, b"", |ip| ip.destination = [255; 4]);
    to_all[..6].fill(0xff);
    t.inject(&to_all);
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_ethernet_unknown_type, 3);
    assert_eq!(t.stack.ipv4(), None);
    t.end();
}

#[test]
fn the_app_is_told_that_ipv4_is_not_spoken() {
    let mut t = alone();
    assert_eq!(t.stack.udp_bind(Some(ANY4), 9, 0), Err(Error::NotSupported));
    assert_eq!(t.stack.tcp_listen(Some(ANY4), 80, 1, 0), Err(Error::NotSupported));
    let to = ([10, 0, 0, 2], 80).into();
    let refused = t.stack.tcp_connect(&mut t.driver, t.now, to, None, None, FLOW);
    assert_eq!(refused, Err(Error::NotSupported));
    let socket = t.stack.udp_bind(None, 9, 0).unwrap();
    let group = IpAddr::from([224, 0, 0, 251]);
    assert_eq!(t.stack.udp_join(t.now, socket, group), Err(Error::NotSupported));
    t.end();
}

#[test]
fn connections_are_as_ever() {
    let mut t = alone();
    let flow = t.accepted();
    t.send(data(1, 1, "hello"));
    t.read(flow, "hello");
    t.write(flow, "world");
    t.expect(data(1, 6, "world"));
    t.send(ack(6, 6));
    t.expect_sent(flow, 5);
    t.end();
}
