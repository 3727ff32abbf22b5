//! Connections opened by the peer: RFC 9293 section 3.5, RFC 7323, RFC 2018.

use crate::harness::dialogue::{Dialogue, FLOW, LISTENER, peer};
use crate::harness::segment::{ACK, FIN, PEER_PORT, SYN, ack, data, fin, rst, rst_ack, syn, syn_ack};
use netstack::{Error, Event};

#[test]
fn three_way_handshake_then_a_knock() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.no_event();
    t.expect(syn_ack().mss(1460));
    t.send(ack(1, 1));
    match t.event() {
        Some(Event::Knock {
            flow,
            cookie: LISTENER,
            peer: from,
        }) => {
            assert_eq!(from, peer(PEER_PORT));
            t.take(flow);
        }
        event => panic!("{event:?}"),
    }
    t.expect_nothing();
    t.end();
}

#[test]
fn options_are_agreed_on_only_when_offered() {
    for choice in 0..8 {
        let mut t = Dialogue::new();
        t.listen();
        let mut offer = syn().mss(1000);
        let mut wanted = 1;
        if choice & 1 != 0 {
            offer = offer.sack_permitted();
            wanted += 1;
        }
        if choice & 2 != 0 {
            offer = offer.timestamps(77, 0);
            wanted += 1;
        }
        if choice & 4 != 0 {
            offer = offer.wscale(3);
            wanted += 1;
        }
        t.send(offer.clone());
        let answer = t.expect(syn_ack());
        let options = answer.options.clone().unwrap();
        assert_eq!(options.len(), wanted, "{options:?}");
        for option in offer.options.unwrap() {
            let same = |other: &&etherparse::TcpOptionElement| {
                std::mem::discriminant(*other) == std::mem::discriminant(&option)
            };
            assert!(
                options.iter().any(|other| same(&other)),
                "{option:?} in {options:?}"
            );
        }
        if choice & 2 != 0 {
            assert_eq!(answer.timestamp().unwrap().1, 77);
        }
        t.advance_ms(1);
        // Back to listening, so that nothing is left.
        t.send(rst(1));
        t.end();
    }
}

#[test]
fn without_an_mss_option_segments_are_of_536_bytes() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn());
    t.write(flow, [b'x'; 600]);
    assert_eq!(t.next_segment().unwrap().payload.len(), 536);
    assert_eq!(t.next_segment().unwrap().payload.len(), 64);
    t.send(ack(1, 601));
    t.expect_sent(flow, 600);
    t.end();
}

#[test]
fn the_peers_mss_less_the_options_limits_segments() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn().mss(1000).timestamps(5, 0));
    t.write(flow, [b'x'; 1500]);
    assert_eq!(t.next_segment().unwrap().payload.len(), 988);
    let last = t.next_segment().unwrap();
    assert_eq!(last.payload.len(), 512);
    t.send(ack(1, 1501).timestamps(6, last.timestamp().unwrap().0));
    t.expect_sent(flow, 1500);
    t.end();
}

#[test]
fn windows_are_scaled_by_what_was_agreed_on() {
    let mut t = Dialogue::with(|config| {
        config.tcp.receive_window_bytes = 1 << 20;
        config.tcp.receive_window_max_bytes = 1 << 20;
    });
    t.listen();
    // The window of a SYN is never scaled.
    t.send(syn().mss(1460).wscale(2).window(1000));
    let answer = t.expect(syn_ack());
    assert_eq!(answer.window, Some(65535));
    let shift = answer.options.unwrap().iter().find_map(|option| match option {
        etherparse::TcpOptionElement::WindowScale(shift) => Some(*shift),
        _ => None,
    });
    assert_eq!(shift, Some(5), "2^20 >> 5 fits into 16 bits");
    t.send(ack(1, 1).window(730));
    let flow = t.knock();
    t.take(flow);
    t.write(flow, [b'x'; 4000]);
    let sent: usize = std::iter::from_fn(|| t.next_segment())
        .map(|segment| segment.payload.len())
        .sum();
    assert_eq!(sent, 2920);
    t.send(data(1, 2921, "y").window(730));
    t.expect_sent(flow, 2920);
    t.read(flow, "y");
    let answer = t.next_segment().unwrap();
    let window = u32::from(answer.window.unwrap()) << 5;
    assert!((1 << 20) - 4096 < window && window < 1 << 20, "{window}");
    t.send(ack(2, 4001).window(730));
    t.expect_sent(flow, 1080);
    t.end();
}

