//! Segments that the card cuts, and frames that it hands in over several buffers.

use crate::harness::dialogue::{Dialogue, pattern};
use crate::harness::driver::Device;
use crate::harness::random::{Random, seeds};
use crate::harness::segment::{ACK, CWR, ECE, FIN, SYN, Segment, ack, data, syn, syn_ack};
use crate::harness::{frames, parts};
use etherparse::TcpOptionElement;
use netstack::{Config, Event, RxChecksum};

/// A card that cuts segments.
fn cutting(config: &mut Config) {
    (config.tx_checksum, config.tx_segments) = (true, true);
}

fn jumbo(config: &mut Config) {
    config.mtu = 9000;
}

#[test]
fn what_may_leave_at_once_leaves_as_one_segment_for_the_card_to_cut() {
    for v6 in [false, true] {
        let mut t = if v6 {
            Dialogue::with_v6(cutting)
        } else {
            Dialogue::with(cutting)
        };
        let flow = t.accepted();
        let (committed, mss) = (t.driver.committed(), if v6 { 1440 } else { 1460 });
        let bytes = pattern(0, 4 * mss + 100);
        t.write(flow, &bytes);
        assert_eq!(t.driver.committed() - committed, 1);
        for piece in bytes.chunks(mss).enumerate() {
            let at = u32::try_from(piece.0 * mss).unwrap();
            t.expect(data(1 + at, 1, piece.1));
        }
        assert_eq!(t.stack.counters().tx_tcp_to_cut, 1);
        let all = u32::try_from(bytes.len()).unwrap();
        t.send(ack(1, 1 + all));
        t.expect_sent(flow, all);
        t.end();
    }
}

#[test]
fn what_the_window_cuts_off_waits_unless_it_is_a_whole_segment() {
    let mut t = Dialogue::with(cutting);
    let flow = t.accepted_with(syn().mss(1460).window(4000));
    t.write(flow, pattern(0, 10_000));
    t.expect(data(1, 1, pattern(0, 1460)));
    t.expect(data(1461, 1, pattern(1460, 1460)));
    t.expect_nothing();
    t.send(ack(1, 2921).window(8000));
    t.expect_sent(flow, 2920);
    for at in [2920, 4380, 5840, 7300, 8760] {
        let len = 1460.min(10_000 - at);
        t.expect(data(1 + u32::try_from(at).unwrap(), 1, pattern(at, len)));
    }
    t.send(ack(1, 10_001));
    t.expect_sent(flow, 7080);
    t.end();
}

#[test]
fn pieces_that_are_too_many_for_a_frame_end_with_a_whole_segment() {
    let mut t = Dialogue::with(cutting);
    let flow = t.accepted();
    let bytes = pattern(0, 4000);
    let spans: Vec<_> = bytes.chunks(100).map(|piece| t.driver.place(piece)).collect();
    let committed = t.driver.committed();
    assert_eq!(t.stack.tcp_send(&mut t.driver, t.now, flow, &spans), Ok(4000));
    t.turn();
    assert_eq!(t.driver.committed() - committed, 2);
    t.expect(data(1, 1, &bytes[..1460]));
    t.expect(data(1461, 1, &bytes[1460..2920]));
    t.expect(data(2921, 1, &bytes[2920..]));
    t.send(ack(1, 4001));
    t.expect_sent(flow, 4000);
    t.end();
}

#[test]
fn the_end_of_the_stream_is_the_last_segments() {
    let mut t = Dialogue::with(cutting);
    let flow = t.accepted();
    let span = t.driver.place(&pattern(0, 3000));
    t.stack.tcp_send(&mut t.driver, t.now, flow, &[span]).unwrap();
    t.shutdown(flow);
    t.expect(data(1, 1, pattern(0, 1460)));
    t.expect(data(1461, 1, pattern(1460, 1460)));
    t.expect(data(2921, 1, pattern(2920, 80)).flags(FIN | ACK));
    t.send(ack(1, 3002));
    t.expect_sent(flow, 3000);
    t.end();
}

