//! A device for tests: registers without hardware behind them, and the device's half of the rings, which it reads and
//! writes at the addresses it was told, like hardware. It behaves, or lies as a test tells it to.

use super::regs::{Doorbell, Registers, status};
use super::ring::Addresses;
use crate::hw::dma::testing::{device_read, device_write};
use crate::hw::mmio::Mmio;
use crate::hw::pci::msix::{Vector, testing};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::vec::Vec;

/// The registers a driver gets, and the device behind them that the test keeps.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeDevice(Rc<RefCell<State>>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) offered: u64,
    pub(super) refuse_features: bool,
    pub(super) accepted: u64,
    pub(super) status: u8,
    pub(super) stuck: bool,
    /// Of receive queues, of transmit queues.
    pub(super) queue_sizes: [u16; 2],
    /// Pairs it has.
    pub(super) pairs: u16,
    pub(super) config: [u8; 24],
    pub(super) generation: u8,
    pub(super) queues: HashMap<u16, DeviceQueue>,
    /// Interrupts it has, and by which of them its queues interrupt.
    pub(super) vectors: u16,
    pub(super) table: Option<Mmio>,
    pub(super) queue_vectors: HashMap<u16, u16>,
    /// It has no room for vectors.
    pub(super) refuse_vectors: bool,
    /// Rung, of all receive queues, of all transmit queues.
    pub(super) rx_doorbells: u32,
    pub(super) tx_doorbells: u32,
    /// What it answers to a command; `None`: nothing.
    pub(super) answer: Option<u8>,
    /// Commands given: class, command, data.
    pub(super) commands: Vec<Vec<u8>>,
}

/// MAC, link up, 8 pairs, MTU 1500, no speed and duplex, keys of 40 bytes, 128 entries, all hashes.
const CONFIG: [u8; 24] = [
    0x52, 0x54, 0, 1, 2, 3, 1, 0, 8, 0, 0xdc, 5, 0, 0, 0, 0, 0, 40, 128, 0, 0x3f, 0, 0, 0,
];

impl Default for State {
    fn default() -> Self {
        State {
            offered: 1 << 32,
            refuse_features: false,
            accepted: 0,
            status: 0xff,
            stuck: false,
            queue_sizes: [32, 64],
            pairs: 8,
            config: CONFIG,
            generation: 0,
            queues: HashMap::new(),
            vectors: 0,
            table: None,
            queue_vectors: HashMap::new(),
            refuse_vectors: false,
            rx_doorbells: 0,
            tx_doorbells: 0,
            answer: Some(0),
            commands: Vec::new(),
        }
    }
}

impl State {
    /// Takes what is in the queue for commands, and answers.
    fn obey(&mut self) {
        let Some(queue) = self.queues.get_mut(&(2 * self.pairs)) else {
            return;
        };
        while let Some(chain) = queue.take() {
            let [(at, len, false), (answer_at, 1, true)] = chain.parts[..] else {
                panic!("not a command and room for an answer: {chain:?}")
            };
            self.commands.push(device_read(at, len as usize));
            if let Some(answer) = self.answer {
                device_write(answer_at, &[answer]);
                queue.give_back(chain.head.into(), 1);
            }
        }
    }
}

/// Of a queue.
#[derive(Clone, Debug)]
pub(super) struct FakeDoorbell(FakeDevice, u16);

impl Doorbell for FakeDoorbell {
    fn ring(&self) {
        let FakeDoorbell(device, queue) = self;
        device.with(|state| match queue {
            queue if *queue == 2 * state.pairs => state.obey(),
            queue if queue % 2 == 0 => state.rx_doorbells += 1,
            _ => state.tx_doorbells += 1,
        });
    }
}

/// The device's half of a queue.
#[derive(Clone, Debug)]
pub(super) struct DeviceQueue {
    size: u16,
    at: Addresses,
    next: u16,
    used: u16,
}

/// A chain the driver has posted.
#[derive(Clone, Debug)]
pub(super) struct PostedChain {
    pub(super) head: u16,
    /// (address, length, the device is to write)
    pub(super) parts: Vec<(u64, u32, bool)>,
}

impl PostedChain {
    /// The bytes of a chain to read.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.parts
            .iter()
            .flat_map(|&(address, len, _)| device_read(address, len as usize))
            .collect()
    }
}

fn read_u16(at: u64) -> u16 {
    u16::from_le_bytes(device_read(at, 2).try_into().unwrap())
}

impl DeviceQueue {
    fn slot(&self, index: u16) -> u64 {
        u64::from(index % self.size)
    }

    pub(super) fn available_flags(&self) -> u16 {
        read_u16(self.at.available.0)
    }

    pub(super) fn used_event(&self) -> u16 {
        read_u16(self.at.available.0 + 4 + 2 * u64::from(self.size))
    }

    pub(super) fn set_no_notify(&self, no_notify: u16) {
        device_write(self.at.used.0, &no_notify.to_le_bytes());
    }

    pub(super) fn set_available_event(&self, event: u16) {
        device_write(
            self.at.used.0 + 4 + 8 * u64::from(self.size),
            &event.to_le_bytes(),
        );
    }

    pub(super) fn set_used_index(&self, index: u16) {
        device_write(self.at.used.0 + 2, &index.to_le_bytes());
    }

    /// Whether it interrupts for what it has used since the index was `old` (section 2.7.10).
    pub(super) fn interrupts(&self, old: u16, by_event: bool) -> bool {
        if !by_event {
            return self.available_flags() & 1 == 0;
        }
        let ahead = self.used.wrapping_sub(self.used_event()).wrapping_sub(1);
        ahead < self.used.wrapping_sub(old)
    }

