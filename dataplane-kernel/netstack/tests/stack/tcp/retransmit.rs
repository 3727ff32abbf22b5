//! Loss, as the sender sees it: RFC 6298, RFC 5681, RFC 6582 (NewReno), RFC 6928.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{Segment, ack, data, syn};
use netstack::{Error, Id};

const MSS: usize = 1460;

/// Full segment number `n` of our pattern, counted from 0.
fn ours(n: usize) -> Segment {
    data(seq(n), 1, pattern(n * MSS, MSS))
}

fn seq(n: usize) -> u32 {
    u32::try_from(1 + n * MSS).unwrap()
}

/// Writes `n` full segments, and expects the first `out` of them to leave.
#[track_caller]
fn write(t: &mut Dialogue, flow: Id, n: usize, out: usize) {
    t.write(flow, pattern(0, n * MSS));
    for i in 0..out {
        t.expect(ours(i));
    }
    t.expect_nothing();
}

#[track_caller]
fn expect_sent_in_all(t: &mut Dialogue, bytes: usize) {
    let mut sum = 0;
    while let Some(event) = t.event() {
        let netstack::Event::Sent { len, .. } = event else {
            panic!("{event:?}")
        };
        sum += len as usize;
    }
    assert_eq!(sum, bytes);
}

#[test]
fn the_timeout_doubles_and_the_flow_is_given_up() {
    let mut t = Dialogue::with(|config| config.tcp.max_retransmits = 4);
    let flow = t.accepted();
    t.write(flow, "lost");
    t.expect(data(1, 1, "lost"));
    for ms in [200, 400, 800, 1600] {
        t.advance_ms(ms - 1);
        t.expect_nothing();
        t.advance_us(1_050);
        t.expect(data(1, 1, "lost"));
    }
    t.advance_ms(3190);
    t.no_event();
    t.advance_ms(20);
    t.expect_dead(flow, Err(Error::TimedOut));
    assert_eq!(t.stack.counters().tcp_timed_out, 1);
    while t.next_segment().is_some() {} // a reset may tell the peer
    t.end();
}

#[test]
fn an_acknowledgement_ends_the_backoff() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, "a");
    t.expect(data(1, 1, "a"));
    t.advance_ms(201);
    t.expect(data(1, 1, "a"));
    t.advance_ms(401);
    t.expect(data(1, 1, "a"));
    t.send(ack(1, 2));
    t.expect_sent(flow, 1);
    // Karn: the retransmitted byte was not timed. The next one is, and sets the timeout back.
    t.write(flow, "b");
    t.expect(data(2, 1, "b"));
    t.advance_ms(1);
    t.send(ack(1, 3));
    t.expect_sent(flow, 1);
    t.write(flow, "c");
    t.expect(data(3, 1, "c"));
    t.advance_ms(199);
    t.expect_nothing();
    t.advance_ms(5);
    t.expect(data(3, 1, "c"));
    t.send(ack(1, 4));
    t.expect_sent(flow, 1);
    t.end();
}

#[test]
fn the_timeout_follows_the_round_trip_time() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(crate::harness::segment::syn_ack());
    t.advance_ms(300);
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    // RFC 6298 section 2.2: SRTT = R, RTTVAR = R/2, RTO = R + 4 * R/2.
    t.write(flow, "x");
    t.expect(data(1, 1, "x"));
    t.advance_ms(895);
    t.expect_nothing();
    t.advance_ms(10);
    t.expect(data(1, 1, "x"));
    t.send(ack(1, 2));
    t.expect_sent(flow, 1);
    t.end();
}

#[test]
fn the_timer_restarts_with_new_acknowledgements() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 3, 3);
    t.advance_ms(150);
    t.send(ack(1, seq(1)));
    t.expect_sent(flow, 1460);
    // It counts from the ACK.
    t.advance_ms(190);
    t.expect_nothing();
    t.advance_ms(20);
    t.expect(ours(1));
    t.send(ack(1, seq(3)));
    t.expect_sent(flow, 2920);
    t.end();
}

#[test]
fn the_initial_window_is_ten_segments_and_doubles() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 40, 10);
    t.send_all((1..=10).map(|n| ack(1, seq(n))));
    for n in 10..30 {
        t.expect(ours(n));
    }
    t.expect_nothing();
    t.send_all((11..=30).map(|n| ack(1, seq(n))));
    for n in 30..40 {
        t.expect(ours(n));
    }
    t.send(ack(1, seq(40)));
    expect_sent_in_all(&mut t, 40 * MSS);
    t.end();
}

