//! The whole device, on a bus, with its thread.

use super::{BUFFERS, count, frame, sockets};
use crate::vmm::virtio::net::tap::{Counters, TapPlane};
use crate::vmm::virtio::testing::{EVENT_IDX, Guest, VERSION_1, WRITE};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

/// The whole device with its thread; the other end of its link; what it counts.
fn guest() -> (Guest, UnixDatagram, Arc<Counters>) {
    let (link, peer) = sockets();
    let counters = Arc::new(Counters::default());
    let theirs = Arc::clone(&counters);
    let guest = Guest::with_net(|memory, signals| {
        TapPlane::on(link, Arc::clone(memory), signals, theirs, || ()).unwrap()
    });
    (guest, peer, counters)
}

/// Waits for what another thread will do.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn the_device_echoes_after_any_number_of_resets() {
    let (mut guest, peer, counters) = guest();
    assert_eq!(guest.read::<6>(guest.config), [2, 0x49, 10, 1, 0, 2]);
    assert_eq!(guest.read::<4>(guest.config + 8), [1, 0, 0x78, 5]);
    for (round, features) in (0_u8..).zip([VERSION_1, VERSION_1 | EVENT_IDX, VERSION_1 | EVENT_IDX]) {
        let [mut receive, mut transmit] = guest.bring_up(features, 64);
        let sent = frame(round, 100);
        guest.memory.write_slice(&sent, GuestAddress(BUFFERS)).unwrap();
        transmit.post_chain(0, &[(BUFFERS, 112)], 0);
        guest.ring_doorbell(1);
        let mut heard = [0; 200];
        let len = until("the peer hears the guest", || peer.recv(&mut heard).ok());
        assert_eq!(heard[..len], sent);
        until("the frame is the guest's again", || transmit.next_used());

        receive.post_chain(0, &[(BUFFERS + 0x1000, 2048)], WRITE);
        guest.ring_doorbell(0);
        peer.send(&frame(round, 60)).unwrap();
        assert_eq!(until("the guest hears the peer", || receive.next_used()), (0, 72));
    }
    assert_eq!(guest.status(), 0xf);
    assert_eq!(count(&counters.failures), 0);
}

#[test]
fn after_a_reset_guest_memory_is_left_alone() {
    let (mut guest, peer, counters) = guest();
    let [mut receive, _] = guest.bring_up(VERSION_1 | EVENT_IDX, 64);
    (0..32).for_each(|i| receive.post_chain(i, &[(BUFFERS, 2048)], WRITE));
    guest.ring_doorbell(0);
    peer.send(&frame(1, 60)).unwrap();
    until("a frame", || receive.next_used());
    guest.set_status(0);
    let mut before = vec![
        0;
        guest
            .memory
            .iter()
            .map(|region| region.len())
            .sum::<u64>()
            .try_into()
            .unwrap()
    ];
    guest.memory.read_slice(&mut before, GuestAddress(0)).unwrap();
    let sleeps = count(&counters.sleeps);
    peer.send(&frame(2, 60)).unwrap();
    guest.ring_doorbell(0);
    until("the thread has woken and slept again", || {
        (count(&counters.sleeps) > sleeps).then_some(())
    });
    let mut after = vec![0; before.len()];
    guest.memory.read_slice(&mut after, GuestAddress(0)).unwrap();
    assert!(before == after);
}

#[test]
fn a_broken_queue_asks_for_a_reset_which_helps() {
    let (mut guest, peer, counters) = guest();
    let [_, transmit] = guest.bring_up(VERSION_1 | EVENT_IDX, 64);
    transmit.set_available(1000);
    guest.ring_doorbell(1);
    until("it asks for a reset", || (guest.status() == 0x4f).then_some(()));
    assert_eq!(count(&counters.failures), 1);
    let [_, mut transmit] = guest.bring_up(VERSION_1 | EVENT_IDX, 64);
    guest
        .memory
        .write_slice(&frame(3, 20), GuestAddress(BUFFERS))
        .unwrap();
    transmit.post_chain(0, &[(BUFFERS, 32)], 0);
    guest.ring_doorbell(1);
    until("a frame", || peer.recv(&mut [0; 100]).ok());
    assert_eq!(guest.status(), 0xf);
}

/// A queue is used; whether the driver was interrupted for it.
fn is_interrupted(guest: &Guest, line: u16) -> bool {
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end {
        if guest.interrupts.heard(line) > 0 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn a_driver_that_sleeps_is_interrupted_for_the_next_frame_and_one_that_looks_is_not() {
    for features in [VERSION_1, VERSION_1 | EVENT_IDX] {
        let (mut guest, peer, _) = guest();
        guest.set_message_control(1 << 15);
        guest.set_entry(0, [0xfee0_0000, 0, 0x41, 0]);
        let [mut receive, mut transmit] = guest.bring_up(features, 64);
        for queue in [0, 1] {
            assert_eq!(guest.set_vector(queue, 0), 0);
        }
        let by_index = features & EVENT_IDX != 0;
        for round in 0..6_u16 {
            let wants = round % 2 == 0;
            // The receive queue's driver wants to be told, or is ahead; that of the other queue never does.
            let (flags, event) = (
                u16::from(!wants),
                if wants { round } else { round.wrapping_sub(1) },
            );
            receive.want_interrupt(if by_index { 0 } else { flags }, event);
            transmit.want_interrupt(u16::from(!by_index), round.wrapping_sub(1));
            receive.post_chain(round, &[(BUFFERS + 0x1000, 2048)], WRITE);
            guest.ring_doorbell(0);
            peer.send(&frame(7, 60)).unwrap();
            until("the guest hears the peer", || receive.next_used());
            assert_eq!(is_interrupted(&guest, 0), wants, "{features:#x}, round {round}");
            guest
                .memory
                .write_slice(&frame(1, 20), GuestAddress(BUFFERS))
                .unwrap();
            transmit.post_chain(round, &[(BUFFERS, 32)], 0);
            guest.ring_doorbell(1);
            until("the frame is the guest's again", || transmit.next_used());
            assert!(!is_interrupted(&guest, 1));
        }
    }
}
