//! What a turn does with chains, good and bad, and when the driver is asked to ring.

use super::{BUFFERS, Bench, count, frame};
use crate::vmm::virtio::testing::{NEXT, Ring, WRITE};
use virtio_bindings::virtio_net::{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_MRG_RXBUF};

#[test]
fn frames_go_both_ways_whatever_their_chains_look_like() {
    for event_idx in [false, true] {
        let mut bench = Bench::new(event_idx, 16);
        bench.write(BUFFERS, &frame(7, 100));
        bench.transmit.post_chain(0, &[(BUFFERS, 112)], 0);
        bench
            .transmit
            .post_chain(1, &[(BUFFERS, 12), (BUFFERS + 12, 0), (BUFFERS + 12, 100)], 0);
        bench
            .transmit
            .post_chain(8, &[(BUFFERS, 5), (BUFFERS + 5, 107)], 0);
        bench.receive.post_chain(0, &[(BUFFERS + 0x1000, 2048)], WRITE);
        bench
            .receive
            .post_chain(3, &[(BUFFERS + 0x2000, 11), (BUFFERS + 0x3000, 2037)], WRITE);
        bench.send(&[&[1; 10][..], &[0xee; 2], &[9; 60][..]].concat());
        bench.send(&[&[1; 10][..], &[0xee; 2], &[8; 60][..]].concat());
        assert!(bench.turn());
        for head in [0, 1, 8] {
            assert_eq!(bench.heard(), Some(frame(7, 100)));
            assert_eq!(bench.transmit.next_used(), Some((head, 0)));
        }
        assert_eq!(bench.receive.next_used(), Some((0, 72)));
        assert_eq!(bench.receive.next_used(), Some((3, 72)));
        let header = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0];
        assert_eq!(
            bench.bytes(BUFFERS + 0x1000, 72),
            [&header[..], &[9; 60]].concat()
        );
        assert_eq!(bench.bytes(BUFFERS + 0x2000, 11), header[..11]);
        assert_eq!(bench.bytes(BUFFERS + 0x3000, 61), [&[0][..], &[8; 60]].concat());
        assert!(!bench.turn());
        let counters = &bench.counters;
        assert_eq!((count(&counters.tx_frames), count(&counters.tx_bytes)), (3, 300));
        assert_eq!((count(&counters.rx_frames), count(&counters.rx_bytes)), (2, 120));
    }
}

#[test]
fn a_driver_need_not_ring_while_its_frames_are_looked_for() {
    for event_idx in [false, true] {
        let mut bench = Bench::new(event_idx, 16);
        bench.write(BUFFERS, &frame(7, 100));
        bench.active.rest(&bench.memory).unwrap();
        assert!(bench.transmit.wants_doorbell(event_idx), "it sleeps");
        for _ in 0..40 {
            bench.transmit.post_chain(3, &[(BUFFERS, 112)], 0);
            assert!(bench.turn());
            assert!(!bench.transmit.wants_doorbell(event_idx));
            assert!(bench.heard().is_some());
        }
        assert!(bench.active.rest(&bench.memory).unwrap());
        assert!(bench.transmit.wants_doorbell(event_idx));
        bench.transmit.post_chain(3, &[(BUFFERS, 112)], 0);
        assert!(
            !bench.active.rest(&bench.memory).unwrap(),
            "no sleep over what came in between"
        );
    }
}

#[test]
fn only_a_driver_without_buffers_is_asked_to_ring_for_them() {
    for event_idx in [false, true] {
        let mut bench = Bench::new(event_idx, 16);
        bench.receive.post_chain(0, &[(BUFFERS, 2048)], WRITE);
        bench.receive.post_chain(1, &[(BUFFERS, 2048)], WRITE);
        bench.send(&frame(1, 60));
        bench.turn();
        bench.active.rest(&bench.memory).unwrap();
        assert!(!bench.receive.wants_doorbell(bench.event_idx));
        bench.send(&frame(2, 60));
        bench.send(&frame(3, 60));
        bench.turn();
        assert!(bench.receive.wants_doorbell(bench.event_idx));
        assert!(
            bench.active.rest(&bench.memory).unwrap(),
            "a frame without a buffer keeps nobody awake"
        );
        assert_eq!(count(&bench.counters.rx_no_buffer), 1);

        bench.receive.post_chain(2, &[(BUFFERS + 0x1000, 2048)], WRITE);
        bench.active.buffers_posted(&bench.memory).unwrap();
        bench.turn();
        assert_eq!(bench.bytes(BUFFERS + 0x1000 + 12, 60), [3; 60]);
    }
}