#[test]
fn a_repeated_syn_is_answered_again() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    t.end();
}

#[test]
fn the_syn_ack_is_repeated_with_backoff_and_then_given_up() {
    let mut t = Dialogue::with(|config| config.tcp.max_syn_retransmits = 3);
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    for ms in [1000, 2000, 4000] {
        t.advance_ms(ms - 1);
        t.expect_nothing();
        t.advance_us(1_050);
        t.expect(syn_ack());
    }
    t.advance_ms(8_010);
    t.no_event();
    assert_eq!(t.stack.counters().flows, 0);
    assert_eq!(t.stack.counters().tcp_half_open_expired, 1);
    t.end();
}

#[test]
fn data_on_the_last_ack_is_delivered_after_the_knock() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(data(1, 1, "early"));
    let flow = t.knock();
    t.take(flow);
    t.read(flow, "early");
    t.advance_ms(50);
    t.expect(ack(1, 6));
    t.end();
}

#[test]
fn data_before_the_app_accepts_waits_for_it() {
    let mut t = Dialogue::new();
    t.listen();
    t.send_all([syn().mss(1460)]);
    t.expect(syn_ack());
    t.send_all([ack(1, 1), data(1, 1, "one"), data(4, 1, "two"), fin(7, 1)]);
    let flow = t.knock();
    t.no_event();
    t.take(flow);
    t.read(flow, "one");
    t.read(flow, "two");
    t.expect_eof(flow);
    t.advance_ms(50);
    t.expect(ack(1, 8));
    t.expect_nothing();
    t.end();
}

#[test]
fn an_ack_of_what_was_not_sent_is_reset_and_the_handshake_goes_on() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(ack(1, 77));
    t.expect(rst(77));
    t.send(ack(1, 0));
    t.expect(rst(0));
    t.no_event();
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    t.end();
}

#[test]
fn a_reset_of_a_half_open_connection_frees_it_silently() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(rst(1));
    t.expect_nothing();
    t.no_event();
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn a_fin_can_follow_the_handshake_at_once() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send(fin(1, 1));
    let flow = t.knock();
    t.take(flow);
    t.expect_eof(flow);
    t.advance_ms(50);
    t.expect(ack(1, 2));
    t.close(flow);
    t.expect(fin(1, 2));
    t.send(ack(2, 2));
    t.expect_dead(flow, Ok(()));
    t.end();
}

/// RFC 9293 section 3.10.7.1.
#[test]
fn a_closed_port_answers_with_a_reset() {
    let mut t = Dialogue::new();
    t.send(syn().mss(1460));
    t.expect(rst_ack(0, 1));
    t.send(ack(5, 9));
    t.expect(rst(9));
    t.send(data(5, 9, "hello").flags(0));
    t.expect(rst_ack(0, 10));
    t.send(fin(5, 9));
    t.expect(rst(9));
    t.send(rst(5));
    t.send(rst_ack(5, 9));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_no_flow, 6);
    t.end();
}

/// RFC 9293 section 3.10.7.2: to a listener.
#[test]
fn a_listener_takes_only_syns() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(ack(5, 9));
    t.expect(rst(9));
    t.send(rst(5));
    t.send(ack(5, 9).flags(FIN));
    t.expect_nothing();
    t.send(syn_ack());
    t.expect(rst(1));
    t.send(syn().flags(SYN | FIN | ACK));
    t.expect(rst(0));
    t.no_event();
    t.end();
}

#[test]
fn segments_to_a_broadcast_address_are_never_answered() {
    let mut t = Dialogue::new();
    t.listen();
    let mut frame = t.encode(&syn());
    frame[33] = 255;
    let sum = 0xffff - 254; // the address has grown by 254
    for field in [24, 50] {
        let old = u32::from(u16::from_be_bytes([frame[field], frame[field + 1]]));
        let new = old + sum;
        let new = u16::try_from((new & 0xffff) + (new >> 16)).unwrap();
        frame[field..field + 2].copy_from_slice(&new.to_be_bytes());
    }
    t.inject(&frame);
    t.expect_nothing();
    let counters = t.stack.counters();
    assert_eq!(
        (
            counters.rx_ipv4_checksum,
            counters.rx_tcp_checksum,
            counters.flows
        ),
        (0, 0, 0)
    );
    t.end();
}

