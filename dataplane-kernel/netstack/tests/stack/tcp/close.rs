//! The end of connections: RFC 9293 section 3.6.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{FIN, ack, data, fin, rst, syn, syn_ack};
use netstack::{Error, Event, Id};

/// Closes from our side until TIME-WAIT.
#[track_caller]
fn close_first(t: &mut Dialogue, flow: Id) {
    t.close(flow);
    t.expect(fin(1, 1));
    t.send(ack(1, 2));
    t.no_event();
    t.send(fin(1, 2));
    t.expect(ack(2, 2));
    t.expect_dead(flow, Ok(()));
}

#[test]
fn the_peer_closes_first() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(fin(1, 1));
    t.expect_eof(flow);
    t.advance_ms(50);
    t.expect(ack(1, 2));
    t.close(flow);
    t.expect(fin(1, 2));
    t.no_event();
    t.send(ack(2, 2));
    t.expect_dead(flow, Ok(()));
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn we_close_first_and_wait_out_time_wait() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    close_first(&mut t, flow);
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.advance_ms(59_000);
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.advance_ms(1_100);
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn our_fin_and_its_ack_in_one_segment_with_the_peers() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.close(flow);
    t.expect(fin(1, 1));
    t.send(fin(1, 2));
    t.expect(ack(2, 2));
    t.expect_dead(flow, Ok(()));
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.end();
}

#[test]
fn both_close_at_once() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.close(flow);
    t.expect(fin(1, 1));
    t.send(fin(1, 1)); // crossed: does not acknowledge ours
    t.expect(ack(2, 2));
    t.no_event();
    t.send(ack(2, 2));
    t.expect_dead(flow, Ok(()));
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.end();
}

#[test]
fn what_was_queued_goes_before_the_fin() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let span = t.driver.place(b"last words");
    t.stack.tcp_send(&mut t.driver, t.now, flow, &[span]).unwrap();
    t.close(flow);
    t.expect(fin(1, 1).payload("last words"));
    t.send(fin(1, 12));
    t.expect_sent(flow, 10);
    t.expect(ack(12, 2));
    t.expect_dead(flow, Ok(()));
    t.end();
}

#[test]
fn the_fin_waits_for_the_window() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn().mss(1460).window(1000));
    t.write(flow, pattern(0, 1500));
    t.close(flow);
    t.expect(data(1, 1, pattern(0, 1000)));
    t.expect_nothing();
    t.send(ack(1, 1001).window(1000));
    t.expect(fin(1001, 1).payload(pattern(1000, 500)));
    t.send(ack(1, 1502));
    t.expect_sent(flow, 1500);
    t.end();
}

#[test]
fn a_lost_fin_is_repeated() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.close(flow);
    t.expect(fin(1, 1));
    for ms in [201, 401, 801] {
        t.advance_ms(ms);
        t.expect(fin(1, 1));
    }
    t.send(fin(1, 2));
    t.expect(ack(2, 2));
    t.expect_dead(flow, Ok(()));
    t.end();
}

#[test]
fn a_closed_flow_whose_peer_is_silent_is_given_up() {
    let mut t = Dialogue::with(|config| config.tcp.max_orphan_retransmits = 3);
    let flow = t.accepted();
    t.close(flow);
    t.advance_ms(10_000);
    while t.next_segment().is_some() {}
    t.expect_dead(flow, Err(Error::TimedOut));
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn a_peer_that_never_closes_is_given_up_in_fin_wait_2() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.close(flow);
    t.expect(fin(1, 1));
    t.send(ack(1, 2));
    t.advance_ms(59_000);
    t.no_event();
    t.advance_ms(2_000);
    match t.event() {
        Some(Event::Dead { flow: of, .. }) => assert_eq!(of, flow),
        event => panic!("{event:?}"),
    }
    while t.next_segment().is_some() {}
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn half_closed_by_us_still_receives() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, "request");
    t.shutdown(flow);
    t.expect(data(1, 1, "request"));
    t.expect(fin(8, 1));
    t.send(ack(1, 9));
    t.expect_sent(flow, 7);
    let span = t.driver.place(b"no more");
    assert_eq!(
        t.stack.tcp_send(&mut t.driver, t.now, flow, &[span]),
        Err(Error::Closed)
    );
    t.advance_ms(120_000); // no limit to it while the app is there
    t.send(data(1, 9, "answer"));
    t.read(flow, "answer");
    t.advance_ms(20);
    t.expect(ack(9, 7));
    t.send(fin(7, 9));
    t.expect_eof(flow);
    t.expect(ack(9, 8));
    t.close_or_gone(flow);
    t.expect_dead(flow, Ok(()));
    t.end();
}

