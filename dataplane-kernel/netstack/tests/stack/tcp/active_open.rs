//! Connections opened by the app: RFC 9293 sections 3.5 and 3.10.7.3.

use crate::harness::dialogue::{Dialogue, FLOW, peer};
use crate::harness::segment::{ACK, PEER_PORT, SYN, Segment, ack, data, rst, rst_ack, syn, syn_ack};
use netstack::Error;

/// Our SYN.
fn our_syn() -> Segment {
    ack(0, 0).flags(SYN)
}

#[test]
fn syn_with_all_options_then_connected() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    let sent = t.expect(our_syn());
    assert_eq!(sent.options.as_ref().map(Vec::len), Some(4), "{sent:?}");
    let ours = sent.timestamp().unwrap().0;
    t.no_event();
    t.send(syn_ack().mss(1460).sack_permitted().timestamps(9, ours).wscale(7));
    let last = t.expect(ack(1, 1));
    assert_eq!(last.timestamp(), Some((ours, 9)));
    t.expect_connected(flow, Ok(()));
    t.expect_nothing();
    t.end();
}

#[test]
fn options_the_peer_does_not_know_are_not_used() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(syn_ack().mss(1460));
    t.expect(ack(1, 1).no_options());
    t.expect_connected(flow, Ok(()));
    t.end();
}

#[test]
fn what_is_written_before_the_handshake_goes_out_with_its_last_ack() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.write(flow, "eager");
    t.expect_nothing();
    t.send(syn_ack().mss(1460));
    t.expect(data(1, 1, "eager"));
    t.expect_connected(flow, Ok(()));
    t.send(ack(1, 6));
    t.expect_sent(flow, 5);
    t.end();
}

#[test]
fn refused() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(rst_ack(0, 1));
    t.expect_connected(flow, Err(Error::ConnectionRefused));
    t.expect_nothing();
    assert_eq!(
        t.stack.tcp_close(&mut t.driver, t.now, flow),
        Err(Error::BadHandle)
    );
    t.end();
}

#[test]
fn resets_that_do_not_acknowledge_the_syn_are_ignored() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(rst(0));
    t.send(rst_ack(0, 0));
    t.send(rst_ack(0, 2));
    t.no_event();
    t.send(syn_ack().mss(1460));
    t.expect(ack(1, 1));
    t.expect_connected(flow, Ok(()));
    t.end();
}

#[test]
fn a_syn_ack_of_something_else_is_reset() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    let mut old = syn_ack().mss(1460);
    old.ack = 1234;
    t.send(old);
    t.expect(rst(1234));
    t.send(ack(5, 0));
    t.expect(rst(0));
    t.no_event();
    t.send(syn_ack().mss(1460));
    t.expect(ack(1, 1));
    t.expect_connected(flow, Ok(()));
    t.end();
}

#[test]
fn segments_without_syn_and_reset_are_dropped() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(ack(5, 1));
    t.send(data(5, 0, "x").flags(0));
    t.expect_nothing();
    t.send(syn_ack().mss(1460));
    t.expect(ack(1, 1));
    t.expect_connected(flow, Ok(()));
    t.end();
}

#[test]
fn the_syn_is_repeated_with_backoff_until_it_times_out() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    for seconds in [1, 2, 4, 8, 16] {
        t.advance_ms(seconds * 1000 - 1);
        t.expect_nothing();
        t.advance_us(1_050);
        t.expect(our_syn());
    }
    t.advance_ms(31_900);
    t.no_event();
    t.advance_ms(200);
    t.expect_connected(flow, Err(Error::TimedOut));
    t.expect_nothing();
    t.end();
}

#[test]
fn nobody_answers_for_the_address() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    let flow = t.connect();
    t.advance_ms(3_100);
    let frames = std::iter::from_fn(|| t.next_frame()).count();
    assert_eq!(frames, 3, "three ARP requests");
    t.expect_connected(flow, Err(Error::Unreachable));
    t.end();
}

/// Of two that wait for ARP, only the one whose neighbour is silent fails.
#[test]
fn a_silent_neighbour_is_nobody_elses_fault() {
    let mut t = Dialogue::new();
    t.answers_arp = false;
    let silent = "10.0.0.77:80".parse().unwrap();
    let doomed = t
        .stack
        .tcp_connect(&mut t.driver, t.now, silent, None, None, FLOW)
        .unwrap();
    t.turn();
    t.advance_ms(1_500);
    let flow = t.connect();
    t.advance_ms(1_600);
    t.expect_connected(doomed, Err(Error::Unreachable));
    t.no_event();
    while t.next_frame().is_some() {}
    t.inject(&crate::harness::frames::arp_reply());
    t.expect(our_syn());
    t.send(syn_ack().mss(1460));
    t.expect(ack(1, 1));
    t.expect_connected(flow, Ok(()));
    t.end();
}

