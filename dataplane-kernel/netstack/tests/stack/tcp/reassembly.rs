//! Segments out of order: RFC 9293 section 3.10.7.4, RFC 5681 section 4.2, RFC 2018.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{ack, data, fin, syn};
use etherparse::TcpOptionElement;

#[test]
fn a_gap_is_told_at_once_and_filled() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(4, 1, "def"));
    t.expect(ack(1, 1));
    t.no_event();
    t.send(data(1, 1, "abc"));
    t.expect(ack(1, 7));
    t.read(flow, "abc");
    t.read(flow, "def");
    t.end();
}

#[test]
fn gaps_in_gaps() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    for seq in [9, 5, 7, 3] {
        t.send(data(seq, 1, pattern(seq as usize, 2)));
        t.expect(ack(1, 1));
    }
    t.send(data(1, 1, pattern(1, 2)));
    t.expect(ack(1, 11));
    for seq in [1, 3, 5, 7, 9] {
        t.read(flow, pattern(seq, 2));
    }
    t.end();
}

#[test]
fn duplicates_are_acknowledged_and_dropped() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "abc"));
    t.read(flow, "abc");
    t.send(data(1, 1, "abc"));
    t.expect(ack(1, 4));
    t.no_event();
    t.send(data(7, 1, "ghi"));
    t.expect(ack(1, 4));
    t.send(data(7, 1, "ghi"));
    t.expect(ack(1, 4));
    assert_eq!(t.driver.buffers_out(), 1);
    t.send(data(4, 1, "def"));
    t.expect(ack(1, 10));
    t.read(flow, "def");
    t.read(flow, "ghi");
    t.end();
}

#[test]
fn overlaps_are_cut() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let text = b"_abcdefghijklmnop";
    let part = |from: usize, to: usize| data(u32::try_from(from).unwrap(), 1, &text[from..to]);
    t.send(part(1, 4));
    t.read(flow, "abc");
    t.send(part(2, 6)); // the front is old
    t.read(flow, "de");
    for (from, to) in [(8, 10), (12, 14), (7, 13), (9, 11)] {
        t.send(part(from, to));
    }
    t.send(part(1, 9)); // fills the gap, and overlaps on both sides
    while let Some(segment) = t.next_segment() {
        assert!(
            segment.ack == 6 || segment.ack == 14 || segment.ack == 4,
            "{segment:?}"
        );
    }
    let mut got = Vec::new();
    while let Some(netstack::Event::Recv { buf, offset, len, .. }) = t.event() {
        got.extend_from_slice(t.driver.view(&buf, offset, len));
        t.give_back(buf);
    }
    assert_eq!(String::from_utf8_lossy(&got), "fghijklm");
    t.advance_ms(100);
    while t.next_segment().is_some() {}
    t.end();
}

#[test]
fn sack_tells_what_has_come_most_recent_first() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn().mss(1460).sack_permitted());
    let base = crate::harness::dialogue::PEER_ISN;
    let edges = |from: u32, to: u32| (base.wrapping_add(from), base.wrapping_add(to));
    let sack = |first, rest| TcpOptionElement::SelectiveAcknowledgement(first, rest);
    t.send(data(4, 1, "def"));
    t.expect(ack(1, 1).option(sack(edges(4, 7), [None; 3])));
    t.send(data(10, 1, "jkl"));
    t.expect(ack(1, 1).option(sack(edges(10, 13), [Some(edges(4, 7)), None, None])));
    t.send(data(7, 1, "ghi"));
    t.expect(ack(1, 1).option(sack(edges(4, 13), [None; 3])));
    t.send(data(1, 1, "abc"));
    t.expect(ack(1, 13).no_options());
    for bytes in ["abc", "def", "ghi", "jkl"] {
        t.read(flow, bytes);
    }
    t.end();
}

#[test]
fn without_sack_permitted_none_is_sent() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(4, 1, "def"));
    t.expect(ack(1, 1).no_options());
    t.send(data(1, 1, "abc"));
    t.expect(ack(1, 7));
    t.read(flow, "abc");
    t.read(flow, "def");
    t.end();
}

/// An ACK for everything else than text would be answered by a peer in the same position, and so on without end.
#[test]
fn a_gap_before_a_fin_is_no_reason_to_answer_an_ack() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(fin(4, 1));
    t.expect(ack(1, 1));
    t.send(ack(5, 1));
    t.expect_nothing();
    t.send(data(1, 1, "abc"));
    t.advance_ms(20);
    t.expect(ack(1, 5));
    t.read(flow, "abc");
    t.expect_eof(flow);
    t.end();
}

#[test]
fn a_fin_beyond_a_gap_waits_for_it() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(fin(4, 1).payload("def"));
    t.expect(ack(1, 1));
    t.no_event();
    t.send(data(1, 1, "abc"));
    t.expect(ack(1, 8));
    t.read(flow, "abc");
    t.read(flow, "def");
    t.expect_eof(flow);
    t.end();
}

#[test]
fn a_bare_fin_beyond_a_gap_waits_for_it() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(fin(4, 1));
    t.expect(ack(1, 1));
    t.no_event();
    t.send(data(1, 1, "abc"));
    t.expect(ack(1, 5));
    t.read(flow, "abc");
    t.expect_eof(flow);
    t.end();
}

#[test]
fn nothing_after_the_fin_is_delivered() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(6, 1, "after"));
    t.send(fin(1, 1).payload("abc"));
    t.read(flow, "abc");
    t.expect_eof(flow);
    t.send(data(5, 1, "more"));
    t.no_event();
    while t.next_segment().is_some() {}
    t.advance_ms(100);
    while t.next_segment().is_some() {}
    t.close(flow);
    t.expect(fin(1, 5));
    t.send(ack(5, 2));
    t.expect_dead(flow, Ok(()));
    t.end();
}

#[test]
fn what_the_window_does_not_cover_is_cut() {
    let mut t = Dialogue::with(|config| config.tcp.receive_window_bytes = 5000);
    let flow = t.accepted();
    t.send(data(5000, 1, "ab"));
    t.expect(ack(1, 1));
    t.send(data(5001, 1, "b"));
    t.expect(ack(1, 1));
    let mut seq = 1;
    while seq < 5000 {
        let len = (5000 - seq).min(1000) as usize;
        t.send(data(seq, 1, pattern(seq as usize, len)));
        t.read(flow, pattern(seq as usize, len));
        seq += u32::try_from(len).unwrap();
    }
    t.read(flow, "a");
    let last = std::iter::from_fn(|| t.next_segment()).last();
    t.advance_ms(100);
    let last = std::iter::from_fn(|| t.next_segment()).last().or(last).unwrap();
    assert_eq!(last.ack, 5001);
    t.end();
}

/// Strangers' gaps must not eat the pool.
#[test]
fn gaps_hold_a_bounded_number_of_buffers() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    for i in 0..1000 {
        t.send(data(3 + 2 * i, 1, "x"));
    }
    while t.next_segment().is_some() {}
    assert!(t.driver.buffers_out() < 250, "{}", t.driver.buffers_out());
    // What fills the gap is always taken.
    t.send(data(1, 1, "ab"));
    t.read(flow, "ab");
    while t.next_segment().is_some() {}
    while let Some(event) = t.event() {
        let netstack::Event::Recv { buf, .. } = event else {
            panic!("{event:?}")
        };
        t.give_back(buf);
    }
    t.abort(flow);
    t.expect_dead(flow, Err(netstack::Error::Aborted));
    assert_eq!(t.driver.buffers_out(), 0);
    while t.next_segment().is_some() {}
    t.end();
}
