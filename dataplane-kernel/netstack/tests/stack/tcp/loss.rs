//! Losses that the peer's SACK shows: RFC 2018, RFC 6675, RFC 8985 (RACK-TLP), RFC 6937 (PRR), RFC 2883 (D-SACK), RFC
//! 3522 and RFC 4015 (Eifel).

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{Segment, ack, data, syn, syn_ack};
use etherparse::TcpOptionElement;
use netstack::{Event, Id};

const MSS: usize = 1460;
/// The round-trip time of these connections.
const RTT_MS: u64 = 40;

fn seq(n: usize) -> u32 {
    u32::try_from(1 + n * MSS).unwrap()
}

/// Full segment number `n`.
fn ours(n: usize) -> Segment {
    data(seq(n), 1, pattern(n * MSS, MSS))
}

/// An ACK of all before segment `n`, with these segments (from, to) received beyond it.
fn sack(t: &Dialogue, n: usize, ranges: &[(usize, usize)]) -> Segment {
    let edges: Vec<_> = ranges
        .iter()
        .map(|(from, to)| {
            (
                seq(*from).wrapping_add(t.our_isn()),
                seq(*to).wrapping_add(t.our_isn()),
            )
        })
        .collect();
    let rest = std::array::from_fn(|i| edges.get(i + 1).copied());
    ack(1, seq(n)).option(TcpOptionElement::SelectiveAcknowledgement(edges[0], rest))
}

/// A connection whose peer reads and sends SACK, at [`RTT_MS`].
fn accepted(t: &mut Dialogue) -> Id {
    t.listen();
    t.send(syn().mss(1460).sack_permitted());
    t.expect(syn_ack());
    t.advance_ms(RTT_MS);
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    flow
}

#[track_caller]
fn write(t: &mut Dialogue, flow: Id, n: usize, out: usize) {
    t.write(flow, pattern(0, n * MSS));
    for i in 0..out {
        t.expect(ours(i));
    }
    t.expect_nothing();
    t.advance_ms(RTT_MS);
}

#[track_caller]
fn all_sent(t: &mut Dialogue, segments: usize) {
    let mut sum = 0;
    while let Some(event) = t.event() {
        let Event::Sent { len, .. } = event else {
            panic!("{event:?}")
        };
        sum += len as usize;
    }
    assert_eq!(sum, segments * MSS);
}

/// Section 6.2 of RFC 8985: three segments beyond the hole, and no reordering was ever seen: at once.
#[test]
fn only_the_hole_is_sent_again() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 10, 10);
    t.send(sack(&t, 2, &[(3, 6)]));
    t.expect(ours(2));
    t.expect_nothing();
    t.send(sack(&t, 2, &[(3, 10)]));
    t.expect_nothing();
    t.send(ack(1, seq(10)));
    all_sent(&mut t, 10);
    assert_eq!(t.stack.counters().tcp_fast_retransmits, 1);
    assert_eq!(t.stack.counters().tcp_retransmits, 1);
    t.advance_ms(1000);
    t.end();
}

#[test]
fn several_holes_are_repaired_in_one_round_trip() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 10, 10);
    // 0, 2 and 4 are lost.
    t.send(sack(&t, 0, &[(5, 10), (3, 4), (1, 2)]));
    for n in [0, 2, 4] {
        t.expect(ours(n));
    }
    t.expect_nothing();
    t.advance_ms(RTT_MS);
    t.send(ack(1, seq(10)));
    all_sent(&mut t, 10);
    assert_eq!(t.stack.counters().tcp_fast_retransmits, 1);
    t.advance_ms(1000);
    t.end();
}

/// RFC 8985 section 6.2, step 5: one segment too early may be reordering, for a quarter of the round-trip time.
#[test]
fn a_segment_out_of_order_is_waited_for() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 3, 3);
    t.send(sack(&t, 0, &[(1, 2)]));
    t.advance_ms(8);
    t.expect_nothing();
    t.send(ack(1, seq(3)));
    t.advance_ms(1000);
    t.expect_nothing();
    all_sent(&mut t, 3);
    assert_eq!(t.stack.counters().tcp_fast_retransmits, 0);
    t.end();
}