#[test]
fn the_third_duplicate_repeats_the_segment_at_once() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 10, 10);
    t.send(ack(1, seq(1)));
    t.send(ack(1, seq(1)));
    t.send(ack(1, seq(1)));
    t.expect_nothing();
    t.send(ack(1, seq(1)));
    t.expect(ours(1));
    t.send(ack(1, seq(1)));
    t.send(ack(1, seq(1)));
    t.expect_nothing();
    t.send(ack(1, seq(10)));
    expect_sent_in_all(&mut t, 10 * MSS);
    assert_eq!(t.stack.counters().tcp_fast_retransmits, 1);
    t.advance_ms(2000);
    t.expect_nothing();
    t.end();
}

/// RFC 6582: an ACK of a part of what was out says that the next segment is lost too.
#[test]
fn partial_acknowledgements_repeat_the_next_hole() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 10, 10);
    // Segments 2 and 5 are lost.
    t.send_all([
        ack(1, seq(1)),
        ack(1, seq(2)),
        ack(1, seq(2)),
        ack(1, seq(2)),
        ack(1, seq(2)),
    ]);
    t.expect(ours(2));
    t.expect_nothing();
    t.send(ack(1, seq(5)));
    t.expect(ours(5));
    t.expect_nothing();
    t.send(ack(1, seq(10)));
    expect_sent_in_all(&mut t, 10 * MSS);
    t.advance_ms(2000);
    t.expect_nothing();
    t.end();
}

/// RFC 5681 section 2 defines a duplicate: no data, same window, something outstanding.
#[test]
fn not_every_repeated_number_is_a_duplicate() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 10, 10);
    t.send(ack(1, seq(1)));
    for window in [60000, 50000, 40000, 50000] {
        t.send(ack(1, seq(1)).window(window));
    }
    for i in 0..4 {
        t.send(data(1 + i, seq(1), "d").window(50000));
        t.expect_sent_or_read(flow);
    }
    while let Some(segment) = t.next_segment() {
        assert!(segment.payload.is_empty(), "{segment:?}");
    }
    t.send(ack(5, seq(10)));
    expect_sent_in_all(&mut t, 9 * MSS);
    t.end();
}

#[test]
fn a_timeout_begins_again_with_one_segment() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 10, 10);
    t.advance_ms(201);
    t.expect(ours(0));
    t.expect_nothing();
    t.send(ack(1, seq(1)));
    // Slow start: two.
    t.expect(ours(1));
    t.expect(ours(2));
    t.expect_nothing();
    // The peer had the rest.
    t.send(ack(1, seq(10)));
    t.expect_nothing();
    expect_sent_in_all(&mut t, 10 * MSS);
    t.advance_ms(5000);
    t.expect_nothing();
    t.end();
}

#[test]
fn all_may_be_lost_and_come_through_in_the_end() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    write(&mut t, flow, 10, 10);
    let mut acknowledged = 0;
    for _ in 0..20 {
        t.advance_ms(3000);
        let mut fresh = acknowledged;
        while let Some(segment) = t.next_segment() {
            if segment.seq == seq(fresh) {
                fresh += 1;
            }
        }
        if fresh > acknowledged {
            acknowledged = fresh;
            t.send(ack(1, seq(acknowledged)));
        }
        if acknowledged == 10 {
            break;
        }
    }
    assert_eq!(acknowledged, 10);
    while t.next_segment().is_some() {}
    expect_sent_in_all(&mut t, 10 * MSS);
    t.end();
}

#[test]
fn timestamps_time_retransmitted_segments() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn().mss(1460).timestamps(100, 0));
    t.write(flow, "x");
    let first = t.expect(data(1, 1, "x"));
    t.advance_ms(250);
    let second = t.expect(data(1, 1, "x"));
    assert_ne!(first.timestamp().unwrap().0, second.timestamp().unwrap().0);
    assert_eq!(second.timestamp().unwrap().1, 100);
    t.send(ack(1, 2).timestamps(101, second.timestamp().unwrap().0));
    t.expect_sent(flow, 1);
    t.end();
}

/// A segment in the ring while its retransmission is due: the device reads both, no memory is freed between.
#[test]
fn old_segments_acknowledge_nothing_new() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, "abc");
    t.expect(data(1, 1, "abc"));
    t.send(ack(1, 4));
    t.expect_sent(flow, 3);
    t.send(ack(1, 2));
    t.no_event();
    t.expect_nothing();
    t.end();
}
