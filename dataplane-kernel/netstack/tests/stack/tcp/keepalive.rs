//! Keepalive: RFC 9293 section 3.8.4.

use crate::harness::dialogue::Dialogue;
use crate::harness::segment::{Segment, ack, data};
use netstack::Error;
use std::time::Duration;

/// A probe: nothing new, at a number that asks for an ACK.
fn probe() -> Segment {
    ack(0, 1)
}

#[test]
fn off_unless_asked_for() {
    let mut t = Dialogue::new();
    t.accepted();
    t.advance_ms(10 * 3600 * 1000);
    t.expect_nothing();
    t.no_event();
    t.end();
}

#[test]
fn an_idle_peer_is_probed_and_lives() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.stack
        .tcp_keepalive(t.now, flow, Some(Duration::from_secs(30)))
        .unwrap();
    t.advance_ms(29_900);
    t.expect_nothing();
    t.advance_ms(200);
    t.expect(probe());
    t.send(ack(1, 1));
    t.advance_ms(29_500);
    t.expect_nothing();
    t.advance_ms(700);
    t.expect(probe());
    t.send(data(1, 1, "alive"));
    t.read(flow, "alive");
    t.advance_ms(100);
    t.expect(ack(1, 6));
    t.no_event();
    t.end();
}

#[test]
fn a_silent_peer_is_given_up() {
    let mut t = Dialogue::with(|config| {
        config.tcp.keepalive_interval = Duration::from_secs(5);
        config.tcp.keepalive_probes = 3;
    });
    let flow = t.accepted();
    t.stack
        .tcp_keepalive(t.now, flow, Some(Duration::from_secs(30)))
        .unwrap();
    t.advance_ms(30_100);
    t.expect(probe());
    t.advance_ms(5_000);
    t.expect(probe());
    t.advance_ms(5_000);
    t.expect(probe());
    t.no_event();
    t.advance_ms(5_100);
    t.expect_dead(flow, Err(Error::TimedOut));
    while t.next_segment().is_some() {}
    t.end();
}

#[test]
fn it_can_be_switched_off_again() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.stack
        .tcp_keepalive(t.now, flow, Some(Duration::from_secs(30)))
        .unwrap();
    t.advance_ms(10_000);
    t.stack.tcp_keepalive(t.now, flow, None).unwrap();
    t.advance_ms(1_000_000);
    t.expect_nothing();
    t.end();
}

#[test]
fn a_probe_of_the_peer_is_answered() {
    let mut t = Dialogue::new();
    t.accepted();
    t.send(ack(0, 1));
    t.expect(ack(1, 1));
    t.send(data(0, 1, "?"));
    t.expect(ack(1, 1));
    t.no_event();
    t.end();
}
