//! Attacks with a purpose: each costs the attacker more than us, and an honest peer beside it does not notice.

use crate::harness::dialogue::{Dialogue, full, pattern};
use crate::harness::segment::{ACK, RST, SYN, Segment, ack, data, syn, syn_ack};
use crate::harness::{OUR_IP, PEER_MAC, frames, random::Random};
use etherparse::ArpOperation;
use netstack::wire::ethernet::MacAddr;
use netstack::{Event, Id};
use std::net::Ipv4Addr;

/// First port of the attackers'; the honest peer has the usual one.
const ATTACKER: u16 = 41_000;

/// A connection of an attacker's, accepted.
fn attackers_flow(t: &mut Dialogue, port: u16) -> Id {
    t.send(syn().mss(1460).port(port));
    t.expect(syn_ack().port(port));
    t.send(ack(1, 1).port(port));
    let flow = t.knock();
    t.take(flow);
    flow
}

/// An honest peer's request is answered within this cycle.
#[track_caller]
fn honest_echo(t: &mut Dialogue, flow: Id, seq: u32) {
    t.send(data(seq, seq, pattern(seq as usize, 64)));
    t.read(flow, pattern(seq as usize, 64));
    t.write(flow, pattern(seq as usize, 64));
    t.expect(data(seq, seq + 64, pattern(seq as usize, 64)));
    t.send(ack(seq + 64, seq + 64));
    t.expect_sent(flow, 64);
}

/// Drops what the app is told of attackers, and what is sent to them.
fn ignore_attackers(t: &mut Dialogue) {
    while let Some(event) = t.event() {
        match event {
            Event::Recv { buf, .. } => t.give_back(buf),
            Event::Sent { .. } | Event::Eof { .. } => {}
            event => panic!("{event:?}"),
        }
    }
    while t.next_segment().is_some() {}
}

#[test]
fn slow_senders_of_single_bytes_hold_little() {
    let mut t = Dialogue::new();
    let honest = t.accepted();
    let flows: Vec<Id> = (0..40).map(|n| attackers_flow(&mut t, ATTACKER + n)).collect();
    for round in 0..200 {
        for n in 0..flows.len() {
            let port = ATTACKER + u16::try_from(n).unwrap();
            t.send(data(1 + round, 1, "x").port(port));
        }
        // The app waits for a whole request, as apps do: it holds on to nothing, but the bytes keep coming.
        ignore_attackers(&mut t);
        t.advance_ms(100);
        while t.next_segment().is_some() {}
        honest_echo(&mut t, honest, 1 + round * 64);
    }
    let counters = t.stack.counters();
    assert_eq!((counters.buffers_queued, counters.buffers_lent), (0, 0));
    t.end();
}

#[test]
fn slow_readers_hold_what_they_were_sent_and_no_more() {
    let mut t = Dialogue::with(|config| config.tcp.send_queue_bytes = 10_000);
    let honest = t.accepted();
    let flows: Vec<Id> = (0..20)
        .map(|n| {
            let port = ATTACKER + n;
            t.send(syn().mss(1460).window(1).port(port));
            t.expect(syn_ack().port(port));
            t.send(ack(1, 1).window(1).port(port));
            let flow = t.knock();
            t.take(flow);
            flow
        })
        .collect();
    for flow in &flows {
        assert_eq!(t.write(*flow, [b'r'; 20_000]), 10_000);
        assert_eq!(t.write(*flow, [b'r'; 1]), 0);
    }
    let before = t.stack.counters().tx_tcp;
    for second in 0..60 {
        t.advance_ms(1000);
        while t.next_segment().is_some() {}
        honest_echo(&mut t, honest, 1 + second * 64);
    }
    let spent = t.stack.counters().tx_tcp - before;
    // Probes with backoff, or a byte at a time; never a storm.
    assert!(spent < 60 + 20 * 60, "{spent} segments in a minute");
    assert!(t.stack.counters().send_spans <= 20);
    t.end();
}

#[test]
fn a_tiny_mss_makes_no_storm_of_tiny_segments() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn().mss(1).sack_permitted());
    let before = t.stack.counters().tx_tcp;
    t.write(flow, [b'm'; 8800]);
    let mut acknowledged = 1;
    while acknowledged < 8801 {
        let mut latest = acknowledged;
        while let Some(segment) = t.next_segment() {
            assert!(segment.payload.len() >= 40, "{segment:?}");
            latest = latest.max(segment.seq + u32::try_from(segment.payload.len()).unwrap());
        }
        acknowledged = latest;
        t.send(ack(1, acknowledged));
    }
    let spent = t.stack.counters().tx_tcp - before;
    assert!(spent <= 8800 / 40 + 1, "{spent} segments");
    t.expect_sent_or_read(flow);
    t.end();
}

