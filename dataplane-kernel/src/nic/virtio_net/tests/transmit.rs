//! Frames out.

use super::Bench;
use crate::hw::dma::testing::memory;
use crate::nic::vlan::OnVlan;
use crate::nic::{Nic, Offloads};
use netstack::wire::vlan::VlanId;
use netstack::{MAX_TX_SPANS, Span, TxOffload, TxTicket};

/// App memory that holds `byte`, as a span.
fn span(byte: u8, len: u32) -> Span {
    let memory = memory(4096, 64);
    let address = memory.phys(0).0;
    crate::hw::dma::testing::device_write(address, &std::vec![byte; 4096]);
    Span { address, len }
}

fn send(bench: &mut Bench, header: &[u8], payload: &[Span]) -> TxTicket {
    bench.nic.begin_tx().unwrap()[..header.len()].copy_from_slice(header);
    bench.nic.commit_tx(header.len(), payload, TxOffload::Complete)
}

fn complete_all(bench: &Bench) -> usize {
    bench.device.tx(|queue| {
        let mut count = 0;
        while let Some(chain) = queue.take() {
            queue.give_back(chain.head.into(), 0);
            count += 1;
        }
        count
    })
}

#[test]
fn a_frame_is_its_header_and_payload_where_it_lies() {
    let mut bench = Bench::new(&[]);
    let payload = [span(1, 100), span(2, 0), span(3, 50)];
    bench.nic.begin_tx().unwrap()[..54].fill(9);
    bench.nic.commit_tx(
        54,
        &payload,
        TxOffload::Partial {
            start: 34,
            offset: 16,
        },
    );
    assert!(
        bench.device.tx(|queue| queue.take()).is_none(),
        "not shown before the kick"
    );
    bench.nic.kick();

    let chain = bench.device.tx(|queue| queue.take()).unwrap();
    assert_eq!(chain.parts.len(), 3, "an empty span takes no descriptor");
    assert_eq!(
        (chain.parts[1].0, chain.parts[2].0),
        (payload[0].address, payload[2].address),
        "not copied"
    );
    assert!(chain.parts.iter().all(|part| !part.2));
    let bytes = chain.bytes();
    assert_eq!(bytes[..12], [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0]);
    assert_eq!(bytes[12..], [&[9; 54][..], &[1; 100], &[3; 50]].concat());
    assert_eq!(
        (bench.counter("nic.tx_frames"), bench.counter("nic.tx_bytes")),
        (1, 204)
    );
}

#[test]
fn a_header_buffer_used_again_asks_for_no_checksum_it_should_not() {
    let mut bench = Bench::new(&[]);
    for turn in 0..128 {
        bench.nic.begin_tx().unwrap()[0] = turn;
        let checksum = if turn < 64 {
            TxOffload::Partial { start: 1, offset: 1 }
        } else {
            Default::default()
        };
        bench.nic.commit_tx(60, &[], checksum);
        bench.nic.kick();
        let chain = bench.device.tx(|queue| queue.take()).unwrap();
        assert_eq!(chain.bytes()[0], u8::from(turn < 64));
        bench.device.tx(|queue| queue.give_back(chain.head.into(), 0));
        bench.nic.reclaim_tx();
    }
}

#[test]
fn frames_leave_over_many_turns_of_the_ring_and_are_all_let_go_of() {
    let mut bench = Bench::new(&[]);
    let payload: std::vec::Vec<_> = (0..8).map(|i| span(i, 10 + u32::from(i))).collect();
    for turn in 0..20_000_u32 {
        let parts = (turn % 9) as usize;
        let ticket = send(&mut bench, &turn.to_le_bytes(), &payload[..parts]);
        assert_eq!(ticket, TxTicket(turn));
        assert!(!bench.nic.tx_done(ticket));
        bench.nic.kick();
        let chain = bench.device.tx(|queue| queue.take()).unwrap();
        assert_eq!(chain.parts.len(), 1 + parts);
        assert_eq!(chain.bytes()[12..16], turn.to_le_bytes());
        bench.device.tx(|queue| queue.give_back(chain.head.into(), 0));
        assert!(!bench.nic.tx_done(ticket), "not before it is seen");
        bench.nic.reclaim_tx();
        assert!(bench.nic.tx_done(ticket) && bench.nic.tx_idle());
    }
}

#[test]
fn a_full_ring_refuses_until_reclaimed() {
    let mut bench = Bench::new(&[]);
    let payload = [span(1, 10)];
    let mut sent = 0;
    while bench.nic.begin_tx().is_some() {
        bench.nic.commit_tx(54, &payload, TxOffload::Complete);
        sent += 1;
    }
    assert_eq!(
        sent,
        (64 - 30) / 2,
        "each takes two descriptors, and the longest must fit"
    );
    assert_eq!(bench.counter("nic.tx_ring_full"), 1);

    let refused = bench.nic.commit_tx(54, &payload, TxOffload::Complete);
    assert!(
        bench.nic.tx_done(refused),
        "a frame that was not begun is not sent"
    );
    bench.nic.kick();
    assert_eq!(complete_all(&bench), sent);
    assert!(bench.nic.begin_tx().is_none());
    bench.nic.reclaim_tx();
    assert!(bench.nic.begin_tx().is_some());
    assert!(bench.nic.tx_idle());
}

