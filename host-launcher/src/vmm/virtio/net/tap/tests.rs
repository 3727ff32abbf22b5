//! Our data plane between rings in memory and a socket that stands for the tap: first its turns alone, then the thread.

use super::TapPlane;
use super::active::Active;
use super::counters::Counters;
use crate::sys::{read_frame, write_frame};
use crate::vmm::virtio::net::link::Link;
use crate::vmm::virtio::queue::QueueRegisters;
use crate::vmm::virtio::testing::{EVENT_IDX, Guest, NEXT, Ring, VERSION_1, WRITE, ram};
use crate::vmm::virtio::{DeviceError, Memory};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, VolatileSlice};

const HEADER: [u8; 12] = [0; 12];

/// Where the tests keep frames and buffers.
const BUFFERS: u64 = 0x10_0000;

struct Socket(UnixDatagram);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Link for Socket {
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
        read_frame(self.0.as_fd(), into, room)
    }

    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()> {
        write_frame(self.0.as_fd(), from)
    }

    fn follow(&self, _features: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn sockets() -> (Socket, UnixDatagram) {
    let (ours, peer) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    (Socket(ours), peer)
}

fn frame(byte: u8, len: usize) -> Vec<u8> {
    [&HEADER[..], &vec![byte; len]].concat()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The turns, without a thread.
struct Bench {
    memory: Memory,
    receive: Ring,
    transmit: Ring,
    active: Active,
    link: Socket,
    peer: UnixDatagram,
    counters: Counters,
    event_idx: bool,
}

impl Bench {
    fn new(event_idx: bool, size: u16) -> Self {
        let memory = ram();
        let [receive, transmit] = [0x1_0000, 0x2_0000].map(|at| Ring::new(&memory, at, size));
        let queue = |ring: &Ring| {
            let registers = QueueRegisters {
                size,
                enabled: true,
                parts: [ring.descriptors, ring.available, ring.used],
            };
            registers.check(size, event_idx, &memory).unwrap()
        };
        let active = Active::new(queue(&receive), queue(&transmit), &memory).unwrap();
        let (link, peer) = sockets();
        Self {
            receive,
            transmit,
            active,
            memory,
            link,
            peer,
            counters: Counters::default(),
            event_idx,
        }
    }

    fn turn(&mut self) -> bool {
        self.active
            .turn(&self.memory, &self.link, &self.counters)
            .unwrap()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.peer.send(bytes).unwrap();
        self.active.link_readable();
    }

    fn heard(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let len = self.peer.recv(&mut buffer).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
    }

    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }
}

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

/// The whole device with its thread; the other end of its link; what it counts.
fn guest() -> (Guest, UnixDatagram, Arc<Counters>) {
    let (link, peer) = sockets();
    let counters = Arc::new(Counters::default());
    let theirs = Arc::clone(&counters);
    let guest = Guest::with_net(|memory, kicks| {
        TapPlane::on(link, Arc::clone(memory), kicks, theirs, || ()).unwrap()
    });
    (guest, peer, counters)
}

/// Waits for what another thread will do.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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
    assert_eq!(guest.read::<4>(guest.config + 8), [0, 0, 0x78, 5]);
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
