//! A guest that writes whatever it likes wherever it can: configuration space, registers, rings, descriptors, in any order, while
//! frames come and go. The device answers all of it, in bounded time, leaves guest memory alone once it was reset, and works
//! after a proper bring-up as if nothing had been.

use super::super::queues::Queues;
use super::{BUFFERS, Socket, frame, sockets};
use crate::vmm::pci::ECAM;
use crate::vmm::virtio::net::DataPlane;
use crate::vmm::virtio::net::tap::counters::Counters;
use crate::vmm::virtio::testing::{EVENT_IDX, Guest, RAM_BYTES, Ring, VERSION_1, WRITE};
use crate::vmm::virtio::{DeviceError, Memory};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use virtio_queue::Queue;
use vm_memory::{Bytes, GuestAddress};

/// `VIRTIO_NET_F_MRG_RXBUF`.
const MERGES: u64 = 1 << 15;

/// Steps of one guest's life, and guests.
const STEPS: u32 = 8_000;
const SEEDS: u64 = 12;

/// SplitMix64: numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    fn u16(&mut self, end: u64) -> u16 {
        u16::try_from(self.below(end)).unwrap()
    }

    /// A number that someone might think is an address, a length, a set of flags.
    fn word(&mut self) -> u64 {
        let any = self.next();
        self.of(&[
            0,
            1,
            2,
            3,
            4,
            0xf,
            0x40,
            0x80,
            0x100,
            0x1_0000,
            0x2_0000,
            BUFFERS,
            0xe000_0000,
            u64::MAX,
            any,
            any >> 40,
        ])
    }

    /// One, two, four or eight bytes of such a number.
    fn bytes(&mut self) -> Vec<u8> {
        let len = self.of(&[1, 2, 2, 4, 4, 4, 8]);
        self.word().to_le_bytes()[..len].to_vec()
    }
}

/// A data plane without a thread: it moves frames when the test says so.
#[derive(Clone)]
struct Inline(Arc<Mutex<State>>);

struct State {
    active: Option<Queues>,
    failed: bool,
    memory: Memory,
    link: Socket,
    counters: Counters,
}

impl Inline {
    /// What the thread does between two looks.
    fn turn(&self, rings: u64) {
        let mut state = self.0.lock().unwrap();
        let State {
            active: Some(active),
            memory,
            link,
            counters,
            ..
        } = &mut *state
        else {
            return;
        };
        active.link_readable();
        let mut went = if rings & 1 == 0 {
            Ok(())
        } else {
            active.buffers_posted(memory)
        };
        went = went.and_then(|()| active.turn(memory, link, counters).map(drop));
        if rings & 2 == 0 {
            went = went.and_then(|()| active.rest(memory).map(drop));
        }
        if went.is_err() {
            state.active = None;
            state.failed = true;
        }
    }

    /// Lets go of all frames that wait at the link.
    fn drain(&self) {
        let state = self.0.lock().unwrap();
        while state.link.0.recv(&mut [0; 16]).is_ok() {}
    }
}

impl DataPlane for Inline {
    fn features(&self) -> u64 {
        EVENT_IDX | MERGES
    }

    fn start(&mut self, features: u64, receive: Queue, transmit: Queue) -> Result<(), DeviceError> {
        let mut state = self.0.lock().unwrap();
        assert!(state.active.is_none(), "started twice");
        state.failed = false;
        let active = Queues::new(receive, transmit, &state.memory, features);
        state.active = Some(active.map_err(|error| DeviceError(error.into()))?);
        Ok(())
    }

    fn stop(&mut self) {
        self.0.lock().unwrap().active = None;
    }

    fn failed(&self) -> bool {
        self.0.lock().unwrap().failed
    }
}

struct Attack {
    guest: Guest,
    plane: Inline,
    peer: UnixDatagram,
    dice: Dice,
    rings: [Ring; 2],
}

