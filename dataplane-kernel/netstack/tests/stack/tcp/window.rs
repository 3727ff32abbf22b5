//! Windows, ours and the peer's: RFC 9293 sections 3.8.6.1 (zero window) and 3.8.6.2 (silly window syndrome).

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::segment::{ack, data, fin, syn};
use netstack::{BufId, Id};

/// Takes all there is to receive; gives the bytes and the buffers.
fn hold_all(t: &mut Dialogue, flow: Id) -> (Vec<u8>, Vec<BufId>) {
    let (mut bytes, mut bufs) = (Vec::new(), Vec::new());
    while let Some(event) = t.event() {
        match event {
            netstack::Event::Recv {
                flow: of,
                buf,
                offset,
                len,
                ..
            } if of == flow => {
                bytes.extend_from_slice(t.driver.view(&buf, offset, len));
                bufs.push(buf);
            }
            event => panic!("{event:?}"),
        }
    }
    (bytes, bufs)
}

#[test]
fn a_closed_window_is_probed_with_backoff_until_it_opens() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(ack(1, 1).window(0));
    t.write(flow, "waiting");
    t.expect_nothing();
    for ms in [200, 400, 800, 1600] {
        t.advance_ms(ms - 1);
        t.expect_nothing();
        t.advance_us(1_050);
        let probe = t.next_segment().expect("a probe");
        assert!(probe.payload.len() <= 1, "{probe:?}");
        assert!(
            probe.seq == 1 || (probe.seq == 0 && probe.payload.is_empty()),
            "{probe:?}"
        );
        t.expect_nothing();
        t.send(ack(1, 1).window(0));
    }
    t.send(ack(1, 1).window(1000));
    t.expect(data(1, 1, "waiting"));
    t.send(ack(1, 8));
    t.expect_sent(flow, 7);
    t.end();
}

/// RFC 9293 section 3.8.6.1: as long as the peer answers the probes, the connection stays.
#[test]
fn answered_probes_go_on_for_ever() {
    let mut t = Dialogue::with(|config| {
        config.tcp.max_retransmits = 3;
        config.tcp.rto_max = std::time::Duration::from_secs(2);
    });
    let flow = t.accepted();
    t.send(ack(1, 1).window(0));
    t.write(flow, "waiting");
    let mut probes = 0;
    for _ in 0..200 {
        t.advance_ms(500);
        while t.next_segment().is_some() {
            probes += 1;
            t.send(ack(1, 1).window(0));
        }
    }
    assert!(
        (45..60).contains(&probes),
        "{probes} probes in 100 s, at most one in 2 s"
    );
    t.no_event();
    t.send(ack(1, 1));
    t.expect(data(1, 1, "waiting"));
    t.send(ack(1, 8));
    t.expect_sent(flow, 7);
    t.end();
}

#[test]
fn unanswered_probes_end_the_flow() {
    let mut t = Dialogue::with(|config| config.tcp.max_retransmits = 3);
    let flow = t.accepted();
    t.send(ack(1, 1).window(0));
    t.write(flow, "waiting");
    t.advance_ms(60_000);
    while t.next_segment().is_some() {}
    t.expect_dead(flow, Err(netstack::Error::TimedOut));
    t.end();
}

#[test]
fn the_peers_window_is_respected() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(ack(1, 1).window(3000));
    let bytes = pattern(0, 6000);
    t.write(flow, &bytes);
    let sent: usize = std::iter::from_fn(|| t.next_segment())
        .map(|segment| segment.payload.len())
        .sum();
    assert!((2920..=3000).contains(&sent), "{sent}");
    t.send(ack(1, 1 + u32::try_from(sent).unwrap()).window(0));
    t.expect_nothing();
    t.send(ack(1, 1 + u32::try_from(sent).unwrap()).window(6000));
    let rest: usize = std::iter::from_fn(|| t.next_segment())
        .map(|segment| segment.payload.len())
        .sum();
    assert_eq!(sent + rest, 6000);
    t.send(ack(1, 6001));
    t.expect_sent(flow, 6000);
    t.end();
}

