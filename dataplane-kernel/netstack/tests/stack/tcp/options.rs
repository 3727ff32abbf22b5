//! What an app chooses for one flow.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{Segment, ack, data};
use netstack::{CongestionControl, Error, Id};
use std::time::Duration;

const MSS: usize = 1460;

fn seq(n: usize) -> u32 {
    u32::try_from(1 + n * MSS).unwrap()
}

/// RFC 5482: the app's limit counts, and not how often something was sent.
#[test]
fn a_user_timeout_gives_up_when_it_says() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.stack
        .tcp_user_timeout(flow, Some(Duration::from_millis(1500)))
        .unwrap();
    t.write(flow, "lost");
    t.expect(data(1, 1, "lost"));
    t.advance_ms(1490);
    while t.next_segment().is_some() {}
    t.no_event();
    t.advance_ms(20);
    t.expect_dead(flow, Err(Error::TimedOut));
    while t.next_segment().is_some() {}
    t.end();
}

/// ... and lets a flow live longer than the stack's own limit would.
#[test]
fn a_long_user_timeout_outlasts_the_count() {
    let mut t = Dialogue::with(|config| config.tcp.max_retransmits = 2);
    let flow = t.accepted();
    t.stack
        .tcp_user_timeout(flow, Some(Duration::from_secs(60)))
        .unwrap();
    t.write(flow, "late");
    t.advance_ms(50_000);
    while t.next_segment().is_some() {}
    t.no_event();
    t.send(ack(1, 5));
    t.expect_sent(flow, 4);
    // What is over does not count against what comes.
    t.write(flow, "again");
    t.advance_ms(50_000);
    while t.next_segment().is_some() {}
    t.no_event();
    t.send(ack(1, 10));
    t.expect_sent(flow, 5);
    t.end();
}

/// Loses the first of ten segments, has all of the rest acknowledged, and tells how much may then be out.
fn window_after_a_loss(algorithm: CongestionControl) -> usize {
    let mut t = Dialogue::new();
    let flow: Id = t.accepted();
    t.stack.tcp_congestion_control(flow, algorithm).unwrap();
    t.write(flow, pattern(0, 60 * MSS));
    while t.next_segment().is_some() {}
    t.send_all([ack(1, 1), ack(1, 1), ack(1, 1)]);
    let again: Segment = t.next_segment().unwrap();
    assert_eq!(again.seq, seq(0));
    let mut end = 10;
    while let Some(segment) = t.next_segment() {
        assert_eq!(segment.seq, seq(end));
        end += 1;
    }
    t.send(ack(1, seq(end)));
    let out = std::iter::from_fn(|| t.next_segment()).count();
    t.abort(flow);
    while t.next_segment().is_some() {}
    while t.event().is_some() {}
    t.end();
    out
}

/// RFC 5681 halves the window, RFC 9438 takes it to 70 %.
#[test]
fn the_algorithm_is_a_flows_own() {
    assert_eq!(window_after_a_loss(CongestionControl::NewReno), 5);
    assert_eq!(window_after_a_loss(CongestionControl::Cubic), 7);
}

#[test]
fn stale_handles_are_refused() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.abort(flow);
    t.next_segment().unwrap();
    t.expect_dead(flow, Err(Error::Aborted));
    assert_eq!(t.stack.tcp_user_timeout(flow, None), Err(Error::BadHandle));
    let chosen = t.stack.tcp_congestion_control(flow, CongestionControl::Cubic);
    assert_eq!(chosen, Err(Error::BadHandle));
    t.end();
}