#[test]
fn a_turn_is_bounded() {
    let mut bench = Bench::new(true, 256);
    bench.write(BUFFERS, &frame(7, 100));
    for _ in 0..200 {
        bench.transmit.post_chain(0, &[(BUFFERS, 112)], 0);
    }
    for expected in [64, 128, 192, 200] {
        assert!(bench.turn());
        while bench.heard().is_some() {}
        let sent = count(&bench.counters.tx_frames) + count(&bench.counters.tx_refused);
        assert_eq!(sent, expected);
    }
    assert!(!bench.turn());
}

/// A chain and what becomes of it.
type Bad = fn(&mut Ring);

const BAD_TO_SEND: [Bad; 10] = [
    |ring| ring.post_chain(0, &[(BUFFERS, 12)], 0),
    |ring| ring.post_chain(0, &[(BUFFERS, 0)], 0),
    |ring| ring.post_chain(0, &[(BUFFERS, 100)], WRITE),
    |ring| ring.post_chain(0, &[(BUFFERS, 50), (0xe000_0000, 50)], 0),
    |ring| ring.post_chain(0, &[(BUFFERS, 50), (u64::MAX - 8, 50)], 0),
    |ring| ring.post_chain(0, &[(BUFFERS, u32::MAX)], 0),
    |ring| ring.post_chain(0, &[(BUFFERS, 1 << 20), (BUFFERS, 1)], 0),
    // One that loops, one that breaks off, one that mixes directions.
    |ring| {
        ring.describe(0, BUFFERS, 20, NEXT, 1);
        ring.describe(1, BUFFERS, 20, NEXT, 0);
        ring.post(0);
    },
    |ring| {
        ring.describe(0, BUFFERS, 20, NEXT, 0xffff);
        ring.post(0);
    },
    |ring| {
        ring.describe(0, BUFFERS, 20, NEXT, 1);
        ring.describe(1, BUFFERS, 20, WRITE, 0);
        ring.post(0);
    },
];

#[test]
fn chains_that_are_no_frames_are_counted_and_given_back() {
    let mut bench = Bench::new(true, 16);
    for (done, post) in (1..).zip(BAD_TO_SEND) {
        post(&mut bench.transmit);
        bench.turn();
        assert_eq!(bench.transmit.next_used(), Some((0, 0)));
        assert_eq!(count(&bench.counters.tx_bad_chain), done);
        assert_eq!(bench.heard(), None);
    }
    assert_eq!(count(&bench.counters.tx_frames), 0);
}

#[test]
fn chains_that_are_no_buffers_are_counted_and_given_back_and_the_frame_waits() {
    let mut bench = Bench::new(true, 16);
    let bad: [Bad; 5] = [
        |ring| ring.post_chain(0, &[(BUFFERS, 12)], WRITE),
        |ring| ring.post_chain(0, &[(BUFFERS, 100)], 0),
        |ring| ring.post_chain(0, &[(0xe000_0000, 2048)], WRITE),
        |ring| ring.post_chain(0, &[(BUFFERS, 100), (BUFFERS, u32::MAX)], WRITE | NEXT),
        |ring| {
            ring.describe(0, BUFFERS, 20, WRITE | NEXT, 0);
            ring.post(0);
        },
    ];
    bench.send(&frame(5, 60));
    for (done, post) in (1..).zip(bad) {
        post(&mut bench.receive);
        bench.active.buffers_posted(&bench.memory).unwrap();
        bench.turn();
        assert_eq!(bench.receive.next_used(), Some((0, 0)));
        assert_eq!(count(&bench.counters.rx_bad_chain), done);
    }
    bench.receive.post_chain(0, &[(BUFFERS, 2048)], WRITE);
    bench.active.buffers_posted(&bench.memory).unwrap();
    bench.turn();
    assert_eq!(bench.receive.next_used(), Some((0, 72)));
}

