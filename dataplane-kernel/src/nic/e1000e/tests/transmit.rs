//! Frames out.

use super::super::regs::Queue;
use super::Bench;
use crate::hw::dma::testing::memory;
use crate::nic::Nic;
use netstack::{MAX_TX_SPANS, Span, TxOffload, TxTicket};

const TCP: TxOffload = TxOffload::Partial {
    start: 34,
    offset: 16,
};
const UDP: TxOffload = TxOffload::Partial { start: 34, offset: 6 };

/// App memory that holds `byte`, as a span.
fn span(byte: u8, len: u32) -> Span {
    let memory = memory(4096, 64);
    let address = memory.phys(0).0;
    crate::hw::dma::testing::device_write(address, &std::vec![byte; 4096]);
    Span { address, len }
}

fn send(bench: &mut Bench, header: &[u8], payload: &[Span], checksum: TxOffload) -> TxTicket {
    bench.nic.begin_tx().unwrap()[..header.len()].copy_from_slice(header);
    bench.nic.commit_tx(header.len(), payload, checksum)
}

#[test]
fn a_frame_is_its_header_and_payload_where_it_lies() {
    let mut bench = Bench::new();
    let payload = [span(1, 100), span(2, 0), span(3, 50)];
    send(&mut bench, &[9; 54], &payload, TxOffload::Complete);
    assert!(bench.device.send().is_none(), "not shown before the kick");
    bench.nic.kick();

    let sent = bench.device.send().unwrap();
    assert_eq!(sent.parts.len(), 3, "an empty span takes no descriptor");
    assert_eq!(
        sent.parts[1..],
        [(payload[0].address, 100), (payload[2].address, 50)],
        "not copied"
    );
    assert_eq!(sent.bytes, [&[9; 54][..], &[1; 100], &[3; 50]].concat());
    assert_eq!(
        (bench.counter("nic.tx_frames"), bench.counter("nic.tx_bytes")),
        (1, 204)
    );
}

#[test]
fn the_checksum_is_computed_where_it_is_asked_for_and_only_then() {
    let mut bench = Bench::new();
    let payload = [span(1, 7)];
    let sum_of = |bytes: &[u8]| {
        let words = bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        let sum: u32 = words.sum();
        (sum & 0xffff) + (sum >> 16)
    };
    for (checksum, field) in [
        (TCP, Some(50)),
        (TCP, Some(50)),
        (TxOffload::Complete, None),
        (TCP, Some(50)),
        (UDP, Some(40)),
        (UDP, Some(40)),
        (TCP, Some(50)),
    ] {
        send(&mut bench, &[5; 54], &payload, checksum);
        bench.nic.kick();
        let frame = bench.device.send().unwrap().bytes;
        let Some(field) = field else {
            assert_eq!(frame[..54], [5; 54], "left as it was");
            continue;
        };
        let pseudo = 0x0505;
        let computed = u32::from(frame[field]) << 8 | u32::from(frame[field + 1]);
        let mut bytes = frame[34..].to_vec();
        bytes[field - 34..field - 32].fill(0);
        assert_eq!(sum_of(&bytes) + pseudo + computed, 0xffff, "{checksum:?}");
    }
    assert_eq!(bench.counter("nic.tx_contexts"), 3, "TCP, UDP, TCP");
}

#[test]
fn frames_leave_over_many_turns_of_the_ring_and_are_all_let_go_of() {
    let mut bench = Bench::new();
    let payload: std::vec::Vec<_> = (0..8).map(|i| span(i, 10 + u32::from(i))).collect();
    for turn in 0..20_000_u32 {
        let parts = (turn % 9) as usize;
        let checksum = [TCP, UDP, TxOffload::Complete][(turn % 7 % 3) as usize];
        let mut header = [0; 54];
        header[..4].copy_from_slice(&turn.to_le_bytes());
        let ticket = send(&mut bench, &header, &payload[..parts], checksum);
        assert_eq!(ticket, TxTicket(turn));
        assert!(!bench.nic.tx_done(ticket));
        bench.nic.kick();
        let sent = bench.device.send().unwrap();
        assert_eq!(sent.parts.len(), 1 + parts);
        assert_eq!(sent.bytes[..4], turn.to_le_bytes());
        assert!(!bench.nic.tx_done(ticket), "not before it is seen");
        bench.nic.reclaim_tx();
        assert!(bench.nic.tx_done(ticket) && bench.nic.tx_idle());
    }
}