#[test]
fn that_the_window_was_reduced_is_told_by_a_segment_of_its_own() {
    let mut t = Dialogue::with(cutting);
    let mut syn = syn().mss(1460);
    syn.flags |= ECE | CWR;
    t.listen();
    t.send(syn);
    t.expect(syn_ack().flags(SYN | ACK | ECE));
    t.send(ack(1, 1));
    let flow = t.knock();
    t.take(flow);
    t.write(flow, pattern(0, 2920));
    t.expect(data(1, 1, pattern(0, 1460)));
    t.expect(data(1461, 1, pattern(1460, 1460)));
    let mut marked = ack(1, 2921);
    marked.flags |= ECE;
    t.send(marked);
    t.expect_sent(flow, 2920);
    let committed = t.driver.committed();
    t.write(flow, pattern(2920, 2920));
    assert_eq!(t.driver.committed() - committed, 2);
    t.expect(data(2921, 1, pattern(2920, 1460)).flags(ACK | CWR));
    t.expect(data(4381, 1, pattern(4380, 1460)));
    t.send(ack(1, 5841));
    t.expect_sent(flow, 2920);
    t.end();
}

#[test]
fn of_what_the_card_cut_only_the_lost_segment_is_sent_again() {
    let mut t = Dialogue::with(cutting);
    let flow = t.accepted_with(syn().mss(1460).sack_permitted());
    t.write(flow, pattern(0, 1460 * 5));
    for at in 0..5 {
        let start = at * 1460;
        t.expect(data(1 + u32::try_from(start).unwrap(), 1, pattern(start, 1460)));
    }
    t.advance_us(100);
    let base = t.our_isn();
    let sack = |from: u32, to: u32| {
        let block = (base.wrapping_add(from), base.wrapping_add(to));
        TcpOptionElement::SelectiveAcknowledgement(block, [None; 3])
    };
    t.send(ack(1, 1461).option(sack(2921, 7301)));
    t.expect_sent(flow, 1460);
    t.expect(data(1461, 1, pattern(1460, 1460)));
    t.expect_nothing();
    t.send(ack(1, 7301));
    t.expect_sent(flow, 5840);
    assert_eq!(t.stack.counters().tcp_retransmits, 1);
    t.end();
}

/// Hands a frame in as the card would, over as many buffers as it takes.
fn inject(t: &mut Dialogue, frame: &[u8]) {
    inject_in(t, frame, &parts::filled(frame.len()));
}

fn inject_in(t: &mut Dialogue, frame: &[u8], lengths: &[usize]) {
    t.count_frame();
    let unknown = RxChecksum::Unknown;
    assert!(parts::receive(
        &mut t.stack,
        &mut t.driver,
        t.now,
        frame,
        lengths,
        unknown
    ));
    t.turn();
}

fn inject_segment(t: &mut Dialogue, segment: &Segment) {
    let frame = t.encode(segment);
    inject(t, &frame);
}

#[test]
fn a_segment_over_several_buffers_is_told_buffer_by_buffer_and_acknowledged_once() {
    for v6 in [false, true] {
        let mut t = if v6 { Dialogue::new_v6() } else { Dialogue::new() };
        let flow = t.accepted();
        let bytes = pattern(0, 20_000);
        inject_segment(&mut t, &data(1, 1, &bytes));
        t.expect(ack(1, 20_001));
        let mut got = Vec::new();
        let mut events = 0;
        while got.len() < bytes.len() {
            let (piece, buf) = t.hold(flow);
            got.extend(piece);
            t.give_back(buf);
            events += 1;
        }
        assert!(got == bytes);
        assert_eq!((events, t.stack.counters().rx_tcp), (10, 3), "SYN, ACK and this");
        t.discard_frames();
        t.end();
    }
}

#[test]
fn the_end_of_the_stream_comes_with_the_last_buffer() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    inject_segment(&mut t, &data(1, 1, pattern(0, 5000)).flags(FIN | ACK));
    t.expect(ack(1, 5002));
    let mut got = 0;
    while got < 5000 {
        let (piece, buf) = t.hold(flow);
        got += piece.len();
        t.give_back(buf);
    }
    t.expect_eof(flow);
    t.end();
}

#[test]
fn a_segment_over_several_buffers_that_is_beyond_a_gap_waits_for_it() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    inject_segment(&mut t, &data(1461, 1, pattern(1460, 6000)));
    t.expect(ack(1, 1));
    t.no_event();
    inject_segment(&mut t, &data(1, 1, pattern(0, 1460)));
    t.expect(ack(1, 7461));
    let mut got = Vec::new();
    while got.len() < 7460 {
        let (piece, buf) = t.hold(flow);
        got.extend(piece);
        t.give_back(buf);
    }
    assert!(got == pattern(0, 7460));
    // The same once more brings nothing new.
    inject_segment(&mut t, &data(1461, 1, pattern(1460, 6000)));
    t.expect(ack(1, 7461));
    t.end();
}

