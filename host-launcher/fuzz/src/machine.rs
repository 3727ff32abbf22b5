//! The machine around the program: all that a guest's accesses reach, but for KVM itself.

use crate::plane::Plane;
use crate::rings::{BUFFERS, CONTROL, NEXT, PARTS, QUEUES, RAM_BYTES, Rings, SIZE, STEP, WRITE};
use fuzzing::Input;
use host_launcher::vmm::bus::Bus;
use host_launcher::vmm::legacy::Legacy;
use host_launcher::vmm::pci::{ECAM, LOW_WINDOW, Root, Windows};
use host_launcher::vmm::virtio::net::{DataPlane, Net, Settings, Signals};
use host_launcher::vmm::virtio::transport::Transport;
use host_launcher::vmm::virtio::{Doorbells, Interrupts, Memory, Message};
use std::io;
use std::sync::Arc;
use vm_memory::{GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

/// Configuration space of the network card.
const CARD: u64 = ECAM.start + (1 << 15);

/// Where its BAR is put by the machine, and its registers in that.
const BAR: u64 = LOW_WINDOW.start;
const STATUS: u64 = BAR + 0x14;
const NOTIFY: u64 = BAR + 0x3000;

const VERSION_1: u64 = 1 << 32;
const EVENT_IDX: u64 = 1 << 29;
/// What a driver agrees to that uses both pairs.
const SEVERAL: u64 = 1 << 22 | 1 << 17;

struct Unheard;

impl Doorbells for Unheard {
    fn add(&self, _address: u64, _kick: &EventFd) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _address: u64, _kick: &EventFd) -> io::Result<()> {
        Ok(())
    }
}

impl Interrupts for Unheard {
    fn connect(&self, _line: u16, _call: &EventFd, _message: Message) -> io::Result<()> {
        Ok(())
    }

