//! Resets, and what pretends to be one: RFC 9293 sections 3.10.7.4 and 3.5.3, RFC 5961, RFC 7323 section 5 (PAWS).

use crate::harness::dialogue::Dialogue;
use crate::harness::segment::{ACK, SYN, Segment, ack, data, rst, rst_ack, syn};
use netstack::{Error, Id};

#[test]
fn a_reset_at_the_expected_number_ends_the_flow() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "abc"));
    t.read(flow, "abc");
    t.send(rst(4));
    t.expect_dead(flow, Err(Error::ConnectionReset));
    t.advance_ms(1000);
    t.expect_nothing();
    assert_eq!(
        t.stack.tcp_close(&mut t.driver, t.now, flow),
        Err(Error::BadHandle)
    );
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

/// RFC 9293 section 3.10.7.1, in the same batch as the reset.
#[test]
fn what_follows_a_reset_is_refused_before_the_app_knows() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send_all([rst(1), ack(1, 1), rst(1), data(1, 1, "abc")]);
    t.expect(rst(1));
    t.expect(rst(1));
    t.expect_nothing();
    t.expect_dead(flow, Err(Error::ConnectionReset));
    t.end();
}

#[test]
fn data_before_the_reset_is_dropped_or_delivered_but_not_leaked() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send_all([data(1, 1, "abc"), rst(4)]);
    while let Some(event) = t.event() {
        match event {
            netstack::Event::Recv { buf, .. } => t.give_back(buf),
            netstack::Event::Dead { flow: of, reason, .. } => {
                assert_eq!((of, reason), (flow, Err(Error::ConnectionReset)));
            }
            event => panic!("{event:?}"),
        }
    }
    t.end();
}

/// RFC 5961 section 3.
#[test]
fn a_reset_elsewhere_in_the_window_is_challenged() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(rst(2));
    t.expect(ack(1, 1));
    t.send(rst_ack(1000, 1));
    t.expect(ack(1, 1));
    t.no_event();
    assert_eq!(t.stack.counters().tcp_challenge_acks, 2);
    // The true peer, out of step, resets exactly.
    t.send(rst(1));
    t.expect_dead(flow, Err(Error::ConnectionReset));
    t.end();
}

#[test]
fn a_reset_outside_of_the_window_is_dropped() {
    let mut t = Dialogue::new();
    t.accepted();
    t.send(rst(0));
    t.send(rst(1 << 20));
    t.expect_nothing();
    t.no_event();
    t.end();
}

/// RFC 5961 section 4.
#[test]
fn a_syn_is_challenged() {
    let mut t = Dialogue::new();
    t.accepted();
    for seq in [0, 1, 500, 1 << 20] {
        let mut again = syn().mss(1460);
        again.seq = seq;
        t.send(again);
        t.expect(ack(1, 1));
    }
    t.no_event();
    t.end();
}

/// RFC 5961 section 5.
#[test]
fn an_impossible_acknowledgement_is_challenged_and_its_data_dropped() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 2, "forged"));
    t.expect(ack(1, 1));
    t.send(data(1, 0u32.wrapping_sub(1 << 21), "forged"));
    t.expect(ack(1, 1));
    t.no_event();
    t.send(data(1, 1, "true"));
    t.read(flow, "true");
    t.end();
}

#[test]
fn segments_without_ack_are_dropped() {
    let mut t = Dialogue::new();
    t.accepted();
    t.send(data(1, 0, "x").flags(0));
    t.expect_nothing();
    t.no_event();
    t.end();
}

/// RFC 5961 section 7.
#[test]
fn challenges_are_limited_in_rate() {
    let mut t = Dialogue::with(|config| config.tcp.challenge_acks_per_second = 10);
    t.accepted();
    let challenge = |t: &mut Dialogue| {
        for _ in 0..100 {
            t.send(rst(5));
        }
        std::iter::from_fn(|| t.next_segment()).count()
    };
    assert_eq!(challenge(&mut t), 10);
    assert_eq!(t.stack.counters().tcp_challenge_acks_limited, 90);
    // The limit of other seconds is not to be foreseen.
    let mut others = Vec::new();
    for _ in 0..20 {
        t.advance_ms(1100);
        others.push(challenge(&mut t));
    }
    assert!(others.iter().all(|count| (5..=10).contains(count)), "{others:?}");
    assert!(others.iter().any(|count| *count != others[0]), "{others:?}");
    t.end();
}