#[test]
fn a_batch_is_one_doorbell() {
    let mut bench = Bench::new();
    for batch in 1..=3000_u64 {
        for _ in 0..1 + batch % 20 {
            send(&mut bench, &[0; 60], &[], TCP);
        }
        bench.nic.kick();
        bench.nic.kick();
        assert_eq!(bench.device.with(|state| state.tx_doorbells), batch);
        while bench.device.send().is_some() {}
        bench.nic.reclaim_tx();
        bench.nic.kick();
    }
    assert_eq!(bench.counter("nic.tx_doorbells"), 3000);
}

#[test]
fn a_full_ring_refuses_until_reclaimed() {
    let mut bench = Bench::new();
    let payload = [span(1, 10)];
    let mut count = 0;
    while bench.nic.begin_tx().is_some() {
        bench.nic.commit_tx(54, &payload, TxOffload::Complete);
        count += 1;
    }
    let longest = MAX_TX_SPANS + 21;
    assert_eq!(
        count,
        (511 - longest) / 2 + 1,
        "two each, and the longest must fit"
    );
    assert_eq!(bench.counter("nic.tx_ring_full"), 1);

    let refused = bench.nic.commit_tx(54, &payload, TxOffload::Complete);
    assert!(
        bench.nic.tx_done(refused),
        "a frame that was not begun is not sent"
    );
    bench.nic.kick();
    assert_eq!(core::iter::from_fn(|| bench.device.send()).count(), count);
    assert!(bench.nic.begin_tx().is_none());
    bench.nic.reclaim_tx();
    assert!(bench.nic.begin_tx().is_some());
    assert!(bench.nic.tx_idle());
}

#[test]
fn the_longest_frames_never_overtake_the_card() {
    let mut bench = Bench::new();
    let payload = [span(1, 10); MAX_TX_SPANS + 3];
    for round in 0..1000 {
        while bench.nic.begin_tx().is_some() {
            let checksum = [TCP, UDP][round % 2];
            bench.nic.commit_tx(usize::MAX, &payload, checksum);
        }
        bench.nic.kick();
        assert!(bench.device.with(|state| state.pending(Queue::TX)) <= 511);
        for _ in 0..1 + round % 5 {
            let sent = bench.device.send().unwrap();
            assert_eq!(sent.parts.len(), 5 + MAX_TX_SPANS, "the rest is cut");
            assert!(sent.parts[..5].iter().all(|part| part.1 == 2048));
        }
        bench.nic.reclaim_tx();
    }
}