#[test]
fn half_closed_by_the_peer_still_sends() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(fin(1, 1).payload("request"));
    t.read(flow, "request");
    t.expect_eof(flow);
    t.write(flow, "answer");
    t.expect(data(1, 9, "answer"));
    t.send(ack(9, 7));
    t.expect_sent(flow, 6);
    t.close(flow);
    t.expect(fin(7, 9));
    t.send(ack(9, 8));
    t.expect_dead(flow, Ok(()));
    t.end();
}

#[test]
fn a_repeated_fin_is_acknowledged_again() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(fin(1, 1));
    t.advance_ms(50);
    t.expect(ack(1, 2));
    t.send(fin(1, 1));
    t.expect(ack(1, 2));
    t.expect_eof(flow);
    t.no_event();
    t.end();
}

/// RFC 2525 section 2.17: data the app will never read is answered by a reset, so that the peer knows.
#[test]
fn data_after_close_is_reset() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.close(flow);
    t.expect(fin(1, 1));
    t.send(ack(1, 2));
    t.send(data(1, 2, "anyone?"));
    let answer = t.next_segment().expect("an answer");
    assert!(answer.flags & 4 != 0, "{answer:?}");
    assert_eq!(t.driver.buffers_out(), 0);
    while let Some(event) = t.event() {
        assert!(matches!(event, Event::Dead { .. }), "{event:?}");
    }
    t.end();
}

#[test]
fn closing_with_unread_data_leaks_nothing() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "never read"));
    t.close(flow);
    assert_eq!(t.driver.buffers_out(), 0);
    let answer = t.next_segment().expect("a reset or a FIN");
    assert!(answer.flags & (FIN | 4) != 0, "{answer:?}");
    while t.next_segment().is_some() {}
    while t.event().is_some() {}
    t.end();
}

/// Buffers outlive the flow they came through.
#[test]
fn buffers_can_be_returned_after_the_flow_died() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "kept"));
    let (bytes, buf) = t.hold(flow);
    assert_eq!(bytes, b"kept");
    t.send(rst(5));
    t.expect_dead(flow, Err(Error::ConnectionReset));
    assert_eq!(t.driver.buffers_out(), 1);
    t.give_back(buf);
    t.expect_nothing();
    t.end();
}

#[test]
fn calls_after_close_are_refused() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.close(flow);
    t.expect(fin(1, 1));
    let span = t.driver.place(b"x");
    let sent = t.stack.tcp_send(&mut t.driver, t.now, flow, &[span]);
    assert!(matches!(sent, Err(Error::Closed | Error::BadHandle)), "{sent:?}");
    t.stack.tcp_abort(&mut t.driver, t.now, flow).unwrap();
    t.turn();
    assert!(t.next_segment().expect("a reset").flags & 4 != 0);
    t.expect_dead(flow, Err(Error::Aborted));
    assert_eq!(
        t.stack.tcp_close(&mut t.driver, t.now, flow),
        Err(Error::BadHandle)
    );
    t.end();
}

#[test]
fn abort_resets() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, "unacknowledged");
    t.expect(data(1, 1, "unacknowledged"));
    t.abort(flow);
    let reset = t.next_segment().expect("a reset");
    assert_eq!((reset.flags & 4, reset.seq), (4, 15));
    t.expect_dead(flow, Err(Error::Aborted));
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

/// Many connections in a row leave nothing behind.
#[test]
fn a_thousand_short_connections() {
    let mut t = Dialogue::new();
    t.listen();
    for i in 0..1000u16 {
        let port = 1000 + i;
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
        t.send(data(1, 1, "hello").port(port));
        let flow = t.knock();
        t.take(flow);
        t.read(flow, "hello");
        while t.next_segment().is_some() {}
        t.write(flow, "bye");
        t.expect(data(1, 6, "bye").port(port));
        t.send(fin(6, 4).port(port));
        t.expect_sent(flow, 3);
        t.expect_eof(flow);
        t.close(flow);
        t.expect(fin(4, 7).port(port));
        t.send(ack(7, 5).port(port));
        t.expect_dead(flow, Ok(()));
        t.expect_nothing();
        assert_eq!((t.driver.buffers_out(), t.stack.counters().flows), (0, 0));
    }
    assert_eq!(t.stack.counters().tcp_closed, 1000);
    t.end();
}