#[test]
fn what_stays_away_longer_is_lost() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 3, 3);
    t.send(sack(&t, 0, &[(1, 2)]));
    t.advance_ms(9);
    t.expect_nothing();
    t.advance_ms(2);
    t.expect(ours(0));
    t.send(ack(1, seq(3)));
    all_sent(&mut t, 3);
    t.end();
}

/// The advantage of time over counting: a retransmission that is lost too is found by what was sent after it.
#[test]
fn a_lost_retransmission_is_found_without_a_timeout() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 30, 10);
    t.send(sack(&t, 0, &[(1, 5)]));
    t.expect(ours(0));
    t.send(sack(&t, 0, &[(1, 10)]));
    let mut fresh = 10;
    while let Some(segment) = t.next_segment() {
        assert!(ours(fresh).matches(&segment), "{segment:?}");
        fresh += 1;
    }
    assert!(fresh > 10, "new data goes on");
    t.advance_ms(RTT_MS);
    t.send(sack(&t, 0, &[(1, fresh)]));
    t.expect(ours(0));
    assert_eq!(t.stack.counters().tcp_timeouts, 0);
    while t.next_segment().is_some() {}
    t.advance_ms(RTT_MS);
    t.send(ack(1, seq(fresh)));
    for n in fresh.. {
        match t.next_segment() {
            Some(segment) if segment.seq == seq(n) => t.send(ack(1, seq(n + 1))),
            _ => break,
        }
    }
    while t.next_segment().is_some() {}
    all_sent_or_more(&mut t);
    t.end();
}

fn all_sent_or_more(t: &mut Dialogue) {
    while let Some(event) = t.event() {
        assert!(matches!(event, Event::Sent { .. }), "{event:?}");
    }
}

/// RFC 8985 section 7: the end of a flight is lost, and nothing comes that could tell. After two round trips the last
/// segment goes out again, and its SACK shows the hole.
#[test]
fn a_probe_finds_what_is_lost_at_the_end() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 6, 6);
    t.send(ack(1, seq(3)));
    // SRTT is 40 ms.
    t.advance_ms(79);
    t.expect_nothing();
    t.advance_ms(2);
    t.expect(ours(5));
    t.advance_ms(RTT_MS);
    t.expect_nothing();
    t.send(sack(&t, 3, &[(5, 6)]));
    // What was sent two round trips before the probe is lost. RFC 6937 sends one for the one delivered.
    t.expect(ours(3));
    t.expect_nothing();
    t.send(sack(&t, 4, &[(5, 6)]));
    t.expect(ours(4));
    t.send(ack(1, seq(6)));
    all_sent(&mut t, 6);
    let counters = t.stack.counters();
    assert_eq!((counters.tcp_tail_probes, counters.tcp_timeouts), (1, 0));
    t.end();
}

/// Section 7.3: new data is the better probe, even beyond the congestion window.
#[test]
fn new_data_probes_if_there_is_some() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    t.write(flow, pattern(0, 12 * MSS));
    for n in 0..10 {
        t.expect(ours(n));
    }
    t.advance_ms(79);
    t.expect_nothing();
    t.advance_ms(2);
    t.expect(ours(10));
    t.expect_nothing();
    t.send(ack(1, seq(11)));
    t.expect(ours(11));
    t.send(ack(1, seq(12)));
    all_sent(&mut t, 12);
    assert_eq!(t.stack.counters().tcp_tail_probes, 1);
    t.end();
}

/// Section 7.2: after the probe comes the timeout, and that doubles as ever.
#[test]
fn an_unanswered_probe_is_followed_by_the_timeout() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 2, 2);
    t.advance_ms(RTT_MS + 1);
    t.expect(ours(1));
    t.advance_ms(195);
    t.expect_nothing();
    t.advance_ms(10);
    t.expect(ours(0));
    t.expect_nothing();
    t.send(ack(1, seq(2)));
    all_sent(&mut t, 2);
    t.end();
}

