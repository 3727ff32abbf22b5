//! The whole device with two pairs of queues, each with its thread, and the queue for commands.

use super::thread::until;
use super::{BUFFERS, Socket, frame, sockets};
use crate::vmm::virtio::DeviceError;
use crate::vmm::virtio::net::link::Link;
use crate::vmm::virtio::net::tap::TapPlane;
use crate::vmm::virtio::testing::{EVENT_IDX, Guest, NEXT, Ring, VERSION_1, WRITE};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use vm_memory::{Bytes, GuestAddress, VolatileSlice};

const CTRL_VQ: u64 = 1 << 17;
const MQ: u64 = 1 << 22;
const SEVERAL: u64 = VERSION_1 | EVENT_IDX | CTRL_VQ | MQ;

const CONTROL: u16 = 4;
const OK: u8 = 0;
const ERR: u8 = 1;

/// Where commands lie, and their answers.
const COMMAND: u64 = 0x20_0000;
const ANSWER: u64 = 0x20_1000;

/// A link that tells whether it takes part.
struct Member(Socket, Arc<AtomicBool>);

impl AsRawFd for Member {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Link for Member {
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
        self.0.receive(into, room)
    }

    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()> {
        self.0.transmit(from)
    }

    fn join(&self) -> Result<(), DeviceError> {
        self.1.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn leave(&self) {
        self.1.store(false, Ordering::Relaxed);
    }

    fn follow(&self, features: u64) -> Result<(), DeviceError> {
        self.0.follow(features)
    }
}

struct Bench {
    guest: Guest,
    /// The other ends of the links.
    peers: Vec<UnixDatagram>,
    joined: Vec<Arc<AtomicBool>>,
    /// As enabled, if they are.
    rings: Vec<Ring>,
}

impl Bench {
    fn new() -> Self {
        let (mut peers, mut joined) = (Vec::new(), Vec::new());
        let guest = Guest::with_pairs(2, |memory, signals| {
            let ((link, peer), takes_part) = (sockets(), Arc::new(AtomicBool::new(true)));
            peers.push(peer);
            joined.push(Arc::clone(&takes_part));
            let link = Member(link, takes_part);
            TapPlane::on(link, Arc::clone(memory), signals, Arc::default(), || ()).unwrap()
        });
        Self {
            guest,
            peers,
            joined,
            rings: Vec::new(),
        }
    }

    /// From reset to work, with these queues.
    fn bring_up(&mut self, features: u64, queues: &[u16]) {
        self.guest.negotiate(features);
        self.rings = (0..5)
            .map(|number| Ring::new(&self.guest.memory, 0x1_0000 * (1 + number), 16))
            .collect();
        for &queue in queues {
            self.guest.enable(queue, &self.rings[usize::from(queue)]);
        }
        self.guest.set_status(0xf);
    }

    /// Gives a command; the answer, if there is one.
    fn command(&mut self, bytes: &[u8]) -> Option<u8> {
        let memory = Arc::clone(&self.guest.memory);
        memory.write_slice(bytes, GuestAddress(COMMAND)).unwrap();
        memory.write_slice(&[0xee], GuestAddress(ANSWER)).unwrap();
        let ring = &mut self.rings[usize::from(CONTROL)];
        ring.describe(0, COMMAND, u32::try_from(bytes.len()).unwrap(), NEXT, 1);
        ring.describe(1, ANSWER, 1, WRITE, 0);
        ring.post(0);
        self.answer()
    }

    /// The answer to what has been posted, which is given before the notification is over.
    fn answer(&mut self) -> Option<u8> {
        self.guest.ring_doorbell(CONTROL);
        self.rings[usize::from(CONTROL)].next_used()?;
        let [answer] = {
            let mut byte = [0];
            self.guest
                .memory
                .read_slice(&mut byte, GuestAddress(ANSWER))
                .unwrap();
            byte
        };
        Some(answer)
    }

    fn use_pairs(&mut self, pairs: u16) -> Option<u8> {
        let [low, high] = pairs.to_le_bytes();
        self.command(&[4, 0, low, high])
    }