#[test]
fn a_reset_or_a_segment_for_nobody_over_several_buffers_counts_once() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    inject_segment(&mut t, &data(1, 1, pattern(0, 5000)).port(5));
    let answer = t.next_segment().unwrap();
    assert_eq!((answer.peer_port, answer.flags), (5, 4));
    t.expect_nothing();
    inject_segment(&mut t, &data(1, 1, pattern(0, 5000)).flags(4 | ACK));
    t.expect_dead(flow, Err(netstack::Error::ConnectionReset));
    t.end();
}

#[test]
fn a_wrong_checksum_is_found_in_whichever_buffer_it_is() {
    let mut t = Dialogue::new();
    t.accepted();
    let frame = t.encode(&data(1, 1, pattern(0, 7000)));
    for at in [60, 2040, 5000, frame.len() - 1] {
        let mut bad = frame.clone();
        bad[at] ^= 0x10;
        inject(&mut t, &bad);
    }
    t.expect_nothing();
    assert_eq!(t.stack.counters().rx_tcp_checksum, 4);
    t.end();
}

#[test]
fn buffers_of_odd_lengths_and_padding_are_put_together_rightly() {
    let mut t = Dialogue::new();
    let flow = t.accepted();
    let mut frame = t.encode(&data(1, 1, pattern(0, 2000)));
    frame.extend([0xee; 30]);
    inject_in(&mut t, &frame, &[101, 999, 1, 900, 53, 30]);
    let mut got = Vec::new();
    while got.len() < 2000 {
        let (piece, buf) = t.hold(flow);
        got.extend(piece);
        t.give_back(buf);
    }
    assert!(got == pattern(0, 2000));
    t.advance_ms(20);
    t.expect(ack(1, 2001));
    // Headers that go over two buffers are put together first.
    let frame = t.encode(&data(2001, 1, pattern(2000, 100)));
    for cut in [14, 20, 34, 40, 53] {
        inject_in(&mut t, &frame, &[cut, frame.len() - cut]);
    }
    let (piece, buf) = t.hold(flow);
    assert!(piece == pattern(2000, 100));
    t.give_back(buf);
    t.expect(ack(1, 2101));
    t.discard_frames();
    t.end();
}

#[test]
fn a_datagram_over_several_buffers_is_told_in_one_piece() {
    let mut t = Dialogue::with(jumbo);
    let socket = t.stack.udp_bind(None, 7, 5).unwrap();
    let bytes = pattern(0, 8192);
    inject(&mut t, &frames::udp(40_000, 7, &bytes));
    let Some(Event::UdpRecv {
        socket: of,
        buf,
        offset,
        len,
        ..
    }) = t.event()
    else {
        panic!("no datagram");
    };
    assert_eq!((of, usize::from(len)), (socket, bytes.len()));
    assert!(t.driver.view(&buf, offset, len) == bytes);
    t.give_back(buf);
    t.end();
}

#[test]
fn a_long_echo_request_is_answered_by_as_long_a_reply() {
    let mut t = Dialogue::with(jumbo);
    inject(&mut t, &frames::echo_request(1, 2, &pattern(0, 8972)));
    let reply = t.next_frame().unwrap();
    assert_eq!(reply.len(), 14 + 9000);
    assert!(reply[42..] == pattern(0, 8972));
    t.end();
}

#[test]
fn long_datagrams_find_no_room_when_all_large_buffers_are_taken() {
    let mut t = Dialogue::with(jumbo);
    t.stack.udp_bind(None, 7, 5).unwrap();
    let frame = frames::udp(40_000, 7, &pattern(0, 8192));
    for _ in 0..10 {
        inject(&mut t, &frame);
    }
    assert_eq!(t.stack.counters().rx_parts_no_room, 2);
    while let Some(Event::UdpRecv { buf, .. }) = t.event() {
        t.give_back(buf);
    }
    t.end();
}