#[test]
fn simultaneous_open() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.no_event();
    t.send(syn_ack().mss(1460));
    t.expect_connected(flow, Ok(()));
    // The peer's SYN came twice; whether that is worth an ACK is ours to choose.
    if let Some(answer) = t.next_segment() {
        assert!(ack(1, 1).matches(&answer), "{answer:?}");
    }
    t.write(flow, "hi");
    t.expect(data(1, 1, "hi"));
    t.send(ack(1, 3));
    t.expect_sent(flow, 2);
    t.end();
}

#[test]
fn simultaneous_open_ended_by_a_plain_ack() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(ack(1, 1));
    t.expect_connected(flow, Ok(()));
    t.expect_nothing();
    t.end();
}

/// A reset of a simultaneous open means that the peer has refused (RFC 9293 section 3.10.7.4).
#[test]
fn simultaneous_open_refused() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(rst(1));
    t.expect_connected(flow, Err(Error::ConnectionRefused));
    t.end();
}

#[test]
fn data_on_the_syn_ack_is_not_lost() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.send(syn_ack().mss(1460).payload("hello"));
    let first = t.next_segment().unwrap();
    t.expect_connected(flow, Ok(()));
    if first.ack == 1 {
        // It may be left for the peer to repeat.
        t.send(data(1, 1, "hello"));
    }
    t.read(flow, "hello");
    t.advance_ms(50);
    while let Some(answer) = t.next_segment() {
        assert!(ack(1, 6).matches(&answer), "{answer:?}");
    }
    t.end();
}

#[test]
fn the_handshakes_ack_is_repeated_for_a_repeated_syn_ack() {
    let mut t = Dialogue::new();
    t.connected();
    t.send(syn_ack().mss(1460));
    t.expect(ack(1, 1));
    t.end();
}

#[test]
fn ports_are_chosen_and_never_shared() {
    let mut t = Dialogue::new();
    let mut ports = std::collections::HashSet::new();
    for _ in 0..20 {
        t.stack
            .tcp_connect(&mut t.driver, t.now, peer(PEER_PORT), None, None, FLOW)
            .unwrap();
        t.turn();
        let sent = t.next_segment().unwrap();
        assert_eq!(sent.flags, SYN);
        assert!(ports.insert(sent.our_port), "port {} twice", sent.our_port);
    }
    let first = *ports.iter().next().unwrap();
    let again = t
        .stack
        .tcp_connect(&mut t.driver, t.now, peer(PEER_PORT), None, Some(first), FLOW);
    assert_eq!(again, Err(Error::AddressInUse));
    // To another port of the peer it is another connection.
    t.stack
        .tcp_connect(&mut t.driver, t.now, peer(PEER_PORT + 1), None, Some(first), FLOW)
        .unwrap();
}

#[test]
fn what_cannot_be_connected_to_is_refused_at_once() {
    let mut t = Dialogue::new();
    let mut connect = |remote: &str, local: Option<&str>| {
        let local = local.map(|ip| ip.parse().unwrap());
        let remote = remote.parse().unwrap();
        t.stack
            .tcp_connect(&mut t.driver, t.now, remote, local, None, FLOW)
            .unwrap_err()
    };
    assert_eq!(connect("10.0.0.2:0", None), Error::Invalid);
    assert_eq!(connect("192.0.2.1:80", None), Error::Unreachable);
    assert_eq!(connect("10.0.0.255:80", None), Error::Unreachable);
    assert_eq!(connect("224.0.0.1:80", None), Error::Unreachable);
    assert_eq!(connect("[::1]:80", None), Error::NotSupported);
    assert_eq!(
        connect("10.0.0.2:80", Some("10.0.0.3")),
        Error::AddressNotAvailable
    );
    t.end();
}

#[test]
fn closing_before_the_handshake_ends_it() {
    let mut t = Dialogue::new();
    let flow = t.connect();
    t.expect(our_syn());
    t.close(flow);
    while t.next_segment().is_some() {}
    while let Some(event) = t.event() {
        assert!(
            matches!(
                event,
                netstack::Event::Connected { .. } | netstack::Event::Dead { .. }
            ),
            "{event:?}"
        );
    }
    assert_eq!(t.stack.counters().flows, 0);
    t.send(syn_ack().flags(SYN | ACK));
    t.expect(rst(1));
    t.end();
}