    /// A frame goes out through a pair, and another comes in.
    fn assert_works(&mut self, pair: usize) {
        let (memory, peer) = (Arc::clone(&self.guest.memory), &self.peers[pair]);
        let byte = u8::try_from(pair).unwrap() + 1;
        let sent = frame(byte, 100);
        memory.write_slice(&sent, GuestAddress(BUFFERS)).unwrap();
        self.rings[2 * pair + 1].post_chain(0, &[(BUFFERS, 112)], 0);
        self.guest.ring_doorbell(u16::try_from(2 * pair + 1).unwrap());
        let mut heard = [0; 200];
        let len = until("the peer hears the guest", || peer.recv(&mut heard).ok());
        assert_eq!(heard[..len], sent);
        self.rings[2 * pair].post_chain(0, &[(BUFFERS + 0x1000, 2048)], WRITE);
        self.guest.ring_doorbell(u16::try_from(2 * pair).unwrap());
        peer.send(&frame(byte, 60)).unwrap();
        let receive = &mut self.rings[2 * pair];
        assert_eq!(until("the guest hears the peer", || receive.next_used()), (0, 72));
    }

    fn takes_part(&self, pair: usize) -> bool {
        self.joined[pair].load(Ordering::Relaxed)
    }
}

#[test]
fn two_pairs_are_offered_with_a_queue_for_commands() {
    let mut bench = Bench::new();
    assert_eq!(bench.guest.offered() & (CTRL_VQ | MQ), CTRL_VQ | MQ);
    assert_eq!(bench.guest.read::<2>(bench.guest.config + 8), [2, 0]);
    assert_eq!(bench.guest.read::<2>(bench.guest.common + 0x12), [5, 0]);
    let doorbells = bench.guest.doorbells.0.lock().unwrap().len();
    assert_eq!(doorbells, 4, "a command is an exit");
}

#[test]
fn the_second_pair_works_once_it_is_asked_for_until_the_reset() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.bring_up(SEVERAL, &[0, 1, 2, 3, CONTROL]);
        assert_eq!(bench.guest.status(), 0xf);
        bench.assert_works(0);
        assert!(bench.takes_part(0) && !bench.takes_part(1));
        bench.peers[1].send(&frame(9, 60)).unwrap();
        bench.rings[2].post_chain(0, &[(BUFFERS, 2048)], WRITE);
        bench.guest.ring_doorbell(2);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(bench.rings[2].next_used(), None, "nobody has asked for it");
        assert_eq!(bench.use_pairs(2), Some(OK));
        let waiting = &mut bench.rings[2];
        assert_eq!(until("the frame that waited", || waiting.next_used()), (0, 72));
        bench.assert_works(1);
        bench.assert_works(0);
        assert!(bench.takes_part(1));
        assert_eq!(bench.use_pairs(2), Some(OK), "again");
        bench.guest.set_status(0);
        assert!(!bench.takes_part(1) && !bench.takes_part(0));
    }
}

#[test]
fn commands_that_are_none_are_refused_and_change_nothing() {
    let mut bench = Bench::new();
    bench.bring_up(SEVERAL, &[0, 1, 2, 3, CONTROL]);
    for wrong in [
        &[4, 0, 0, 0][..],
        &[4, 0, 3, 0],
        &[4, 0, 0xff, 0xff],
        &[4, 1, 2, 0],
        &[0, 0, 2, 0],
        &[4, 0, 2],
        &[4],
        &[4, 0, 2, 0, 0],
        &[0; 4096],
    ] {
        assert_eq!(bench.command(wrong), Some(ERR), "{wrong:?}");
        assert!(!bench.takes_part(1));
    }
    assert_eq!(bench.use_pairs(2), Some(OK));
    assert_eq!(bench.use_pairs(1), Some(ERR), "they run until the reset");
    bench.assert_works(0);
    bench.assert_works(1);
    assert_eq!(bench.guest.status(), 0xf);
}

#[test]
fn a_command_may_lie_in_pieces_or_have_no_room_for_its_answer() {
    let mut bench = Bench::new();
    bench.bring_up(SEVERAL, &[0, 1, 2, 3, CONTROL]);
    bench
        .guest
        .memory
        .write_slice(&[4, 0, 2, 0], GuestAddress(COMMAND))
        .unwrap();
    let ring = &mut bench.rings[usize::from(CONTROL)];
    ring.describe(3, COMMAND, 1, NEXT, 7);
    ring.describe(7, COMMAND + 1, 0, NEXT, 9);
    ring.describe(9, COMMAND + 1, 3, 0, 0);
    ring.post(3);
    bench.guest.ring_doorbell(CONTROL);
    assert_eq!(bench.rings[usize::from(CONTROL)].next_used(), Some((3, 0)));
    bench.assert_works(1);
}

