//! TIME-WAIT: RFC 9293 section 3.10.7.4, RFC 1337, RFC 6191.

use crate::harness::dialogue::{Dialogue, PEER_ISN};
use crate::harness::segment::{Segment, ack, data, fin, rst, syn, syn_ack};
use netstack::Id;

#[track_caller]
fn in_time_wait(syn: Segment) -> Dialogue {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn);
    close_first(&mut t, flow);
    t
}

#[track_caller]
fn close_first(t: &mut Dialogue, flow: Id) {
    t.close(flow);
    t.expect(fin(1, 1));
    t.send(fin(1, 2));
    t.expect(ack(2, 2));
    t.expect_dead(flow, Ok(()));
    assert_eq!(t.stack.counters().flows_time_wait, 1);
}

#[test]
fn a_repeated_fin_is_acknowledged_and_the_wait_starts_over() {
    let mut t = in_time_wait(syn().mss(1460));
    t.advance_ms(59_000);
    t.send(fin(1, 2));
    t.expect(ack(2, 2));
    t.advance_ms(59_000);
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.advance_ms(1_100);
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn old_data_is_answered_by_an_ack() {
    let mut t = in_time_wait(syn().mss(1460));
    t.send(data(1, 2, "o"));
    t.expect(ack(2, 2));
    t.no_event();
    t.end();
}

/// RFC 1337: a reset does not end the wait early.
#[test]
fn resets_do_not_end_it() {
    let mut t = in_time_wait(syn().mss(1460));
    t.send(rst(2));
    t.expect_nothing();
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.end();
}

#[test]
fn a_new_connection_with_higher_numbers_takes_its_place() {
    let mut t = in_time_wait(syn().mss(1460));
    t.forget(PEER_ISN.wrapping_add(1000));
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    assert_eq!(t.stack.counters().flows_time_wait, 0);
    t.send(data(1, 1, "new"));
    t.read(flow, "new");
    t.end();
}

#[test]
fn an_old_syn_does_not() {
    let mut t = in_time_wait(syn().mss(1460));
    let mut old = syn().mss(1460);
    old.seq = 0u32.wrapping_sub(5000);
    t.send(old);
    t.expect(ack(2, 2));
    t.no_event();
    assert_eq!(t.stack.counters().flows_time_wait, 1);
    t.end();
}

/// Our number must be beyond those of the connection before (RFC 9293 section 3.4.3).
#[test]
fn the_new_connection_begins_beyond_the_old_one() {
    let mut t = in_time_wait(syn().mss(1460));
    let before = t.our_isn();
    t.forget(PEER_ISN.wrapping_add(1000));
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    let step = t.our_isn().wrapping_sub(before).cast_signed();
    assert!(step > 2, "{step}");
    t.send(rst(1));
    t.end();
}

#[test]
fn the_oldest_make_way_when_there_are_too_many() {
    let mut t = Dialogue::with(|config| config.tcp.max_time_wait = 3);
    t.listen();
    for port in 1..=6 {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
        t.send(ack(1, 1).port(port));
        let flow = t.knock();
        t.take(flow);
        t.close(flow);
        t.expect(fin(1, 1).port(port));
        t.send(fin(1, 2).port(port));
        t.expect(ack(2, 2).port(port));
        t.expect_dead(flow, Ok(()));
    }
    let counters = t.stack.counters();
    assert_eq!(
        (counters.flows_time_wait, counters.tcp_time_wait_recycled),
        (3, 3)
    );
    t.end();
}

/// A full table: connections that are over make way for new ones.
#[test]
fn new_connections_take_the_slots() {
    let mut t = Dialogue::with(|config| config.max_flows = 3);
    t.listen();
    for port in 1..=9 {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
        t.send(ack(1, 1).port(port));
        let flow = t.knock();
        t.take(flow);
        t.close(flow);
        t.expect(fin(1, 1).port(port));
        t.send(fin(1, 2).port(port));
        t.expect(ack(2, 2).port(port));
        t.expect_dead(flow, Ok(()));
    }
    t.end();
}