/// RFC 6675 section 5.1: what the peer has told to have is not sent again after a timeout.
#[test]
fn a_timeout_spares_what_has_arrived() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 6, 6);
    t.send(sack(&t, 0, &[(1, 3), (4, 5)]));
    t.expect(ours(0));
    t.expect(ours(3));
    t.advance_ms(300);
    t.expect(ours(0));
    t.expect_nothing();
    t.send(ack(1, seq(3)));
    t.expect(ours(3));
    t.expect(ours(5));
    t.send(ack(1, seq(6)));
    all_sent(&mut t, 6);
    t.end();
}

/// RFC 2018 section 8: a peer may drop what it has told to have.
#[test]
fn a_peer_that_reneges_gets_all_again() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 4, 4);
    t.send(sack(&t, 0, &[(1, 4)]));
    t.expect(ours(0));
    // The first arrives and the others are gone again.
    t.send(ack(1, seq(1)));
    t.expect_nothing();
    t.advance_ms(300);
    t.expect(ours(1));
    t.send(ack(1, seq(2)));
    t.expect(ours(2));
    t.expect(ours(3));
    t.send(ack(1, seq(4)));
    all_sent(&mut t, 4);
    t.end();
}

/// RFC 6937: in recovery data leaves as it is delivered, at the rate of the reduced window, and never as a burst.
#[test]
fn recovery_sends_in_proportion() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    t.write(flow, pattern(0, 40 * MSS));
    for n in 0..10 {
        t.expect(ours(n));
    }
    t.advance_ms(RTT_MS);
    t.send(sack(&t, 0, &[(1, 4)]));
    t.expect(ours(0));
    t.expect_nothing();
    let mut out = 0;
    for n in 5..=10 {
        t.send(sack(&t, 0, &[(1, n)]));
        let mut burst = 0;
        while t.next_segment().is_some() {
            burst += 1;
        }
        assert!(burst <= 1);
        out += burst;
    }
    // Nine delivered of ten in flight, at a factor of 0.5 to 0.85, one of them the retransmission.
    assert!((3..=7).contains(&out), "{out}");
    t.abort(flow);
    while t.next_segment().is_some() {}
    while t.event().is_some() {}
    t.end();
}

/// RFC 3522, RFC 4015: the echo tells that the original came after all. The window is what it was before.
#[test]
fn a_retransmission_in_vain_is_taken_back() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460).sack_permitted().timestamps(1, 0));
    let stamp = |segment: &Segment| segment.timestamp().unwrap().0;
    let answer = t.expect(syn_ack());
    t.advance_ms(RTT_MS);
    t.send(ack(1, 1).timestamps(2, stamp(&answer)));
    let flow = t.knock();
    t.take(flow);
    const LEN: usize = MSS - 12;
    t.write(flow, pattern(0, 40 * LEN));
    let first: Vec<_> = std::iter::from_fn(|| t.next_segment()).collect();
    assert_eq!(first.len(), 10);
    t.advance_ms(300);
    while t.next_segment().is_some() {}
    assert!(t.stack.counters().tcp_timeouts > 0);
    // All ten come, delayed, and are acknowledged with what they carried.
    let end = u32::try_from(1 + 10 * LEN).unwrap();
    t.send(ack(1, end).timestamps(3, stamp(&first[9])));
    let more = std::iter::from_fn(|| t.next_segment()).count();
    assert!(
        more >= 10,
        "{more}: a window of one segment would be left otherwise"
    );
    assert_eq!(t.stack.counters().tcp_spurious, 1);
    t.abort(flow);
    while t.next_segment().is_some() {}
    while t.event().is_some() {}
    t.end();
}

/// RFC 3708: all that was sent again came twice.
#[test]
fn a_d_sack_takes_back_too() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 10, 10);
    t.send(sack(&t, 0, &[(1, 4)]));
    t.expect(ours(0));
    t.send(ack(1, seq(10)));
    t.send(sack(&t, 10, &[(0, 1)]));
    assert_eq!(t.stack.counters().tcp_spurious, 1);
    all_sent(&mut t, 10);
    t.end();
}