/// Section 3.8.6.2.1: no small segments because the window is opened in small steps.
#[test]
fn small_steps_of_the_peers_window_are_not_used() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(ack(1, 1).window(4000));
    t.write(flow, pattern(0, 20_000));
    let sent: usize = std::iter::from_fn(|| t.next_segment())
        .map(|segment| segment.payload.len())
        .sum();
    let mut next = 1 + u32::try_from(sent).unwrap();
    t.send(ack(1, next).window(100));
    t.expect_nothing();
    t.send(ack(1, next).window(200));
    t.expect_nothing();
    t.send(ack(1, next).window(1460));
    let segment = t.next_segment().expect("a full one");
    assert_eq!(segment.payload.len(), 1460);
    next += 1460;
    while next < 20_001 {
        t.send(ack(1, next).window(65535));
        while let Some(segment) = t.next_segment() {
            next += u32::try_from(segment.payload.len()).unwrap();
        }
    }
    t.send(ack(1, next));
    while t.event().is_some() {}
    t.end();
}

/// A window smaller than a segment does get used in the end, or nothing would move (the override of that section).
#[test]
fn a_window_that_stays_small_is_used() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(ack(1, 1).window(100));
    t.write(flow, pattern(0, 300));
    let mut next = 1;
    for _ in 0..50 {
        t.advance_ms(100);
        while let Some(segment) = t.next_segment() {
            assert!(segment.payload.len() <= 100);
            next = next.max(segment.seq + u32::try_from(segment.payload.len()).unwrap());
        }
        t.send(ack(1, next).window(100));
        while t.event().is_some() {}
    }
    assert_eq!(next, 301);
    t.end();
}

#[test]
fn our_window_closes_while_the_app_holds_on_and_opens_with_what_it_returns() {
    let mut t = Dialogue::with(|config| config.tcp.receive_window_bytes = 8192);
    let flow = t.accepted();
    let (mut seq, mut window) = (1u32, 8192);
    while window >= 1000 {
        t.send(data(seq, 1, pattern(seq as usize, 1000)));
        seq += 1000;
        t.advance_ms(20);
        let answer = t.next_segment().expect("an ACK");
        assert_eq!(answer.ack, seq);
        let edge = answer.ack + u32::from(answer.window.unwrap());
        assert!(edge <= 8193, "the window may not be more than there is");
        window = answer.window.unwrap();
    }
    let (bytes, bufs) = hold_all(&mut t, flow);
    assert_eq!(bytes, pattern(1, seq as usize - 1));
    // Nothing more is taken than was promised.
    t.send(data(seq, 1, pattern(seq as usize, 1000)));
    t.advance_ms(20);
    let last = std::iter::from_fn(|| t.next_segment()).last().expect("an ACK");
    let (_, more) = hold_all(&mut t, flow);
    assert!(last.ack <= 8193);
    for buf in bufs.into_iter().chain(more) {
        t.give_back(buf);
    }
    let update = std::iter::from_fn(|| t.next_segment())
        .last()
        .expect("a window update");
    assert_eq!(update.ack, last.ack);
    assert!(update.window.unwrap() >= 4096, "{update:?}");
    t.send(data(update.ack, 1, "on we go"));
    t.read(flow, "on we go");
    t.end();
}

/// Section 3.8.6.2.2: our window is not opened in small steps either.
#[test]
fn our_window_opens_by_a_segment_or_half_of_it() {
    let mut t = Dialogue::with(|config| config.tcp.receive_window_bytes = 16384);
    let flow = t.accepted();
    let mut seq = 1;
    while seq < 15_000 {
        t.send(data(seq, 1, pattern(seq as usize, 1000)));
        seq += 1000;
    }
    t.advance_ms(20);
    let mut last_window = std::iter::from_fn(|| t.next_segment())
        .last()
        .unwrap()
        .window
        .unwrap();
    assert!(last_window < 2000, "{last_window}");
    let (_, bufs) = hold_all(&mut t, flow);
    let mut updates = 0;
    for buf in bufs {
        t.give_back(buf);
        while let Some(update) = t.next_segment() {
            let window = update.window.unwrap();
            assert!(window - last_window >= 1460, "{window} after {last_window}");
            last_window = window;
            updates += 1;
        }
    }
    assert!((2..8).contains(&updates), "{updates} updates");
    t.end();
}