#[test]
fn out_of_window_data_is_answered_by_an_ack() {
    let mut t = Dialogue::new();
    t.accepted();
    t.send(data(1 << 20, 1, "far away"));
    t.expect(ack(1, 1));
    t.no_event();
    t.end();
}

fn stamped(t: &mut Dialogue) -> (Id, u32) {
    t.listen();
    t.send(syn().mss(1460).timestamps(1000, 0));
    let ours = t.next_segment().unwrap().timestamp().unwrap().0;
    t.send(ack(1, 1).timestamps(1001, ours));
    let flow = t.knock();
    t.take(flow);
    (flow, ours)
}

#[test]
fn old_timestamps_are_acknowledged_and_dropped() {
    let mut t = Dialogue::new();
    let (flow, ours) = stamped(&mut t);
    t.send(data(1, 1, "new").timestamps(1010, ours));
    t.read(flow, "new");
    t.send(data(4, 1, "old").timestamps(1009, ours));
    t.expect(ack(1, 4));
    t.no_event();
    assert_eq!(t.stack.counters().tcp_paws_dropped, 1);
    t.send(data(4, 1, "next").timestamps(1010, ours));
    t.read(flow, "next");
    t.advance_ms(20);
    t.expect(ack(1, 8));
    t.end();
}

/// RFC 7323 section 5.2: PAWS does not apply to resets.
#[test]
fn a_reset_needs_no_timestamp() {
    let mut t = Dialogue::new();
    let (flow, _) = stamped(&mut t);
    t.send(rst(1));
    t.expect_dead(flow, Err(Error::ConnectionReset));
    t.end();
}

/// RFC 7323 section 5.5: after 24 days of silence the peer's clock may have wrapped.
#[test]
fn timestamps_expire() {
    let mut t = Dialogue::new();
    let (flow, ours) = stamped(&mut t);
    t.advance_ms(25 * 24 * 3600 * 1000);
    t.send(data(1, 1, "after").timestamps(5, ours));
    t.read(flow, "after");
    t.advance_ms(20);
    t.expect(ack(1, 6));
    t.end();
}

#[test]
fn the_echo_is_that_of_the_segment_acknowledged() {
    let mut t = Dialogue::new();
    let (flow, ours) = stamped(&mut t);
    // RFC 7323 section 4.3: of delayed ACKs the earliest, of filled gaps the one that filled it.
    t.send(data(4, 1, "def").timestamps(2000, ours));
    let duplicate = t.expect(ack(1, 1));
    assert_eq!(duplicate.timestamp().unwrap().1, 1001);
    t.send(data(1, 1, "abc").timestamps(3000, ours));
    let filled = t.expect(ack(1, 7));
    assert_eq!(filled.timestamp().unwrap().1, 3000);
    t.read(flow, "abc");
    t.read(flow, "def");
    t.end();
}

/// Odd combinations of bits neither panic nor get an answer to an answer.
#[test]
fn every_combination_of_bits_is_survived() {
    for bits in 0..64u8 {
        let mut t = Dialogue::new();
        let flow = t.accepted();
        let odd: Segment = data(1, 1, "?").flags(bits);
        t.send(odd);
        while let Some(segment) = t.next_segment() {
            assert!(segment.flags & SYN == 0, "{bits:#x}: {segment:?}");
        }
        while let Some(event) = t.event() {
            if let netstack::Event::Recv { buf, .. } = event {
                assert!(bits & ACK != 0);
                t.give_back(buf);
            }
        }
        while t.next_segment().is_some() {}
        let _ = flow;
        t.end();
    }
}