#[test]
fn lengths_that_lie_are_dropped_and_counted_once() {
    let mut t = Dialogue::with(jumbo);
    t.accepted();
    let frame = t.encode(&data(1, 1, pattern(0, 3000)));
    let cut = &frame[..frame.len() - 1];
    inject(&mut t, cut);
    let mut longer = frame.clone();
    longer[16..18].copy_from_slice(&[0xff, 0xff]);
    inject(&mut t, &longer);
    let mut tiny = frame.clone();
    tiny[16..18].copy_from_slice(&[0, 19]);
    inject(&mut t, &tiny);
    let mut without_end = frame;
    without_end[46] = 0xf0;
    inject_in(&mut t, &without_end, &[60, 2000, without_end.len() - 2060]);
    t.expect_nothing();
    let counters = t.stack.counters();
    assert_eq!(counters.rx_ipv4_malformed + counters.rx_ipv4_checksum, 3);
    assert_eq!(counters.rx_tcp_malformed + counters.rx_tcp_checksum, 1);
    t.end();
}

/// A card that vouches for checksums, and a stack with generic receive offload, or without.
fn trusting(merges: bool) -> Dialogue {
    Dialogue::with(|config| {
        config.rx_checksum = true;
        config.merge_segments = merges;
    })
}

/// Hands frames in as one batch, their checksums vouched for.
fn inject_good(t: &mut Dialogue, frames: &[Vec<u8>]) {
    for frame in frames {
        t.count_frame();
        let buf = t.driver.fill(frame).unwrap();
        let offset = crate::harness::driver::FRAME_OFFSET;
        t.stack
            .receive_next(&mut t.driver, t.now, buf, frame, offset, RxChecksum::Good);
    }
    t.turn();
}

#[test]
fn segments_that_continue_each_other_are_taken_in_the_short_way_and_acknowledged_once() {
    let mut t = trusting(true);
    let flow = t.accepted();
    let frames: Vec<_> = (0..10)
        .map(|i| t.encode(&data(1 + i * 1460, 1, pattern(i as usize * 1460, 1460))))
        .collect();
    inject_good(&mut t, &frames);
    t.expect(ack(1, 14_601));
    assert_eq!(t.stack.counters().tcp_merged, 9);
    for i in 0..10 {
        t.read(flow, pattern(i * 1460, 1460));
    }
    t.discard_frames();
    t.end();
}

#[test]
fn what_does_more_than_continue_is_looked_at_like_any_segment() {
    let mut t = trusting(true);
    let flow = t.accepted();
    let first = t.encode(&data(1, 1, pattern(0, 1000)));
    let next = t.encode(&data(1001, 1, pattern(1000, 1000)));
    let mut damaged = next.clone();
    damaged[24] ^= 1;
    let mut marked = next.clone();
    marked[15] |= 3;
    let sum = u16::from_be_bytes([marked[24], marked[25]]);
    let sum = netstack::checksum::updated(sum, 0x4500, 0x4503);
    marked[24..26].copy_from_slice(&sum.to_be_bytes());
    let mut foreign = next.clone();
    foreign[0] ^= 4;
    inject_good(&mut t, &[first, damaged, foreign, marked]);
    let counters = t.stack.counters();
    assert_eq!(
        (
            counters.tcp_merged,
            counters.rx_ipv4_checksum,
            counters.rx_ethernet_not_ours
        ),
        (0, 1, 1)
    );
    let end = t.encode(&data(2001, 1, pattern(2000, 1000)).flags(FIN | ACK));
    inject_good(&mut t, &[end]);
    t.expect(ack(1, 3002));
    for at in [0, 1000, 2000] {
        t.read(flow, pattern(at, 1000));
    }
    t.expect_eof(flow);
    assert_eq!(t.stack.counters().tcp_merged, 0);
    t.discard_frames();
    t.end();
}