#[test]
fn a_frame_longer_than_the_buffer_is_lost_and_counted() {
    let mut bench = Bench::new(true, 16);
    bench.receive.post_chain(0, &[(BUFFERS, 80)], WRITE);
    bench.send(&frame(5, 69));
    bench.send(&frame(6, 68));
    bench.turn();
    assert_eq!(bench.receive.next_used(), Some((0, 80)));
    assert_eq!(bench.bytes(BUFFERS + 12, 68), [6; 68]);
    assert_eq!(count(&bench.counters.rx_too_long), 1);
}

#[test]
fn impossible_indices_are_the_end_of_the_queue() {
    let mut bench = Bench::new(true, 16);
    bench.transmit.set_available(17);
    assert!(
        bench
            .active
            .turn(&bench.memory, &bench.link, &bench.counters)
            .is_err()
    );
    for ring in 0..2 {
        let mut bench = Bench::new(true, 16);
        bench.send(&frame(5, 69));
        let ring = if ring == 0 {
            &mut bench.receive
        } else {
            &mut bench.transmit
        };
        ring.post(16);
        assert!(
            bench
                .active
                .turn(&bench.memory, &bench.link, &bench.counters)
                .is_err()
        );
    }
}

#[test]
fn a_long_frame_goes_over_as_many_buffers_as_it_takes_if_that_was_agreed_on() {
    let merges = 1 << VIRTIO_NET_F_MRG_RXBUF;
    for event_idx in [false, true] {
        let mut bench = Bench::agreed(event_idx, 64, merges | 1 << VIRTIO_NET_F_GUEST_TSO4);
        let places: Vec<u64> = (0..40).map(|i| BUFFERS + i * 0x1000).collect();
        for (head, place) in (0..).zip(&places) {
            bench.receive.post_chain(head, &[(*place, 2048)], WRITE);
        }
        let mut next = 0_usize;
        for len in [60, 2036, 2037, 9014, 20_000, 60] {
            let sent: Vec<u8> = (0..len).map(|i: u32| (i * 7).to_le_bytes()[0]).collect();
            bench.send(&[&[0; 12][..], &sent].concat());
            assert!(bench.turn());
            let buffers = (sent.len() + 12).div_ceil(2048);
            let mut got = Vec::new();
            for _ in 0..buffers {
                let (head, part) = bench.receive.next_used().unwrap();
                assert_eq!(usize::try_from(head).unwrap(), next);
                got.extend(bench.bytes(places[next], part.try_into().unwrap()));
                next += 1;
            }
            assert_eq!(usize::from(got[10]) + usize::from(got[11]) * 256, buffers);
            assert!(got[12..] == sent, "{len} bytes");
        }
        assert_eq!(
            bench.receive.next_used(),
            None,
            "the others are still the driver's"
        );
        assert_eq!(count(&bench.counters.rx_frames), 6);
        // 15 buffers are left: this one does not fit, the next one does.
        bench.send(&frame(1, 60_000));
        bench.send(&frame(2, 60));
        bench.turn();
        assert_eq!(count(&bench.counters.rx_too_long), 1);
        assert_eq!(bench.receive.next_used(), Some((next.try_into().unwrap(), 72)));
    }
}

#[test]
fn a_chain_that_is_no_buffer_ends_the_room_of_a_frame_and_is_dropped_next() {
    let mut bench = Bench::agreed(false, 16, 1 << VIRTIO_NET_F_MRG_RXBUF);
    bench.receive.post_chain(0, &[(BUFFERS, 2048)], WRITE);
    bench.receive.post_chain(1, &[(BUFFERS, 2048)], 0);
    bench.receive.post_chain(2, &[(BUFFERS + 0x1000, 2048)], WRITE);
    for byte in [1, 2] {
        bench.send(&frame(byte, 60));
        bench.turn();
    }
    assert_eq!(bench.receive.next_used(), Some((0, 72)));
    assert_eq!(bench.receive.next_used(), Some((1, 0)));
    assert_eq!(bench.receive.next_used(), Some((2, 72)));
    assert_eq!(count(&bench.counters.rx_bad_chain), 1);
}