#[test]
fn divided_acknowledgements_do_not_widen_the_window() {
    let sent_after = |pieces: u32| {
        let mut t = Dialogue::new();
        let flow = t.accepted();
        t.write(flow, vec![b'd'; 400_000]);
        while t.next_segment().is_some() {}
        // One segment is acknowledged, whole or in pieces.
        for piece in 1..=pieces {
            t.send(ack(1, 1 + 1460 * piece / pieces));
        }
        let sent = std::iter::from_fn(|| t.next_segment()).count();
        t.expect_sent_or_read(flow);
        t.abort(flow);
        while t.next_segment().is_some() {}
        sent
    };
    let (whole, divided) = (sent_after(1), sent_after(1460));
    assert!(
        divided <= whole + 1,
        "{divided} segments after 1460 ACKs, {whole} after one"
    );
}

#[test]
fn acknowledging_what_was_not_sent_gains_nothing() {
    let mut t = Dialogue::with(|config| config.tcp.challenge_acks_per_second = 10);
    let flow = t.accepted();
    t.write(flow, vec![b'o'; 200_000]);
    let sent = std::iter::from_fn(|| t.next_segment()).count();
    assert_eq!(sent, 10);
    for step in 1..1000 {
        t.send(ack(1, 1 + 14_600 + step * 100));
    }
    let answers: Vec<Segment> = std::iter::from_fn(|| t.next_segment()).collect();
    assert!(answers.len() <= 10, "{} answers", answers.len());
    assert!(answers.iter().all(|answer| answer.payload.is_empty()));
    t.no_event();
    t.abort(flow);
    t.next_segment().expect("a reset");
    t.expect_dead(flow, Err(netstack::Error::Aborted));
    t.end();
}

#[test]
fn blind_resets_and_syns_end_nothing_and_are_answered_sparingly() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let mut random = Random::new(7);
    for second in 0..10 {
        for _ in 0..500 {
            // Anywhere but at the very number.
            let seq = 2 + random.number32() % (u32::MAX - 100_000);
            let flags = [RST, SYN, RST | ACK, SYN | ACK][random.index(4)];
            t.send(ack(seq.max(second * 64 + 2), 1).flags(flags));
        }
        let answers = std::iter::from_fn(|| t.next_segment()).count();
        assert!(answers <= 100, "{answers} challenges in a second");
        t.no_event();
        t.advance_ms(1100);
        while t.next_segment().is_some() {}
        honest_echo(&mut t, flow, 1 + second * 64);
    }
    t.end();
}

#[test]
fn bombs_of_segments_out_of_order_are_bounded_and_spare_others() {
    let mut t = Dialogue::new();
    let honest = t.accepted();
    let flows: Vec<Id> = (0..20).map(|n| attackers_flow(&mut t, ATTACKER + n)).collect();
    for gap in 0..200 {
        for n in 0..flows.len() {
            let port = ATTACKER + u16::try_from(n).unwrap();
            t.send(data(3 + 2 * gap, 1, "b").port(port));
        }
        while t.next_segment().is_some() {}
        let counters = t.stack.counters();
        // Of 256 buffers 32 are kept back, and a quarter of the rest is for UDP; out of order takes half at most.
        assert!(counters.buffers_queued <= 97, "{counters:?}");
        if gap % 20 == 0 {
            honest_echo(&mut t, honest, 1 + gap / 20 * 64);
        }
    }
    t.end();
}

#[test]
fn a_flood_of_claims_by_arp_changes_no_connection() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    honest_echo(&mut t, flow, 1);
    for claim in 0..20_000u32 {
        let [_, _, high, low] = claim.to_be_bytes();
        let station = MacAddr([2, 1, 0, 0, high, low]);
        let address = Ipv4Addr::new(10, 0, 0, low.max(3));
        let operation = if claim % 2 == 0 {
            ArpOperation::REQUEST
        } else {
            ArpOperation::REPLY
        };
        t.inject(&frames::arp(
            operation,
            (station, address),
            (MacAddr([0; 6]), OUR_IP),
        ));
    }
    // Answers to those who asked for us.
    while let Some(frame) = t.next_frame() {
        assert!(frames::decode_arp(&frame).is_some());
    }
    t.send(full(65, 65));
    t.read(flow, pattern(65, 1460));
    t.write(flow, "still here");
    let frame = t.next_frame().expect("what was written");
    assert_eq!(frame[..6], PEER_MAC.0, "to the same station as before");
    t.send(ack(1525, 75));
    t.expect_sent(flow, 10);
    t.end();
}