/// Whatever comes, in whatever order: frames and events are those of a stack that takes each segment by itself.
#[test]
fn the_short_way_changes_nothing_but_the_time_it_takes() {
    let mut merged = 0;
    for seed in seeds(500_000, 60) {
        let outcome = |merges: bool| {
            let mut random = Random::new(seed);
            let mut t = trusting(merges);
            let stamped = random.chance(50);
            let opening = if stamped {
                syn().mss(1460).timestamps(1000, 0)
            } else {
                syn().mss(1460)
            };
            let flow = t.accepted_with(opening);
            let (mut at, mut told) = (0_usize, Vec::new());
            for _ in 0..30 {
                let batch: Vec<_> = (0..=random.below(8))
                    .map(|_| {
                        let jump = [0, 0, 0, 0, 0, 0, 1000, 3000][random.index(8)];
                        let back = [0, 0, 0, 0, 0, 700][random.index(6)];
                        let start = (at + jump).saturating_sub(back);
                        let len = [1000, 1000, 1000, 600, 20][random.index(5)];
                        if jump == 0 {
                            at = at.max(start + len);
                        }
                        let mut segment = data(1 + u32::try_from(start).unwrap(), 1, pattern(start, len));
                        if stamped {
                            let stamp = [1000, 1000, 1000, 1001, 999][random.index(5)];
                            segment = segment.timestamps(stamp, 0);
                        }
                        let window = [None, None, None, Some(3000)][random.index(4)];
                        segment.window = window;
                        t.encode(&segment)
                    })
                    .collect();
                inject_good(&mut t, &batch);
                while let Some(frame) = t.next_frame() {
                    told.push(format!("{frame:?}"));
                }
                while let Some(event) = t.event() {
                    told.push(format!("{event:?}"));
                    if let Event::Recv { buf, .. } = event {
                        t.give_back(buf);
                    }
                }
            }
            t.abort(flow);
            let counters = t.stack.counters();
            (told, counters.tcp_merged, counters.rx_tcp)
        };
        let (with, without) = (outcome(true), outcome(false));
        assert!(with.0 == without.0, "seed {seed}");
        assert_eq!((without.1, with.2), (0, without.2), "seed {seed}");
        merged += with.1;
    }
    assert!(merged > 200, "{merged}");
}

/// Segments of a random transfer over a ring that is short at times, with large sends or without.
fn sent_in(seed: u64, cuts: bool) -> Vec<Segment> {
    let mut random = Random::new(seed);
    let mut t = Dialogue::with(|config| config.cut_segments = cuts);
    let stamped = random.chance(50);
    let stamp = |segment: Segment| {
        if stamped {
            segment.timestamps(1000, 0)
        } else {
            segment
        }
    };
    let flow = t.accepted_with(stamp(syn().mss(1000)));
    t.driver.device = Device::Held;
    let (mut segments, mut end, mut acked) = (Vec::new(), 1, 1);
    for round in 0..40 {
        t.driver.ring_len = [2, 5, 64][random.index(3)];
        let pieces: Vec<_> = (0..random.below(50))
            .map(|_| {
                let len = [1, 20, 700, 2500][random.index(4)];
                t.driver.place(&pattern(0, len))
            })
            .collect();
        if !pieces.is_empty() && round < 30 {
            t.stack.tcp_send(&mut t.driver, t.now, flow, &pieces).unwrap();
        } else if round == 30 {
            t.shutdown(flow);
        }
        t.turn();
        t.driver.transmit(64);
        t.collect();
        while let Some(segment) = t.next_segment() {
            end = end.max(segment.seq + u32::try_from(segment.payload.len()).unwrap());
            segments.push(segment);
        }
        acked += u32::try_from(random.below(u64::from(end - acked + 1))).unwrap();
        t.send(stamp(ack(1, acked)));
        while let Some(event) = t.event() {
            assert!(matches!(event, Event::Sent { .. }), "{event:?}");
        }
    }
    t.abort(flow);
    segments
}

#[test]
fn what_the_stack_cuts_is_what_it_would_have_sent_segment_by_segment() {
    for seed in seeds(600_000, 60) {
        let (whole, single) = (sent_in(seed, true), sent_in(seed, false));
        assert!(whole.len() > 40);
        assert_eq!(whole, single, "seed {seed}");
    }
}

#[test]
fn behind_the_end_of_the_stream_comes_nothing() {
    let mut t = Dialogue::with(cutting);
    let flow = t.accepted();
    let span = t.driver.place(b"last");
    t.stack.tcp_send(&mut t.driver, t.now, flow, &[span]).unwrap();
    t.shutdown(flow);
    t.expect(data(1, 1, "last").flags(FIN | ACK));
    t.expect_nothing();
    t.send(ack(1, 6));
    t.expect_sent(flow, 4);
    t.end();
}
