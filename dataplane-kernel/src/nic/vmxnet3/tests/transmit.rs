//! Frames out.

use super::super::regs::Producer;
use super::Bench;
use crate::hw::dma::testing::{device_write, memory};
use crate::nic::Nic;
use netstack::{MAX_TX_SPANS, Span, TxOffload, TxTicket};
use std::vec::Vec;

const TCP: TxOffload = TxOffload::Partial {
    start: 34,
    offset: 16,
};

/// App memory that holds `byte`, as a span.
fn span(byte: u8, len: u32) -> Span {
    let address = memory(4096, 64).phys(0).0;
    device_write(address, &std::vec![byte; 4096]);
    Span { address, len }
}

fn send(bench: &mut Bench, header: &[u8], payload: &[Span], offload: TxOffload) -> TxTicket {
    bench.nic.begin_tx().unwrap()[..header.len()].copy_from_slice(header);
    bench.nic.commit_tx(header.len(), payload, offload)
}

#[test]
fn a_frame_is_its_header_and_payload_where_it_lies() {
    let mut bench = Bench::new();
    let payload = [span(1, 100), span(2, 0), span(3, 50)];
    send(&mut bench, &[9; 54], &payload, TxOffload::Complete);
    bench.nic.kick();
    assert_eq!(bench.device.pending()[0], 3, "an empty span takes no descriptor");

    let sent = bench.device.send().unwrap();
    assert_eq!(
        sent.parts[1..],
        [(payload[0].address, 100), (payload[2].address, 50)],
        "not copied"
    );
    assert_eq!(sent.bytes, [&[9; 54][..], &[1; 100], &[3; 50]].concat());
    assert_eq!((sent.offload().0, sent.tag()), (0, None));
    assert_eq!(
        (bench.counter("nic.tx_frames"), bench.counter("nic.tx_bytes")),
        (1, 204)
    );
}

#[test]
fn each_frame_says_what_is_to_be_computed() {
    let mut bench = Bench::new();
    let udp = TxOffload::Partial { start: 54, offset: 6 };
    let payload = [span(1, 10)];
    for (offload, expected) in [
        (TCP, (2, 34, 50)),
        (TxOffload::Complete, (0, 0, 0)),
        (udp, (2, 54, 60)),
        (TCP, (2, 34, 50)),
    ] {
        send(&mut bench, &[5; 66], &payload, offload);
        let sent = bench.device.send().unwrap();
        assert_eq!(sent.offload(), expected);
        assert_eq!(sent.bytes[..66], [5; 66], "left as it was");
    }
}

/// Headers of a segment, as the stack writes them, and where TCP's begin.
fn headers(is_v4: bool, payload_len: u16) -> (Vec<u8>, u16) {
    let mut headers = std::vec![0_u8; if is_v4 { 66 } else { 86 }];
    let tcp_len = payload_len + 32;
    let start = if is_v4 {
        headers[16..18].copy_from_slice(&(tcp_len + 20).to_be_bytes());
        headers[24..26].fill(0x77);
        34
    } else {
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
fn a_segment_to_be_cut_says_how_and_leaves_to_the_device_what_differs() {
    let mut bench = Bench::new();
    let long = Span {
        len: 60_000,
        ..span(3, 1)
    };
    for (is_v4, payload) in [
        (true, &[long][..]),
        (false, &[long]),
        (true, &[span(1, 3000), span(2, 7)]),
        (false, &[span(1, 3000), span(2, 7)]),
    ] {
        let payload_len: u32 = payload.iter().map(|span| span.len).sum();
        let (header, start) = headers(is_v4, u16::try_from(payload_len).unwrap());
        let offload = TxOffload::Segments {
            ip: 14,
            start,
            mss: 1400,
        };
        send(&mut bench, &header, payload, offload);
        let sent = bench.device.send().unwrap();
        assert_eq!(sent.offload(), (3, header.len() as u64, 1400));
        assert!(sent.parts.iter().all(|part| part.1 <= 16_384));
        let lens: usize = sent.parts.iter().map(|part| part.1).sum();
        assert_eq!(lens, header.len() + payload_len as usize);
        let sum_at = usize::from(start) + 16;
        assert_eq!(
            sent.bytes[sum_at..sum_at + 2],
            [0xf0, 0],
            "the sum without the length"
        );
        if is_v4 {
            assert_eq!(sent.bytes[16..18], header[16..18], "the length stays");
            assert_eq!(sent.bytes[24..26], [0; 2]);
        } else {
            assert_eq!(sent.bytes[14..70], header[14..70]);
        }
    }
}

#[test]
fn frames_leave_over_many_turns_of_the_ring_and_are_all_let_go_of() {
    let mut bench = Bench::new();
    let payload: Vec<_> = (0..8).map(|i| span(i, 10 + u32::from(i))).collect();
    for turn in 0..20_000_u32 {
        let parts = (turn % 9) as usize;
        let mut header = [0; 54];
        header[..4].copy_from_slice(&turn.to_le_bytes());
        let ticket = send(&mut bench, &header, &payload[..parts], TCP);
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
    assert_eq!(bench.counter("nic.tx_bad_descriptor"), 0);
}

#[test]
fn a_batch_is_one_doorbell() {
    let mut bench = Bench::new();
    let mut place = 0;
    for batch in 1..=3000_u16 {
        let count = 1 + batch % 20;
        for _ in 0..count {
            send(&mut bench, &[0; 60], &[], TCP);
        }
        place = (place + count) % 512;
        bench.nic.kick();
        bench.nic.kick();
        assert_eq!(bench.device.doorbells(), [(Producer::TX, place)]);
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
    let longest = MAX_TX_SPANS + 8;
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
    assert_eq!(core::iter::from_fn(|| bench.device.send()).count(), count);
    assert!(bench.nic.begin_tx().is_none());
    bench.nic.reclaim_tx();
    assert!(bench.nic.begin_tx().is_some() && bench.nic.tx_idle());
}

#[test]
fn the_longest_frames_never_overtake_the_device() {
    let mut bench = Bench::new();
    let payload = [span(1, 10); MAX_TX_SPANS + 3];
    for round in 0..1000 {
        while bench.nic.begin_tx().is_some() {
            bench.nic.commit_tx(usize::MAX, &payload, TCP);
        }
        for _ in 0..1 + round % 5 {
            let sent = bench.device.send().unwrap();
            assert_eq!(sent.parts.len(), 5 + MAX_TX_SPANS, "the rest is cut");
            assert!(sent.parts[..5].iter().all(|part| part.1 == 2048));
        }
        bench.nic.reclaim_tx();
    }
}

#[test]
fn long_frames_that_are_composed_whole_never_share_a_buffer() {
    let mut bench = Bench::new();
    let mut sent = std::collections::VecDeque::new();
    for number in 0..3000_usize {
        let len = [9014, 60, 2048, 2049, 5000][number * 7 % 11 % 5];
        let byte = number.to_le_bytes()[0];
        bench.nic.begin_tx().unwrap()[..len].fill(byte);
        bench.nic.commit_tx(len, &[], TxOffload::Complete);
        sent.push_back((len, byte));
        if sent.len() > 30 {
            let (len, byte) = sent.pop_front().unwrap();
            let bytes = bench.device.send().unwrap().bytes;
            assert_eq!(bytes.len(), len);
            assert!(bytes.iter().all(|got| *got == byte), "frame {number}");
            bench.nic.reclaim_tx();
        }
    }
}