    fn disconnect(&self, _line: u16, _call: &EventFd) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) struct Machine {
    bus: Bus<io::Sink, io::Sink>,
    /// Of each pair.
    planes: [Plane; 2],
    rings: Rings,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let ram = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM_BYTES)]);
        let memory: Memory = Arc::new(ram.expect("a mebibyte"));
        let planes = [(); 2].map(|()| Plane::new(Arc::clone(&memory)));
        let settings = Settings {
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
        };
        let net = Net::new(
            settings,
            Signals::new(planes.len()).expect("eight descriptors"),
            planes
                .iter()
                .map(|plane| -> Box<dyn DataPlane> { Box::new(plane.clone()) })
                .collect(),
        );
        let mut root = Root::new(Windows::above(RAM_BYTES as u64, 39));
        let card = Transport::new(net, Arc::clone(&memory), Box::new(Unheard), Box::new(Unheard));
        root.add(Box::new(card)).expect("a place on the bus");
        root.place_bars().expect("room for a BAR");
        Self {
            bus: Bus::new(Legacy::new(io::sink(), io::sink()), root),
            planes,
            rings: Rings::new(memory),
        }
    }

    /// One thing the program does.
    pub(crate) fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
            0 => {
                let any = input.half();
                let near: u16 = input.one_of(&[0xcf8, 0xcfc, 0x3f8, 0x2f8, 0xf4, any]);
                let port = near.wrapping_add(u16::from(input.byte() & 7));
                self.port(port, &data(input));
            }
            1 => {
                let device = input.one_of(&[1, 1, 1, 0, 2]);
                self.access(
                    ECAM.start + (device << 15) + u64::from(input.half() & 0xfff),
                    &data(input),
                );
            }
            2 => self.access(BAR + u64::from(input.half() & 0x7fff), &data(input)),
            3 => self.access(input.long(), &data(input)),
            4 => self.rings.put(PARTS[0] + u64::from(input.half()), &data(input)),
            5 => self.rings.describe_any(input),
            6 => self.rings.post(input.byte() % QUEUES, input.half() % (SIZE + 2)),
            7 => self.write(NOTIFY + 4 * u64::from(input.byte() % (QUEUES + 1)), &[0, 0]),
            8 => self.bring_up(input.one_of(&[
                VERSION_1 | EVENT_IDX,
                VERSION_1,
                VERSION_1 | EVENT_IDX | SEVERAL,
                VERSION_1 | SEVERAL,
            ])),
            9 => {
                let len = usize::from(input.half() % 4000);
                let pair = usize::from(input.byte() & 1);
                self.planes[pair].send(vec![input.byte(); len.max(12)]);
            }
            _ => {
                let how = input.byte();
                self.planes[usize::from(how >> 2 & 1)].turn(how & 1 == 0, how & 2 == 0);
            }
        }
    }

    fn port(&self, port: u16, data: &[u8]) {
        self.bus.port_write(port, data).expect("no access fails");
        self.bus.port_read(port, &mut data.to_vec());
    }

    fn access(&self, address: u64, data: &[u8]) {
        self.write(address, data);
        self.bus.memory_read(address, &mut data.to_vec());
    }

    fn write(&self, address: u64, data: &[u8]) {
        self.bus.memory_write(address, data).expect("no access fails");
    }

    fn status(&self) -> u8 {
        let mut status = [0];
        self.bus.memory_read(STATUS, &mut status);
        status[0]
    }

    /// Resets the card, wherever it was put, and sets it to work on empty rings.
    fn bring_up(&mut self, features: u64) {
        self.write(CARD + 4, &[6, 0]);
        self.write(CARD + 0x10, &u32::try_from(BAR).unwrap_or_default().to_le_bytes());
        self.write(CARD + 0x14, &[0; 4]);
        self.write(STATUS, &[0]);
        assert_eq!(self.status(), 0, "a reset resets");
        self.rings.clear();
        self.write(STATUS, &[3]);
        let bytes = features.to_le_bytes();
        for (select, half) in [(0, &bytes[..4]), (1, &bytes[4..])] {
            self.write(BAR + 8, &[select, 0, 0, 0]);
            self.write(BAR + 12, half);
        }
        self.write(STATUS, &[0xb]);
        for queue in 0..QUEUES {
            self.write(BAR + 0x16, &[queue, 0]);
            self.write(BAR + 0x18, &SIZE.to_le_bytes());
            for (at, part) in (0x20..).step_by(8).zip(PARTS) {
                let part = u32::try_from(part + STEP * u64::from(queue)).unwrap_or_default();
                self.write(BAR + at, &part.to_le_bytes());
                self.write(BAR + at + 4, &[0; 4]);
            }
            self.write(BAR + 0x1c, &[1, 0]);
        }
        self.write(STATUS, &[0xf]);
    }

    /// Whatever the program did, a driver that behaves can send and receive, with both pairs.
    pub(crate) fn end(mut self) {
        self.bring_up(VERSION_1 | EVENT_IDX | SEVERAL);
        assert_eq!(self.status(), 0xf);
        self.rings.put(BUFFERS, &[4, 0, 2, 0, 0xee]);
        self.rings.describe(CONTROL, 0, BUFFERS, 4, NEXT, 1);
        self.rings.describe(CONTROL, 1, BUFFERS + 4, 1, WRITE, 0);
        self.rings.post(CONTROL, 0);
        self.write(NOTIFY + 4 * u64::from(CONTROL), &[0, 0]);
        assert_eq!(self.rings.get(BUFFERS + 4), [0], "two pairs");
        for pair in 0..2 {
            let (receive, transmit) = (2 * pair, 2 * pair + 1);
            let plane = &self.planes[usize::from(pair)];
            plane.clear();
            self.rings.put(BUFFERS, &[7; 112]);
            self.rings.describe(transmit, 0, BUFFERS, 112, 0, 0);
            self.rings.post(transmit, 0);
            self.rings.describe(receive, 3, BUFFERS + 0x1000, 2048, WRITE, 0);
            self.rings.post(receive, 3);
            plane.send(vec![8; 72]);
            plane.turn(true, true);
            assert_eq!(plane.heard(), [vec![7; 112]]);
            assert_eq!(self.rings.used(transmit), (1, 0, 0));
            assert_eq!(self.rings.used(receive), (1, 3, 72));
            assert_eq!(self.rings.get(BUFFERS + 0x1000 + 12), [8; 60]);
        }
        assert_eq!(self.status(), 0xf);
    }
}

/// The bytes of an access: mostly of a width that exists.
fn data(input: &mut Input<'_>) -> Vec<u8> {
    let len = input.one_of(&[1, 2, 4, 4, 8, 3]);
    (0..len).map(|_| input.byte()).collect()
}