#[test]
fn a_probe_of_our_closed_window_is_answered() {
    let mut t = Dialogue::with(|config| config.tcp.receive_window_bytes = 4096);
    let flow = t.accepted();
    let mut seq = 1;
    loop {
        t.send(data(seq, 1, pattern(seq as usize, 1024)));
        t.advance_ms(20);
        let answer = std::iter::from_fn(|| t.next_segment()).last().expect("an ACK");
        seq = answer.ack;
        if answer.window == Some(0) {
            break;
        }
    }
    t.send(data(seq, 1, "?"));
    t.expect(ack(1, seq).window(0));
    // The form with an old number, too.
    t.send(ack(seq - 1, 1));
    t.expect(ack(1, seq).window(0));
    let (_, bufs) = hold_all(&mut t, flow);
    bufs.into_iter().for_each(|buf| t.give_back(buf));
    while t.next_segment().is_some() {}
    t.send(data(seq, 1, "?"));
    t.read(flow, "?");
    t.end();
}

/// A window that comes with an older segment does not count (SND.WL1, SND.WL2).
#[test]
fn old_windows_are_not_believed() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.send(data(1, 1, "ab").window(5000));
    t.read(flow, "ab");
    t.send(ack(1, 1).window(0)); // older by its number
    while t.next_segment().is_some() {}
    t.write(flow, "still open");
    t.expect(data(1, 3, "still open"));
    t.send(ack(3, 11));
    t.expect_sent(flow, 10);
    t.end();
}

#[test]
fn the_mss_never_exceeds_the_mtu() {
    let mut t = Dialogue::with(|config| config.mtu = 1000);
    let flow = t.accepted_with(syn().mss(9000));
    t.write(flow, pattern(0, 2000));
    assert_eq!(t.next_segment().unwrap().payload.len(), 960);
    assert_eq!(t.next_segment().unwrap().payload.len(), 960);
    assert_eq!(t.next_segment().unwrap().payload.len(), 80);
    t.send(ack(1, 2001));
    t.expect_sent(flow, 2000);
    t.end();
}

/// CVE-2019-11479: a tiny MSS would make us send mostly headers.
#[test]
fn a_tiny_mss_is_not_taken_at_its_word() {
    let mut t = Dialogue::new();
    let flow = t.accepted_with(syn().mss(1));
    t.write(flow, pattern(0, 100));
    assert!(t.next_segment().unwrap().payload.len() >= 48);
    while t.next_segment().is_some() {}
    t.send(ack(1, 101));
    t.expect_sent(flow, 100);
    t.end();
}

/// RFC 9293 section 3.8.6: the peer should not shrink its window, but we must bear it. A late segment's old window looks
/// the same.
#[test]
fn what_was_sent_is_repeated_into_a_window_that_has_shrunk() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let bytes = pattern(0, 2920);
    t.write(flow, &bytes);
    t.expect(data(1, 1, &bytes[..1460]));
    t.expect(data(1461, 1, &bytes[1460..]));
    t.send(ack(1, 1461).window(1000));
    t.expect_sent(flow, 1460);
    t.advance_ms(250);
    t.expect(data(1461, 1, &bytes[1460..2460]));
    t.send(ack(1, 2461).window(1000));
    t.expect(data(2461, 1, &bytes[2460..]));
    t.send(ack(1, 2921));
    t.expect_sent(flow, 1460);
    t.end();
}

#[test]
fn a_window_that_closes_on_lost_data_is_probed() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let bytes = pattern(0, 2920);
    t.write(flow, &bytes);
    t.expect(data(1, 1, &bytes[..1460]));
    t.expect(data(1461, 1, &bytes[1460..]));
    t.send(ack(1, 1461).window(0));
    t.expect_sent(flow, 1460);
    t.advance_ms(1000);
    let probe = t.next_segment().expect("a probe");
    assert!((probe.seq, probe.payload.len()) == (1461, 1), "{probe:?}");
    while t.next_segment().is_some() {}
    t.send(ack(1, 1461).window(5000));
    t.expect(data(1461, 1, &bytes[1460..]));
    t.send(ack(1, 2921));
    t.expect_sent(flow, 1460);
    t.end();
}

/// The same of a FIN.
#[test]
fn a_window_that_closes_on_a_lost_fin_is_probed() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    t.write(flow, "last");
    t.expect(data(1, 1, "last"));
    t.close(flow);
    t.expect(fin(5, 1));
    t.send(ack(1, 5).window(0));
    t.expect_sent(flow, 4);
    t.advance_ms(1000);
    t.expect(fin(5, 1));
    while t.next_segment().is_some() {}
    t.send(fin(1, 6));
    t.expect(ack(6, 2));
    t.expect_dead(flow, Ok(()));
    t.end();
}
