//! Data in both directions, and when it is acknowledged: RFC 9293 section 3.8.6.3, RFC 1122 section 4.2.3.2.

use crate::harness::dialogue::{Dialogue, full, pattern};
use crate::harness::driver::Device;
use crate::harness::segment::{ack, data, syn, syn_ack};
use netstack::{Error, Event};

#[test]
fn received_data_is_acknowledged_after_the_delay() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "hello"));
    t.read(flow, "hello");
    t.expect_nothing();
    t.advance_ms(9);
    t.expect_nothing();
    t.advance_ms(2);
    t.expect(ack(1, 6));
    t.advance_ms(1000);
    t.expect_nothing();
    assert_eq!(t.stack.counters().tcp_delayed_acks, 1);
    t.end();
}

#[test]
fn an_answer_carries_the_acknowledgement() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "ping"));
    t.read(flow, "ping");
    t.write(flow, "pong");
    t.expect(data(1, 5, "pong"));
    t.advance_ms(100);
    t.expect_nothing();
    t.send(data(5, 5, "ping"));
    t.expect_sent(flow, 4);
    t.read(flow, "ping");
    t.write(flow, "pong");
    t.expect(data(5, 9, "pong"));
    t.send(ack(9, 9));
    t.expect_sent(flow, 4);
    t.end();
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(full(1, 1));
    t.expect_nothing();
    t.send(full(1461, 1));
    t.expect(ack(1, 2921));
    t.send_all([full(2921, 1), full(4381, 1)]);
    t.expect(ack(1, 5841));
    for at in [1, 1461, 2921, 4381] {
        t.read(flow, pattern(at, 1460));
    }
    t.expect_nothing();
    t.end();
}

#[test]
fn writes_are_cut_into_segments() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let bytes = pattern(0, 4000);
    assert_eq!(t.write(flow, &bytes), 4000);
    t.expect(data(1, 1, &bytes[..1460]));
    t.expect(data(1461, 1, &bytes[1460..2920]));
    t.expect(data(2921, 1, &bytes[2920..]));
    t.send(ack(1, 2921));
    t.expect_sent(flow, 2920);
    t.send(ack(1, 4001));
    t.expect_sent(flow, 1080);
    t.end();
}

#[test]
fn writes_of_one_turn_share_segments() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    for piece in ["one ", "two ", "three"] {
        let span = t.driver.place(piece.as_bytes());
        t.stack.tcp_send(&mut t.driver, t.now, flow, &[span]).unwrap();
    }
    t.turn();
    t.expect(data(1, 1, "one two three"));
    t.send(ack(1, 14));
    t.expect_sent(flow, 13);
    t.end();
}

#[test]
fn many_small_pieces_make_more_segments() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let spans: Vec<_> = (0..20).map(|i| t.driver.place(&[b'a' + i])).collect();
    assert_eq!(t.stack.tcp_send(&mut t.driver, t.now, flow, &spans), Ok(20));
    t.turn();
    let mut got = Vec::new();
    while let Some(segment) = t.next_segment() {
        got.extend(segment.payload);
    }
    assert_eq!(got, b"abcdefghijklmnopqrst");
    t.send(ack(1, 21));
    t.expect_sent(flow, 20);
    t.end();
}

#[test]
fn small_writes_of_one_flow_leave_spans_to_others() {
    let mut t = Dialogue::with(|config| config.max_send_spans = 64);
    t.listen();
    let [busy, other] = [40_000, 40_001].map(|port| {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
        t.send(ack(1, 1).port(port));
        let flow = t.knock();
        t.take(flow);
        flow
    });
    let pieces: Vec<_> = (0..30).map(|_| t.driver.place(b"x")).collect();
    let now = t.now;
    let Dialogue { stack, driver, .. } = &mut t;
    let accepted = [(); 3].map(|()| stack.tcp_send(driver, now, busy, &pieces));
    assert_eq!(accepted, [Ok(30), Ok(2), Err(Error::NoMemory)]);
    assert_eq!(stack.tcp_send(driver, now, other, &pieces), Ok(16));
    t.turn();
    t.discard_frames();
    t.send(ack(1, 33).port(40_000));
    t.expect_sent(busy, 32);
    let Dialogue { stack, driver, .. } = &mut t;
    assert_eq!(stack.tcp_send(driver, now, busy, &pieces[..20]), Ok(20));
    for flow in [busy, other] {
        t.abort(flow);
        t.expect_dead(flow, Err(Error::Aborted));
    }
    t.discard_frames();
    t.end();
}

#[test]
fn empty_spans_are_nothing() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    assert_eq!(t.write(flow, ""), 0);
    t.expect_nothing();
    t.end();
}

#[test]
fn the_send_queue_is_bounded() {
    let mut t = Dialogue::with(|config| config.tcp.send_queue_bytes = 10_000);
    let flow = t.accepted_with(syn().mss(1000));
    assert_eq!(t.write(flow, pattern(0, 8_000)), 8_000);
    assert_eq!(t.write(flow, pattern(0, 8_000)), 2_000);
    assert_eq!(t.write(flow, pattern(0, 8_000)), 0);
    while t.next_segment().is_some() {}
    t.send(ack(1, 3001));
    match t.event() {
        Some(Event::Sent { len: 3000, room, .. }) => assert_eq!(room, 3_000),
        event => panic!("{event:?}"),
    }
    assert_eq!(t.write(flow, pattern(0, 8_000)), 3_000);
    while t.next_segment().is_some() {}
    t.send(ack(1, 13_001));
    t.expect_sent(flow, 10_000);
    t.end();
}

#[test]
fn acknowledgements_are_told_once_and_summed() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, pattern(0, 3000));
    while t.next_segment().is_some() {}
    t.send_all([ack(1, 1461), ack(1, 2921)]);
    t.send(ack(1, 3001));
    t.expect_sent(flow, 3000);
    t.no_event();
    t.end();
}