/// Headers of a segment, as the stack writes them, and where TCP's begin.
fn headers(is_v4: bool, payload_len: u16) -> (std::vec::Vec<u8>, u16) {
    let mut headers = std::vec![0_u8; if is_v4 { 66 } else { 86 }];
    let tcp_len = payload_len + 32;
    let start = if is_v4 {
        headers[14] = 0x45;
        headers[16..18].copy_from_slice(&(tcp_len + 20).to_be_bytes());
        headers[24..26].fill(0x77);
        34
    } else {
        headers[14] = 0x60;
        headers[18..20].copy_from_slice(&tcp_len.to_be_bytes());
        54
    };
    let sum = 0xf000_u32 + u32::from(tcp_len);
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    let field = usize::from(start) + 16;
    headers[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    (headers, start)
}

#[test]
fn a_segment_to_be_cut_has_a_context_of_its_own_and_headers_without_lengths() {
    let mut bench = Bench::new();
    let long = Span {
        len: 60_000,
        ..span(3, 1)
    };
    for is_v4 in [true, false] {
        for payload in [&[long][..], &[span(1, 3000), span(2, 7)]] {
            let payload_len: u32 = payload.iter().map(|span| span.len).sum();
            let (header, start) = headers(is_v4, u16::try_from(payload_len).unwrap());
            let offload = TxOffload::Segments {
                ip: 14,
                start,
                mss: 1400,
            };
            send(&mut bench, &header, payload, TCP);
            send(&mut bench, &header, payload, offload);
            send(&mut bench, &header, payload, TCP);
        }
    }
    bench.nic.kick();
    assert_eq!(
        bench.counter("nic.tx_contexts"),
        9,
        "the first, and two for each that is cut"
    );
    let cut = bench.device.with(|state| state.take_cut());
    assert_eq!(cut.len(), 4);
    for (number, frame) in cut.iter().enumerate() {
        let is_v4 = number < 2;
        let sum_at = if is_v4 { 50 } else { 70 };
        assert_eq!(
            frame.header[sum_at..sum_at + 2],
            [0xf0, 0],
            "the sum without the length"
        );
        if is_v4 {
            assert_eq!(
                (&frame.header[16..18], &frame.header[24..26]),
                (&[0; 2][..], &[0; 2][..])
            );
        } else {
            assert_ne!(frame.header[18..20], [0; 2]);
        }
        assert!(frame.pieces.iter().all(|len| *len <= 4096));
        let expected = if number % 2 == 0 { 60_000 } else { 3007 };
        assert_eq!(frame.pieces.iter().sum::<usize>(), expected);
        assert_eq!((frame.payload_len, frame.mss), (expected, 1400));
    }
}

#[test]
fn long_frames_that_are_composed_whole_never_share_a_buffer() {
    let mut bench = Bench::new();
    let mut sent = std::collections::VecDeque::new();
    for number in 0..3000_usize {
        let len = [9014, 60, 2048, 2049, 5000][number * 7 % 11 % 5];
        let byte = number.to_le_bytes()[0];
        let room = bench.nic.begin_tx().unwrap();
        room[..len].fill(byte);
        bench.nic.commit_tx(len, &[], TxOffload::Complete);
        sent.push_back((len, byte));
        bench.nic.kick();
        if sent.len() > 30 {
            let (len, byte) = sent.pop_front().unwrap();
            let bytes = bench.device.send().unwrap().bytes;
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|got| *got == byte), "frame {number}");
            bench.nic.reclaim_tx();
        }
    }
}

#[test]
fn frames_done_out_of_order_are_let_go_of_in_order() {
    let mut bench = Bench::new();
    let payload = [span(1, 10)];
    let tickets: std::vec::Vec<_> = (0..6)
        .map(|i| send(&mut bench, &[i; 54], &payload, TCP))
        .collect();
    bench.nic.kick();
    let last: std::vec::Vec<_> = bench.device.with(|state| {
        core::iter::from_fn(|| state.send())
            .map(|sent| sent.last)
            .collect()
    });
    let finish = |bench: &mut Bench, indices: &[usize]| {
        for &i in indices {
            bench.device.with(|state| state.finish(last[i]));
        }
        bench.nic.reclaim_tx();
        tickets
            .iter()
            .map(|&ticket| bench.nic.tx_done(ticket))
            .collect::<std::vec::Vec<_>>()
    };
    assert_eq!(finish(&mut bench, &[2, 1, 4]), [false; 6]);
    assert_eq!(finish(&mut bench, &[0]), [true, true, true, false, false, false]);
    assert_eq!(finish(&mut bench, &[5, 3]), [true; 6]);
    assert!(bench.nic.tx_idle());
}