#[test]
fn more_spans_than_a_chain_holds_or_a_header_longer_than_its_buffer_are_cut() {
    let mut bench = Bench::new(&[]);
    let payload = [span(1, 10); MAX_TX_SPANS + 3];
    bench.nic.begin_tx().unwrap();
    bench
        .nic
        .commit_tx(usize::MAX - 12, &payload, TxOffload::Complete);
    bench.nic.kick();
    let chain = bench.device.tx(|queue| queue.take()).unwrap();
    assert_eq!(chain.parts.len(), 1 + MAX_TX_SPANS);
    assert!(chain.parts[..5].iter().all(|part| part.1 == 2048));
    assert!(chain.parts[5..].iter().all(|part| part.1 == 10));
}

#[test]
fn a_segment_to_be_cut_says_how() {
    let mut bench = Bench::new(&[]);
    for (start, kind) in [(34, 1), (54, 4)] {
        let header_len = usize::from(start) + 32;
        bench.nic.begin_tx().unwrap()[..header_len].fill(9);
        let offload = TxOffload::Segments {
            ip: 14,
            start,
            mss: 1448,
        };
        bench.nic.commit_tx(header_len, &[span(1, 4000)], offload);
        bench.nic.kick();
        let chain = bench.device.tx(|queue| queue.take()).unwrap();
        let bytes = chain.bytes();
        let lengths = [u8::try_from(header_len).unwrap(), 0, 0xa8, 5];
        assert_eq!(bytes[..2], [1, kind]);
        assert_eq!(bytes[2..6], lengths);
        assert_eq!(bytes[6..12], [u8::try_from(start).unwrap(), 0, 16, 0, 0, 0]);
        assert_eq!(bytes[12..], [&std::vec![9; header_len][..], &[1; 4000]].concat());
    }
}

#[test]
fn long_frames_that_are_composed_whole_never_share_a_buffer() {
    let mut bench = Bench::new(&[]);
    let mut sent = std::collections::VecDeque::new();
    for number in 0..3000_usize {
        let len = [9014, 60, 2036, 2037, 5000][number * 7 % 11 % 5];
        let byte = number.to_le_bytes()[0];
        if let Some(room) = bench.nic.begin_tx() {
            room[..len].fill(byte);
            bench.nic.commit_tx(len, &[], TxOffload::Complete);
            sent.push_back((len, byte));
            bench.nic.kick();
        }
        if sent.len() > 3 {
            let chain = bench.device.tx(|queue| queue.take()).unwrap();
            let (len, byte) = sent.pop_front().unwrap();
            let bytes = chain.bytes();
            assert_eq!(bytes.len(), len + 12);
            assert!(bytes[12..].iter().all(|got| *got == byte), "frame {number}");
            bench.device.tx(|queue| queue.give_back(chain.head.into(), 0));
            bench.nic.reclaim_tx();
        }
    }
}

#[test]
fn frames_used_out_of_order_are_let_go_of_in_order() {
    let mut bench = Bench::new(&[]);
    let tickets: std::vec::Vec<_> = (0..6)
        .map(|i| send(&mut bench, &[i; 54], &[span(1, 10)]))
        .collect();
    bench.nic.kick();
    let chains: std::vec::Vec<_> = bench.device.tx(|queue| {
        core::iter::from_fn(|| queue.take())
            .map(|chain| chain.head)
            .collect()
    });
    let finish = |bench: &mut Bench, indices: &[usize]| {
        for &i in indices {
            bench.device.tx(|queue| queue.give_back(chains[i].into(), 0));
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
    assert_eq!(bench.counter("nic.tx_bad_descriptor"), 0);
}

#[test]
fn on_a_vlan_a_frame_has_a_tag_and_its_checksum_lies_behind_it() {
    let mut features = super::HOST_TSO.to_vec();
    features.push(super::CSUM);
    let Bench { nic, device, .. } = Bench::new(&features);
    assert!(nic.offloads().contains(Offloads::TSO));
    let mut nic = OnVlan::new(nic, VlanId::new(7));
    assert!(!nic.offloads().contains(Offloads::TSO));

    let frame = core::array::from_fn::<u8, 54, _>(|at| at.to_le_bytes()[0]);
    nic.begin_tx().unwrap()[..54].copy_from_slice(&frame);
    let offload = TxOffload::Partial {
        start: 34,
        offset: 16,
    };
    nic.commit_tx(54, &[span(1, 6)], offload);
    nic.kick();

    let bytes = device.tx(|queue| queue.take()).unwrap().bytes();
    assert_eq!(bytes[..12], [1, 0, 0, 0, 0, 0, 38, 0, 16, 0, 0, 0]);
    assert_eq!(bytes[12..24], frame[..12]);
    assert_eq!(bytes[24..28], [0x81, 0, 0, 7]);
    assert_eq!(bytes[28..70], frame[12..]);
    assert_eq!(bytes[70..], [1; 6]);
}