/// Zero copy: `Sent` says that nobody reads the memory any more, the transmit ring included.
#[test]
fn sent_waits_for_the_device_to_let_go() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, "data");
    t.expect(data(1, 1, "data"));
    t.driver.device = Device::Held;
    t.advance_ms(250); // retransmitted, into the ring
    assert_eq!(t.driver.in_flight(), 1);
    t.send(ack(1, 5));
    t.no_event();
    t.driver.transmit(1);
    t.turn();
    t.expect(data(1, 1, "data"));
    t.expect_sent(flow, 4);
    t.end();
}

/// A peer that acknowledges what still stands in the transmit ring would get what the app puts there next.
#[test]
fn an_acknowledgement_ahead_of_the_device_is_not_believed() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.driver.device = Device::Held;
    t.write(flow, "data");
    assert_eq!(t.driver.in_flight(), 1);
    t.send(ack(1, 5));
    t.no_event();
    t.driver.transmit(1);
    t.turn();
    t.expect(data(1, 1, "data"));
    t.expect_sent(flow, 4);
    t.end();
}

/// Nor does a sender that never lets the transmit ring run dry wait for ever.
#[test]
fn sent_is_told_while_newer_frames_stand_in_the_ring() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.driver.device = Device::Held;
    t.write(flow, "one.");
    t.write(flow, "two.");
    t.driver.transmit(1);
    t.turn();
    t.expect(data(1, 1, "one."));
    t.send(ack(1, 5));
    t.expect_sent(flow, 4);
    t.send(ack(1, 9));
    t.no_event();
    t.write(flow, "three");
    t.driver.transmit(1);
    t.turn();
    t.expect(data(5, 1, "two."));
    t.expect_sent(flow, 4);
    t.driver.transmit(1);
    t.turn();
    t.expect(data(9, 1, "three"));
    t.send(ack(1, 14));
    t.expect_sent(flow, 5);
    t.end();
}

#[test]
fn dead_waits_for_the_device_to_let_go() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.driver.device = Device::Held;
    t.write(flow, "data");
    assert_eq!(t.driver.in_flight(), 1);
    t.send(crate::harness::segment::rst(1));
    t.no_event();
    t.driver.transmit(1);
    t.turn();
    t.expect(data(1, 1, "data"));
    t.expect_dead(flow, Err(Error::ConnectionReset));
    t.end();
}

#[test]
fn a_full_ring_delays_and_loses_nothing() {
    let mut t = Dialogue::new();
    t.driver.ring_len = 2;
    let flow = t.accepted();
    t.driver.device = Device::Held;
    let bytes = pattern(0, 1460 * 5);
    t.write(flow, &bytes);
    let mut got = Vec::new();
    for _ in 0..10 {
        t.driver.transmit(2);
        t.turn();
        while let Some(segment) = t.next_segment() {
            got.extend(segment.payload);
        }
    }
    assert_eq!(got, bytes);
    t.send(ack(1, 7301));
    t.expect_sent(flow, 7300);
    t.end();
}

#[test]
fn checksums_can_be_left_to_the_device() {
    let mut t = Dialogue::with(|config| config.tx_checksum = true);
    let flow = t.accepted();
    t.write(flow, "odd");
    t.expect(data(1, 1, "odd"));
    t.send(ack(1, 4));
    t.expect_sent(flow, 3);
    t.end();
}

#[test]
fn stale_and_forged_handles_are_refused() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let forged = netstack::Id {
        index: u32::MAX,
        ..flow
    };
    let stale = netstack::Id {
        generation: flow.generation.wrapping_sub(1) & 0xfff_ffff,
        ..flow
    };
    for id in [forged, stale] {
        assert_eq!(
            t.stack.tcp_send(&mut t.driver, t.now, id, &[]),
            Err(Error::BadHandle)
        );
        assert_eq!(t.stack.tcp_close(&mut t.driver, t.now, id), Err(Error::BadHandle));
        assert_eq!(t.stack.tcp_abort(&mut t.driver, t.now, id), Err(Error::BadHandle));
        assert_eq!(
            t.stack.tcp_shutdown(&mut t.driver, t.now, id),
            Err(Error::BadHandle)
        );
        assert_eq!(t.stack.tcp_accept(id, 1), Err(Error::BadHandle));
        assert_eq!(
            t.stack.tcp_reject(&mut t.driver, t.now, id),
            Err(Error::BadHandle)
        );
    }
    assert!(t.stack.tcp_accept(flow, 1).is_err(), "accepted twice");
    t.end();
}

#[test]
fn many_flows_keep_apart() {
    let mut t = Dialogue::new();
    t.listen_with_backlog(64);
    let mut flows = Vec::new();
    for port in 1..=40 {
        t.send(syn().mss(1460).port(port));
        t.expect(crate::harness::segment::syn_ack().port(port));
        t.send(ack(1, 1).port(port));
        let flow = t.knock();
        t.take(flow);
        flows.push(flow);
    }
    for (port, flow) in (1..).zip(&flows) {
        t.send(data(1, 1, format!("to {port}")).port(port));
        t.read(*flow, format!("to {port}"));
        t.write(*flow, format!("from {port}"));
        let len = u32::try_from(format!("to {port}").len()).unwrap();
        t.expect(data(1, 1 + len, format!("from {port}")).port(port));
    }
    for port in 1..=40u16 {
        let len = u32::try_from(format!("from {port}").len()).unwrap();
        let seq = 1 + len - 2;
        t.send(ack(seq, 1 + len).port(port));
        t.expect_sent(flows[usize::from(port) - 1], len);
    }
    t.end();
}