    pub(super) fn used_index(&self) -> u16 {
        self.used
    }

    /// Chains shown and not yet taken.
    pub(super) fn pending(&self) -> u16 {
        read_u16(self.at.available.0 + 2).wrapping_sub(self.next)
    }

    pub(super) fn take(&mut self) -> Option<PostedChain> {
        if self.pending() == 0 {
            return None;
        }
        let head = read_u16(self.at.available.0 + 4 + 2 * self.slot(self.next));
        self.next = self.next.wrapping_add(1);
        let mut parts = Vec::new();
        let mut index = head;
        loop {
            assert!(
                index < self.size && parts.len() < self.size.into(),
                "a bad chain from {head}"
            );
            let bytes = device_read(self.at.descriptors.0 + 16 * u64::from(index), 16);
            let flags = u16::from_le_bytes(bytes[12..14].try_into().unwrap());
            let address = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            parts.push((
                address,
                u32::from_le_bytes(bytes[8..12].try_into().unwrap()),
                flags & 2 != 0,
            ));
            if flags & 1 == 0 {
                return Some(PostedChain { head, parts });
            }
            index = u16::from_le_bytes(bytes[14..].try_into().unwrap());
        }
    }

    /// Writes a used element, whatever it says.
    pub(super) fn give_back(&mut self, id: u32, len: u32) {
        let place = self.at.used.0 + 4 + 8 * self.slot(self.used);
        device_write(place, &id.to_le_bytes());
        device_write(place + 4, &len.to_le_bytes());
        self.used = self.used.wrapping_add(1);
        self.set_used_index(self.used);
    }

    /// Receives a frame into as many buffers as it takes, as a device that behaves. `false`: no buffer.
    pub(super) fn receive(&mut self, flags: u8, frame: &[u8]) -> bool {
        let count = (frame.len() + 12).div_ceil(2048);
        if usize::from(self.pending()) < count {
            return false;
        }
        let [low, high] = u16::try_from(count).unwrap().to_le_bytes();
        // As of TCP behind 34 bytes of headers, should a flag say that this counts.
        let bytes = [&[flags, 0, 0, 0, 0, 0, 34, 0, 16, 0, low, high][..], frame].concat();
        for piece in bytes.chunks(2048) {
            let chain = self.take().unwrap();
            let [(address, 2048, true)] = chain.parts[..] else {
                panic!("not one buffer to write: {chain:?}")
            };
            device_write(address, piece);
            self.give_back(chain.head.into(), u32::try_from(piece.len()).unwrap());
        }
        true
    }
}

impl FakeDevice {
    pub(super) fn offering(bits: &[u32]) -> Self {
        let device = FakeDevice::default();
        device.with(|state| state.offered = bits.iter().fold(1 << 32, |all, bit| all | 1 << bit));
        device
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    pub(super) fn queue<T>(&self, number: u16, f: impl FnOnce(&mut DeviceQueue) -> T) -> T {
        self.with(|state| f(state.queues.get_mut(&number).unwrap()))
    }

    pub(super) fn rx<T>(&self, f: impl FnOnce(&mut DeviceQueue) -> T) -> T {
        self.queue(0, f)
    }

    pub(super) fn tx<T>(&self, f: impl FnOnce(&mut DeviceQueue) -> T) -> T {
        self.queue(1, f)
    }
}

impl Registers for FakeDevice {
    type Doorbell = FakeDoorbell;

    fn offered(&mut self) -> u64 {
        self.with(|state| state.offered)
    }

    fn accept(&mut self, features: u64) {
        self.with(|state| state.accepted = features);
    }

    fn status(&self) -> u8 {
        self.with(|state| state.status)
    }

    fn set_status(&mut self, status: u8) {
        self.with(|state| {
            if status == 0 {
                state.queues.clear();
                state.queue_vectors.clear();
            }
            state.status = if state.stuck {
                state.status
            } else if state.refuse_features {
                status & !status::FEATURES_OK
            } else {
                status
            };
        });
    }

    fn max_queue_size(&mut self, queue: u16) -> u16 {
        self.with(|state| {
            if queue > 2 * state.pairs {
                return 0;
            }
            state.queue_sizes[usize::from(queue % 2)]
        })
    }

    fn vectors(&mut self) -> Vec<Vector> {
        self.with(|state| {
            let (vectors, table) = testing::vectors(state.vectors);
            state.table = Some(table);
            vectors
        })
    }

    fn set_vector(&mut self, queue: u16, vector: Option<u16>) -> bool {
        self.with(|state| {
            assert!(!state.queues.contains_key(&queue), "before it is enabled");
            if let Some(vector) = vector.filter(|_| !state.refuse_vectors) {
                state.queue_vectors.insert(queue, vector);
            }
            vector.is_none() || !state.refuse_vectors
        })
    }

    fn enable_queue(&mut self, queue: u16, size: u16, at: Addresses) -> Option<FakeDoorbell> {
        self.with(|state| {
            state.queues.insert(
                queue,
                DeviceQueue {
                    size,
                    at,
                    next: 0,
                    used: 0,
                },
            )
        });
        Some(FakeDoorbell(self.clone(), queue))
    }

    fn config(&self, offset: usize) -> u8 {
        self.with(|state| state.config.get(offset).copied().unwrap_or(0))
    }

    fn config_generation(&self) -> u8 {
        self.with(|state| state.generation)
    }
}