#[test]
fn chains_that_are_none_are_given_back() {
    let mut bench = Bench::new();
    bench.bring_up(SEVERAL, &[0, 1, 2, 3, CONTROL]);
    let far = u64::MAX - 100;
    for places in [
        &[(COMMAND, 4, NEXT, 0)][..],
        &[(far, 4, NEXT, 1), (ANSWER, 1, WRITE, 0)],
        &[(COMMAND, u32::MAX, NEXT, 1), (ANSWER, 1, WRITE, 0)],
        &[(COMMAND, 4, NEXT, 1), (far, 1, WRITE, 0)],
        &[(ANSWER, 1, WRITE | NEXT, 1), (COMMAND, 4, 0, 0)],
        &[(COMMAND, 4, NEXT, 200)],
        &[(COMMAND, 4, 4, 0)],
    ] {
        let ring = &mut bench.rings[usize::from(CONTROL)];
        for (index, &(address, len, flags, next)) in (0..).zip(places) {
            ring.describe(index, address, len, flags, next);
        }
        ring.post(0);
        bench.guest.ring_doorbell(CONTROL);
        let used = bench.rings[usize::from(CONTROL)].next_used();
        assert!(matches!(used, Some((0, 0 | 1))), "{places:?}: {used:?}");
        assert_eq!(bench.guest.status(), 0xf);
    }
    assert!([Some(OK), Some(ERR)].contains(&bench.use_pairs(2)));
    bench.assert_works(0);
}

#[test]
fn a_queue_for_commands_that_is_broken_asks_for_a_reset_which_helps() {
    let mut bench = Bench::new();
    bench.bring_up(SEVERAL, &[0, 1, 2, 3, CONTROL]);
    bench.rings[usize::from(CONTROL)].set_available(1000);
    bench.guest.ring_doorbell(CONTROL);
    assert_eq!(bench.guest.status(), 0x4f);
    bench.bring_up(SEVERAL, &[0, 1, 2, 3, CONTROL]);
    assert_eq!(bench.use_pairs(2), Some(OK));
    bench.assert_works(1);
}

#[test]
fn only_what_was_enabled_is_used() {
    let mut bench = Bench::new();
    for (queues, pairs, expected) in [
        (&[0, 1, CONTROL][..], 2, Some(ERR)),
        (&[0, 1, 2, CONTROL], 2, Some(ERR)),
        (&[0, 1, CONTROL], 1, Some(OK)),
        (&[0, 1, 2, 3], 2, None),
    ] {
        bench.bring_up(SEVERAL, queues);
        assert_eq!(bench.guest.status(), 0xf, "{queues:?}");
        assert_eq!(bench.use_pairs(pairs), expected, "{queues:?}");
        bench.assert_works(0);
        assert!(!bench.takes_part(1));
    }
    bench.bring_up(SEVERAL, &[2, 3, CONTROL]);
    assert_eq!(bench.guest.status(), 0x4f, "the first pair is missing");
}

#[test]
fn a_driver_that_wants_one_pair_gets_one() {
    let mut bench = Bench::new();
    bench.bring_up(VERSION_1, &[0, 1, 2, 3, CONTROL]);
    assert_eq!(bench.guest.status(), 0xf);
    assert_eq!(bench.use_pairs(2), None, "it has not agreed to commands");
    bench.assert_works(0);
    for half in [CTRL_VQ, MQ] {
        bench.guest.set_status(0);
        bench.guest.set_status(3);
        bench.guest.accept(VERSION_1 | half);
        bench.guest.set_status(0xb);
        assert_eq!(
            bench.guest.status(),
            3,
            "{half:#x}: the one is nothing without the other"
        );
    }
}

#[test]
fn commands_before_the_driver_is_ready_are_not_heard() {
    let mut bench = Bench::new();
    bench.guest.negotiate(SEVERAL);
    bench.rings = (0..5)
        .map(|number| Ring::new(&bench.guest.memory, 0x1_0000 * (1 + number), 16))
        .collect();
    for queue in 0..5_u16 {
        bench.guest.enable(queue, &bench.rings[usize::from(queue)]);
    }
    assert_eq!(bench.use_pairs(2), None);
    bench.guest.ring_doorbell(5);
    bench.guest.ring_doorbell(1000);
    bench.guest.set_status(0xf);
    assert_eq!(bench.answer(), Some(OK), "then it is");
}