impl Attack {
    fn new(seed: u64) -> Self {
        let (link, peer) = sockets();
        let mut plane = None;
        let guest = Guest::with_net(|memory, _kicks| {
            let state = State {
                active: None,
                failed: false,
                memory: Arc::clone(memory),
                link,
                counters: Counters::default(),
            };
            plane.insert(Inline(Arc::new(Mutex::new(state)))).clone()
        });
        let rings = [0x1_0000, 0x2_0000].map(|at| Ring::new(&guest.memory, at, 64));
        Self {
            guest,
            plane: plane.unwrap(),
            peer,
            dice: Dice(seed),
            rings,
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0 => self.configure(),
            1..=3 => self.register(),
            4 => self.status(),
            5..=6 => self.set_up(),
            7..=36 => self.describe(),
            37..=64 => self.post(),
            65 => self.scribble(),
            66..=67 => self.anywhere(),
            68..=80 => {
                let len = self.dice.of(&[0, 1, 60, 100, 1500, 3000, 9000]);
                let _ = self.peer.send(&frame(1, len));
                while self.dice.below(4) > 0 && self.peer.recv(&mut [0; 16]).is_ok() {}
            }
            _ => {
                let rings = self.dice.next();
                self.plane.turn(rings);
            }
        }
    }

    /// Configuration space: mostly BARs, the command register, the window to the registers.
    fn configure(&mut self) {
        let window = self.guest.window;
        let any = self.dice.u16(0x1000);
        let offset = self.dice.of(&[
            4,
            4,
            0x10,
            0x14,
            window + 4,
            window + 8,
            window + 12,
            window + 16,
            any,
        ]);
        let bytes = self.dice.bytes();
        self.guest.pci_write(offset, &bytes);
        self.guest.pci::<4>(offset & !3);
        if self.dice.below(4) > 0 {
            // Mostly the function stays where it can be reached.
            self.guest.pci_write(0x10, &0xe000_0000_u32.to_le_bytes());
            self.guest.pci_write(0x14, &[0; 4]);
            self.guest.switch(6);
        }
    }

    fn register(&mut self) {
        let offset = self.dice.of(&[
            0, 4, 8, 12, 0x10, 0x12, 0x14, 0x16, 0x18, 0x1a, 0x1c, 0x1e, 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34,
            0x38,
        ]);
        let any = self.dice.below(0x5000);
        let at = self.guest.common + self.dice.of(&[offset, offset, offset, any]);
        let bytes = self.dice.bytes();
        self.guest.write(at, &bytes);
        self.guest.read::<4>(at);
        self.guest.read::<1>(at);
    }

    fn status(&mut self) {
        let any = self.dice.word().to_le_bytes()[0];
        let status = self.dice.of(&[0, 1, 3, 0xb, 0xf, 0x80, 0x4f, any]);
        self.guest.set_status(status);
        if status == 0 {
            // All ones where the registers cannot be reached.
            assert!(matches!(self.guest.status(), 0 | 0xff), "a reset resets");
        }
    }

    /// A bring-up as it should be, most of the time.
    fn set_up(&mut self) {
        self.make_reachable();
        self.guest.set_status(0);
        self.guest.set_status(3);
        let features = match self.dice.below(10) {
            0 => self.dice.next(),
            1..=3 => VERSION_1,
            4..=6 => VERSION_1 | MERGES,
            _ => VERSION_1 | EVENT_IDX | MERGES,
        };
        self.guest.accept(features);
        self.guest.set_status(0xb);
        for (queue, at) in [(0, 0x1_0000), (1, 0x2_0000)] {
            let mut ring = Ring::new(&self.guest.memory, at, 64);
            let mut size = 64;
            if self.dice.below(10) == 0 {
                size = self.dice.of(&[1024, 1, 2, 0, 63, 0x8000]);
                ring.size = size.max(1);
            }
            if self.dice.below(10) == 0 {
                ring.descriptors = self.dice.of(&[ring.used, RAM_BYTES as u64 - 16, u64::MAX]);
            }
            self.guest.enable(queue, &Ring { size, ..ring.clone() });
            self.rings[usize::from(queue)] = ring;
        }
        self.guest.set_status(0xf);
    }

    fn describe(&mut self) {
        let (index, next) = (self.dice.u16(70), self.dice.u16(70));
        let wild = self.dice.word();
        let address = self
            .dice
            .of(&[BUFFERS, wild])
            .wrapping_add(self.dice.below(0x1000));
        let any = u32::try_from(self.dice.next() >> 32).unwrap();
        let len = self
            .dice
            .of(&[0, 1, 11, 12, 13, 100, 2048, 0x10_0000, u32::MAX, any]);
        let flags = self.dice.of(&[0, 0, 1, 2, 2, 3, 4, 6, 7, 0xffff]);
        let ring = self.dice.of(&[0, 1]);
        // Only rings whose table is in RAM can be described.
        if self.rings[ring].descriptors < RAM_BYTES as u64 / 2 {
            self.rings[ring].describe(index, address, len, flags, next);
        }
    }