/// RFC 2883 section 4: the first block tells what came twice.
#[test]
fn data_that_comes_twice_is_told() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    t.send(data(1, 1, "abc"));
    t.send(data(4, 1, "def"));
    t.advance_ms(20);
    t.expect(ack(1, 7));
    t.read(flow, "abc");
    t.read(flow, "def");
    let isn = crate::harness::dialogue::PEER_ISN;
    let edge = |start: u32, end: u32| (start.wrapping_add(isn), end.wrapping_add(isn));
    let told = |first, rest| TcpOptionElement::SelectiveAcknowledgement(first, rest);
    t.send(data(4, 1, "def"));
    t.expect(ack(1, 7).option(told(edge(4, 7), [None; 3])));
    // Once only.
    t.send(data(10, 1, "jkl"));
    t.expect(ack(1, 7).option(told(edge(10, 13), [None; 3])));
    // Beyond a gap, with the range it lies in behind it.
    t.send(data(10, 1, "jk"));
    t.expect(ack(1, 7).option(told(edge(10, 12), [Some(edge(10, 13)), None, None])));
    t.send(data(7, 1, "ghi"));
    t.expect(ack(1, 13));
    t.read(flow, "ghi");
    t.read(flow, "jkl");
    t.end();
}

/// RFC 2018 section 3: three blocks fit beside timestamps, D-SACK among them; four without.
#[test]
fn no_more_blocks_are_sent_than_fit() {
    for stamped in [false, true] {
        let mut t = Dialogue::new();
        let mut open = syn().mss(1460).sack_permitted();
        let stamp = |segment: Segment| {
            if stamped {
                segment.timestamps(1, 0)
            } else {
                segment
            }
        };
        open = stamp(open);
        let flow = t.accepted_with(open);
        for start in [10, 20, 30, 40, 50] {
            t.send(stamp(data(start, 1, "12345")));
            t.next_segment().unwrap();
        }
        t.send(stamp(data(30, 1, "123")));
        let told = t.expect(ack(1, 1));
        let blocks = told.options.unwrap().into_iter().find_map(|option| match option {
            TcpOptionElement::SelectiveAcknowledgement(_, rest) => Some(1 + rest.iter().flatten().count()),
            _ => None,
        });
        assert_eq!(blocks, Some(if stamped { 3 } else { 4 }));
        t.abort(flow);
        t.next_segment().unwrap();
        t.expect_dead(flow, Err(netstack::Error::Aborted));
        t.end();
    }
}

/// Blocks of what was never sent, or turned around, are not believed.
#[test]
fn impossible_blocks_are_ignored() {
    let mut t = Dialogue::new();
    let flow = accepted(&mut t);
    write(&mut t, flow, 4, 4);
    t.send(sack(&t, 0, &[(1, 9)]));
    t.send(sack(&t, 0, &[(3, 1)]));
    t.send(sack(&t, 0, &[(1, 1)]));
    t.advance_ms(20);
    t.expect_nothing();
    t.send(ack(1, seq(4)));
    all_sent(&mut t, 4);
    t.end();
}

/// CVE-2019-11477 and its like: the peer tells of every second byte. What is kept of that is bounded.
#[test]
fn a_sack_bomb_is_bounded() {
    let mut t = Dialogue::with(|config| config.max_loss_ranges = 300);
    let flow = accepted(&mut t);
    write(&mut t, flow, 10, 10);
    let isn = t.our_isn();
    for byte in (3..10 * u32::try_from(MSS).unwrap()).step_by(2) {
        let at = byte.wrapping_add(isn);
        let block = TcpOptionElement::SelectiveAcknowledgement((at, at.wrapping_add(1)), [None; 3]);
        t.send(ack(1, 1).option(block));
        assert!(t.stack.counters().loss_ranges <= 300);
    }
    while t.next_segment().is_some() {}
    t.send(ack(1, seq(10)));
    all_sent(&mut t, 10);
    assert_eq!(t.stack.counters().loss_ranges, 0);
    t.end();
}

/// Without a board to be had there is the timeout, and all is sent again.
#[test]
fn without_memory_for_it_the_timeout_does_it_all() {
    let mut t = Dialogue::with(|config| config.max_loss_boards = 0);
    let flow = accepted(&mut t);
    write(&mut t, flow, 4, 4);
    t.send(sack(&t, 0, &[(1, 4)]));
    t.advance_ms(100);
    t.expect_nothing();
    t.advance_ms(100);
    t.expect(ours(0));
    t.send(ack(1, seq(4)));
    all_sent(&mut t, 4);
    t.end();
}
