//! Data that leaves spread over time.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{Segment, ack, data, syn, syn_ack};
use netstack::{Error, Event, Id, Pacing};

const MSS: usize = 1460;
const RTT_MS: u64 = 40;

fn ours(n: usize) -> Segment {
    data(u32::try_from(1 + n * MSS).unwrap(), 1, pattern(n * MSS, MSS))
}

/// A connection whose round-trip time is known.
fn accepted(t: &mut Dialogue) -> Id {
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.advance_ms(RTT_MS);
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    flow
}

fn acknowledged(t: &mut Dialogue, segments: usize) {
    t.send(ack(1, u32::try_from(1 + segments * MSS).unwrap()));
    let mut sent = 0;
    while let Some(event) = t.event() {
        let Event::Sent { len, .. } = event else {
            panic!("{event:?}")
        };
        sent += len as usize;
    }
    assert_eq!(sent, segments * MSS);
}

/// 1.46 MB/s: a segment each millisecond, two at a time.
#[test]
fn data_leaves_at_the_rate_that_was_set() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    let rate = Pacing::BytesPerSecond(1_460_000);
    t.stack.tcp_pacing(flow, rate).unwrap();
    t.write(flow, pattern(0, 8 * MSS));
    // A tick of the timer.
    t.advance_us(20);
    for burst in 0..4 {
        t.expect(ours(2 * burst));
        t.expect(ours(2 * burst + 1));
        t.expect_nothing();
        t.advance_us(1950);
        t.expect_nothing();
        t.advance_us(50);
    }
    t.expect_nothing();
    assert_eq!(t.stack.counters().tcp_retransmits, 0);
    acknowledged(&mut t, 8);
    t.end();
}

/// Ten segments in four fifths of a round trip of 40 ms: two each 6.4 ms.
#[test]
fn by_the_window_it_is_spread_over_the_round_trip() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    t.stack.tcp_pacing(flow, Pacing::ByWindow).unwrap();
    t.write(flow, pattern(0, 10 * MSS));
    t.advance_us(20);
    for burst in 0..5 {
        t.expect(ours(2 * burst));
        t.expect(ours(2 * burst + 1));
        t.expect_nothing();
        t.advance_us(6_350);
        t.expect_nothing();
        t.advance_us(50);
    }
    acknowledged(&mut t, 10);
    t.end();
}

/// What waits leaves at once when pacing ends.
#[test]
fn it_can_be_switched_off() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    t.stack.tcp_pacing(flow, Pacing::BytesPerSecond(1000)).unwrap();
    t.write(flow, pattern(0, 4 * MSS));
    t.expect(ours(0));
    t.expect(ours(1));
    t.advance_ms(20);
    t.expect_nothing();
    t.stack.tcp_pacing(flow, Pacing::Off).unwrap();
    assert_eq!(t.stack.counters().paced_flows, 0);
    t.turn();
    t.expect(ours(2));
    t.expect(ours(3));
    acknowledged(&mut t, 4);
    t.end();
}

#[test]
fn places_are_limited_and_come_back_with_the_flow() {
    let mut t = Dialogue::with(|config| config.max_paced_flows = 1);
    let flow = accepted(&mut t);
    assert_eq!(
        t.stack.tcp_pacing(flow, Pacing::BytesPerSecond(0)),
        Err(Error::Invalid)
    );
    t.stack.tcp_pacing(flow, Pacing::ByWindow).unwrap();
    t.stack.tcp_pacing(flow, Pacing::BytesPerSecond(1)).unwrap();
    t.send(syn().mss(1460).port(40001));
    t.expect(syn_ack().port(40001));
    t.send(ack(1, 1).port(40001));
    let second = t.knock();
    t.take(second);
    assert_eq!(t.stack.tcp_pacing(second, Pacing::ByWindow), Err(Error::NoMemory));
    t.abort(flow);
    while t.next_segment().is_some() {}
    t.expect_dead(flow, Err(Error::Aborted));
    assert_eq!(t.stack.counters().paced_flows, 0);
    t.stack.tcp_pacing(second, Pacing::ByWindow).unwrap();
    t.end();
}