#[test]
fn a_full_backlog_drops_syns_until_one_is_accepted() {
    let mut t = Dialogue::new();
    t.listen_with_backlog(2);
    for port in [1, 2] {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
        t.send(ack(1, 1).port(port));
    }
    t.send(syn().mss(1460).port(3));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_backlog_full, 1);
    let first = t.knock();
    let second = t.knock();
    t.take(first);
    t.send(syn().mss(1460).port(3));
    t.expect(syn_ack().port(3));
    t.send(rst(1).port(3));
    t.take(second);
    t.end();
}

#[test]
fn a_full_flow_table_drops_syns() {
    let mut t = Dialogue::with(|config| config.max_flows = 4);
    t.listen();
    for port in 1..=4 {
        t.send(syn().mss(1460).port(port));
        t.expect(syn_ack().port(port));
    }
    t.send(syn().mss(1460).port(5));
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_backlog_full, 1);
    for port in 1..=4 {
        t.send(rst(1).port(port));
    }
    t.send(syn().mss(1460).port(5));
    t.expect(syn_ack().port(5));
    t.send(rst(1).port(5));
    t.end();
}

#[test]
fn a_rejected_connection_is_reset() {
    let mut t = Dialogue::new();
    t.listen();
    t.send(syn().mss(1460));
    t.expect(syn_ack());
    t.send_all([ack(1, 1), data(1, 1, "unwanted")]);
    let flow = t.knock();
    t.stack.tcp_reject(&mut t.driver, t.now, flow).unwrap();
    t.turn();
    let reset = t.next_segment().unwrap();
    assert!(
        rst_ack(1, 9).matches(&reset) || rst(1).matches(&reset),
        "{reset:?}"
    );
    assert_eq!(t.stack.tcp_accept(flow, FLOW), Err(Error::BadHandle));
    t.no_event();
    assert_eq!(t.stack.counters().flows, 0);
    t.end();
}

#[test]
fn unlistening_resets_what_was_not_accepted() {
    let mut t = Dialogue::new();
    let listener = t.listen();
    t.send(syn().mss(1460).port(1));
    t.expect(syn_ack().port(1));
    t.send(syn().mss(1460).port(2));
    t.expect(syn_ack().port(2));
    t.send(ack(1, 1).port(2));
    t.stack.tcp_unlisten(&mut t.driver, t.now, listener).unwrap();
    t.turn();
    for port in [1, 2] {
        let reset = t.next_segment().unwrap();
        assert_eq!((reset.peer_port, reset.flags & 4, reset.seq), (port, 4, 1));
    }
    while let Some(event) = t.event() {
        assert!(matches!(event, Event::Knock { .. } | Event::Dead { .. }));
    }
    assert_eq!(t.stack.counters().flows, 0);
    t.send(syn().mss(1460).port(3));
    t.expect(rst_ack(0, 1).port(3));
    t.end();
}

#[test]
fn a_port_has_one_listener() {
    let mut t = Dialogue::new();
    let listener = t.listen();
    assert_eq!(t.stack.tcp_listen(None, 80, 1, 1), Err(Error::AddressInUse));
    t.stack.tcp_unlisten(&mut t.driver, t.now, listener).unwrap();
    assert_eq!(
        t.stack.tcp_unlisten(&mut t.driver, t.now, listener),
        Err(Error::BadHandle)
    );
    t.listen();
    t.end();
}

/// RFC 6528: unrelated connections begin at unrelated numbers, and the clock moves them on.
#[test]
fn initial_numbers_differ() {
    let mut t = Dialogue::new();
    t.listen();
    let mut numbers = Vec::new();
    for port in 1..=8 {
        t.send(syn().mss(1460).port(port));
        let frame = t.next_frame().unwrap();
        numbers.push(u32::from_be_bytes(frame[38..42].try_into().unwrap()));
        t.send(rst(1).port(port));
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 8);
    assert!(numbers.windows(2).any(|pair| pair[1] - pair[0] > 1 << 20));
    t.end();
}