    fn post(&mut self) {
        let ring = self.dice.of(&[0, 1]);
        let head = self.dice.of(&[0, 1, 2, 3, 7, 30, 63, 64, 0xffff]);
        let index = self.dice.u16(0x1_0000);
        match self.dice.below(50) {
            0 => self.rings[ring].set_available(index),
            1 => self.rings[ring].post(head),
            _ => self.rings[ring].post(head % 32),
        }
        let queue = self.dice.u16(3);
        self.guest.ring_doorbell(queue);
    }

    /// Over everything that lies in memory.
    fn scribble(&mut self) {
        let at = 0x1_0000 + self.dice.below(0x2_0000);
        let bytes = self.dice.bytes();
        self.guest.memory.write_slice(&bytes, GuestAddress(at)).unwrap();
    }

    fn anywhere(&mut self) {
        let any = self.dice.next();
        let nearby = self.dice.below(0x1_0000);
        let at = self
            .dice
            .of(&[any, ECAM.start + nearby, 0xe000_0000 + nearby, 0xefff_fff8]);
        let bytes = self.dice.bytes();
        self.guest.write(at, &bytes);
        self.guest.read::<8>(at);
        let port = 0xcf8 + self.dice.u16(8);
        self.guest.root.port_write(port, &bytes).unwrap();
        self.guest.root.port_read(port, &mut bytes.clone());
    }

    /// Puts the function back in its place, as a driver that starts over finds it.
    fn make_reachable(&mut self) {
        let base = u32::try_from(self.guest.common).unwrap();
        self.guest.pci_write(0x10, &base.to_le_bytes());
        self.guest.pci_write(0x14, &[0; 4]);
        self.guest.switch(6);
    }

    fn after_a_reset_memory_is_left_alone(&mut self) {
        self.make_reachable();
        self.guest.set_status(0);
        let image = |memory: &Memory| {
            let mut bytes = vec![0; RAM_BYTES];
            memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
            bytes
        };
        let before = image(&self.guest.memory);
        let _ = self.peer.send(&frame(9, 60));
        self.plane.turn(1);
        assert!(before == image(&self.guest.memory));
    }

    fn it_still_works(&mut self) {
        while self.peer.recv(&mut [0; 16]).is_ok() {}
        let [mut receive, mut transmit] = self.guest.bring_up(VERSION_1 | EVENT_IDX, 64);
        self.guest
            .memory
            .write_slice(&frame(7, 100), GuestAddress(BUFFERS))
            .unwrap();
        transmit.post_chain(0, &[(BUFFERS, 112)], 0);
        self.plane.drain();
        receive.post_chain(0, &[(BUFFERS + 0x1000, 2048)], WRITE);
        self.peer.send(&frame(8, 60)).unwrap();
        self.plane.turn(1);
        let mut heard = [0; 200];
        assert_eq!(self.peer.recv(&mut heard).ok(), Some(112));
        assert_eq!(transmit.next_used(), Some((0, 0)));
        assert_eq!(receive.next_used(), Some((0, 72)));
        assert_eq!(self.guest.status(), 0xf);
    }
}

#[test]
fn a_hostile_guest_hurts_nobody_and_can_start_over() {
    let (mut moved, mut bad, mut failures) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut attack = Attack::new(seed);
        for step in 0..STEPS {
            attack.step();
            if step % 500 == 499 {
                failures += u32::from(attack.plane.failed());
                attack.after_a_reset_memory_is_left_alone();
                attack.it_still_works();
            }
        }
        let state = attack.plane.0.lock().unwrap();
        let counts = state.counters.snapshot();
        let of = |name: &str| counts.iter().find(|(counter, _)| *counter == name).unwrap().1;
        moved += of("rx_frames") + of("tx_frames");
        bad += of("rx_bad_chain") + of("tx_bad_chain");
    }
    // The attack reaches what it is meant to reach.
    assert!(
        moved > 1000 && bad > 1000 && failures > 10,
        "{moved} frames, {bad} bad chains, {failures} failures"
    );
}
