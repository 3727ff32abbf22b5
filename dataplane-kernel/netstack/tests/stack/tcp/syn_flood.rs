//! SYN cookies: RFC 4987 section 3.6.

use crate::harness::PEER_IP;
use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{Segment, ack, data, rst, syn, syn_ack};
use netstack::Event;

/// A listener with a backlog of four, and as many connections half-open.
fn flooded() -> Dialogue {
    let mut t = Dialogue::new();
    t.listen_with_backlog(4);
    for port in 1..=4 {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
    }
    t
}

/// Lets what is half-open be over.
fn end(mut t: Dialogue) {
    t.advance_ms(120_000);
    while t.next_segment().is_some() {}
    t.end();
}

#[test]
fn a_connection_is_made_without_keeping_anything() {
    let mut t = flooded();
    let flows = t.stack.counters().flows;
    t.send(
        syn()
            .mss(1460)
            .wscale(7)
            .sack_permitted()
            .timestamps(100, 0)
            .window(1000),
    );
    let answer = t.expect(syn_ack());
    assert_eq!(t.stack.counters().flows, flows, "nothing is kept");
    assert_eq!(t.stack.counters().tcp_syn_cookies_sent, 1);
    let (value, echo) = answer.timestamp().unwrap();
    assert_eq!(echo, 100);
    t.send(ack(1, 1).window(24).timestamps(101, value));
    assert_eq!(t.stack.counters().tcp_syn_cookies_taken, 1);
    let flow = t.knock();
    t.take(flow);
    // All options are in force: the window of 24 << 7, timestamps, SACK.
    t.write(flow, pattern(0, 4000));
    let first = t.next_segment().unwrap();
    assert_eq!(first.payload.len(), 1448);
    assert_eq!(first.timestamp().unwrap().1, 101);
    assert_eq!(t.next_segment().unwrap().payload.len(), 1448);
    t.expect_nothing();
    t.send(
        ack(1, 2897)
            .window(24)
            .timestamps(102, first.timestamp().unwrap().0),
    );
    let last = t.next_segment().unwrap();
    assert_eq!(last.seq, 2897);
    t.expect_sent(flow, 2896);
    t.send(
        ack(1, 4001)
            .window(24)
            .timestamps(103, last.timestamp().unwrap().0),
    );
    t.expect_sent(flow, 1104);
    t.send(data(10, 4001, "beyond").timestamps(104, 0));
    let told = t.next_segment().unwrap();
    assert!(told.options.unwrap().len() == 2, "timestamps and SACK");
    t.send(data(1, 4001, "before it").timestamps(105, 0));
    t.expect(ack(4001, 16));
    t.read(flow, "before it");
    t.read(flow, "beyond");
    end(t);
}

/// Without timestamps there is no place for the other options, so none are offered.
#[test]
fn a_plain_peer_gets_a_plain_connection() {
    let mut t = flooded();
    t.send(syn().mss(1000).wscale(7).sack_permitted());
    let answer = t.expect(syn_ack());
    assert_eq!(answer.options.unwrap().len(), 1, "MSS");
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    t.send(data(1, 1, "hello"));
    t.advance_ms(20);
    t.expect(ack(1, 6));
    t.read(flow, "hello");
    t.write(flow, pattern(0, 600));
    t.expect(data(1, 6, pattern(0, 536)));
    t.expect(data(537, 6, &pattern(0, 600)[536..]));
    t.send(ack(6, 601));
    t.expect_sent(flow, 600);
    end(t);
}

#[test]
fn a_forged_cookie_is_refused() {
    let mut t = flooded();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    for wrong in [2, 0x100, 0x0100_0001, 0x0800_0001] {
        t.send(ack(1, wrong));
        t.expect(rst(wrong));
    }
    // The right number with another of the peer's.
    t.send(ack(2, 1));
    t.expect(rst(1));
    assert_eq!(t.stack.counters().tcp_syn_cookies_taken, 0);
    t.no_event();
    end(t);
}

#[test]
fn an_old_cookie_is_refused() {
    let mut t = flooded();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.advance_ms(140_000);
    while t.next_segment().is_some() {}
    t.send(ack(1, 1));
    t.expect(rst(1));
    end(t);
}

/// An ACK that brings data along opens the connection; the data comes again by itself.
#[test]
fn data_with_the_acknowledgement_is_left_to_come_again() {
    let mut t = flooded();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(data(1, 1, "hello"));
    let flow = t.knock();
    t.take(flow);
    t.no_event();
    t.send(data(1, 1, "hello"));
    t.advance_ms(20);
    t.expect(ack(1, 6));
    t.read(flow, "hello");
    end(t);
}

/// An app that does not accept gets no more connections, with cookies or without.
#[test]
fn cookies_do_not_get_around_an_app_that_does_not_accept() {
    let mut t = Dialogue::new();
    t.listen_with_backlog(2);
    for port in 1..=2 {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
    }
    t.send(syn().mss(1460).port(3));
    t.expect(syn_ack().port(3));
    for port in 1..=2 {
        t.send(ack(1, 1).port(port));
    }
    t.send(ack(1, 1).port(3));
    t.send(syn().mss(1460).port(4));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_backlog_full, 2);
    for _ in 0..2 {
        let Some(Event::Knock { flow, .. }) = t.event() else {
            panic!("a knock")
        };
        t.take(flow);
    }
    t.end();
}

/// 20,000 spoofed SYNs a second: an honest client connects as if there were none, and memory stays what it was.
#[test]
fn an_honest_client_connects_through_a_flood() {
    let mut t = Dialogue::with(|config| config.max_flows = 512);
    t.listen_with_backlog(128);
    let mut knocks = 0;
    for n in 0..20_000u32 {
        let [_, b, c, d] = n.to_be_bytes();
        let ip = [10, 1 + b, c, d];
        assert_ne!(ip, PEER_IP.octets());
        let spoofed: Segment = syn().mss(1460).port(1024 + u16::try_from(n % 50_000).unwrap());
        let frame = spoofed.encode_from(ip, n.wrapping_mul(77), 0);
        t.inject(&frame);
        t.advance_us(50);
        t.discard_frames();
        if n % 5000 == 2500 {
            let port = 40_001 + u16::try_from(n / 5000).unwrap();
            t.send(syn().mss(1460).port(port));
            t.expect(syn_ack().port(port));
            t.send(ack(1, 1).port(port));
            let flow = t.knock();
            t.take(flow);
            knocks += 1;
        }
        assert!(t.stack.counters().flows <= 128 + knocks);
    }
    assert_eq!(knocks, 4);
    assert!(t.stack.counters().tcp_syn_cookies_sent > 19_000);
    t.advance_ms(120_000);
    t.discard_frames();
    t.end();
}

#[test]
fn cookies_can_be_switched_off() {
    let mut t = Dialogue::with(|config| config.tcp.syn_cookies = false);
    t.listen_with_backlog(1);
    t.send(syn().mss(1460).port(1));
    t.expect(syn_ack().port(1));
    t.send(syn().mss(1460));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_backlog_full, 1);
    end(t);
}
