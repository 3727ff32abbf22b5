//! For tests: a guest with a driver that does what a driver must, and can be led astray; and a link without a network.

use super::net::{DataPlane, Net, PairSignals, Settings, Signals};
use super::transport::Transport;
use super::{Device, Doorbells, Interrupts, Memory, Message};
use crate::vmm::pci::{Bdf, ECAM, Root, Windows};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

pub(crate) const RAM_BYTES: usize = 4 << 20;

pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const EVENT_IDX: u64 = 1 << 29;

/// Doorbells that nobody hears, but that can be counted: their addresses.
#[derive(Clone, Default)]
pub(crate) struct FakeDoorbells(pub(crate) Arc<Mutex<Vec<u64>>>);

impl Doorbells for FakeDoorbells {
    fn add(&self, address: u64, _kick: &EventFd) -> io::Result<()> {
        self.0.lock().unwrap().push(address);
        Ok(())
    }

    fn remove(&self, address: u64, _kick: &EventFd) -> io::Result<()> {
        let mut all = self.0.lock().unwrap();
        let at = all.iter().position(|&other| other == address);
        all.swap_remove(at.ok_or(io::ErrorKind::NotFound)?);
        Ok(())
    }
}

/// Interrupts that reach nobody: what each line is connected to, and its signal.
#[derive(Clone, Default)]
pub(crate) struct FakeInterrupts(pub(crate) Arc<Mutex<BTreeMap<u16, (Message, EventFd)>>>);

/// A message that is refused.
pub(crate) const BAD_MESSAGE: u32 = 0xbad;

impl Interrupts for FakeInterrupts {
    fn connect(&self, line: u16, call: &EventFd, message: Message) -> io::Result<()> {
        if message.data == BAD_MESSAGE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let before = self.0.lock().unwrap().insert(line, (message, call.try_clone()?));
        assert!(before.is_none(), "line {line} is connected twice");
        Ok(())
    }

    fn disconnect(&self, line: u16, _call: &EventFd) -> io::Result<()> {
        let before = self.0.lock().unwrap().remove(&line);
        assert!(before.is_some(), "line {line} is not connected");
        Ok(())
    }
}

impl FakeInterrupts {
    /// What the lines are connected to.
    pub(crate) fn connected(&self) -> Vec<(u16, Message)> {
        let lines = self.0.lock().unwrap();
        lines
            .iter()
            .map(|(&line, &(message, _))| (line, message))
            .collect()
    }

    /// Interrupts of a line since it was last asked.
    pub(crate) fn heard(&self, line: u16) -> u64 {
        let lines = self.0.lock().unwrap();
        lines.get(&line).map_or(0, |(_, call)| call.read().unwrap_or(0))
    }
}

pub(crate) fn ram() -> Memory {
    Arc::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM_BYTES)]).unwrap())
}

/// A guest whose only PCI function, apart from the host bridge, is a virtio device.
pub(crate) struct Guest {
    pub(crate) root: Root,
    pub(crate) memory: Memory,
    pub(crate) doorbells: FakeDoorbells,
    pub(crate) interrupts: FakeInterrupts,
    /// Where the groups of registers lie in memory.
    pub(crate) common: u64,
    pub(crate) notify: u64,
    pub(crate) isr: u64,
    pub(crate) config: u64,
    /// Offset of the capability that gives access to BARs.
    pub(crate) window: u16,
    /// That of interrupts, and where their table lies.
    pub(crate) msix: u16,
    pub(crate) table: u64,
}

impl Guest {
    /// Boots it with a network device whose data plane is made of memory and kicks.
    pub(crate) fn with_net<P: DataPlane + 'static>(plane: impl FnOnce(&Memory, PairSignals) -> P) -> Self {
        let mut plane = Some(plane);
        Self::with_pairs(1, |memory, signals| plane.take().unwrap()(memory, signals))
    }

    /// The same with several pairs of queues.
    pub(crate) fn with_pairs<P: DataPlane + 'static>(
        pairs: usize,
        mut plane: impl FnMut(&Memory, PairSignals) -> P,
    ) -> Self {
        let memory = ram();
        let signals = Signals::new(pairs).unwrap();
        let planes = signals
            .share()
            .map(|signals| -> Box<dyn DataPlane> { Box::new(plane(&memory, signals.unwrap())) });
        let planes = planes.collect();
        let settings = Settings {
            mac: [2, 0x49, 10, 1, 0, 2],
            mtu: 1400,
        };
        Self::boot(Net::new(settings, signals, planes), memory)
    }

    /// Boots it as firmware and the kernel's bus scan would.
    pub(crate) fn boot(device: impl Device + 'static, memory: Memory) -> Self {
        let doorbells = FakeDoorbells::default();
        let interrupts = FakeInterrupts::default();
        let transport = Transport::new(
            device,
            Arc::clone(&memory),
            Box::new(doorbells.clone()),
            Box::new(interrupts.clone()),
        );
        let mut root = Root::new(Windows::above(RAM_BYTES as u64, 39));
        let at = root.add(Box::new(transport)).unwrap();
        assert_eq!(Some(at), Bdf::new(1));
        root.place_bars().unwrap();
        let mut guest = Self {
            root,
            memory,
            doorbells,
            interrupts,
            common: 0,
            notify: 0,
            isr: 0,
            config: 0,
            window: 0,
            msix: 0,
            table: 0,
        };
        guest.switch(6);
        guest.find_registers();
        guest
    }

    /// Writes the command register.
    pub(crate) fn switch(&mut self, command: u16) {
        self.pci_write(4, &command.to_le_bytes());
    }

    pub(crate) fn pci<const N: usize>(&mut self, offset: u16) -> [u8; N] {
        self.read(ECAM.start + (1 << 15) + u64::from(offset))
    }

    pub(crate) fn pci_write(&mut self, offset: u16, data: &[u8]) {
        self.write(ECAM.start + (1 << 15) + u64::from(offset), data);
    }

    /// The BAR's address.
    pub(crate) fn bar(&mut self) -> u64 {
        let low = u32::from_le_bytes(self.pci(0x10));
        let high = u32::from_le_bytes(self.pci(0x14));
        u64::from(high) << 32 | u64::from(low & !0xf)
    }

    fn find_registers(&mut self) {
        let bar = self.bar();
        let [mut offset] = self.pci::<1>(0x34);
        while offset != 0 {
            let [id, next, _, kind] = self.pci(offset.into());
            if id == 0x11 {
                let table = u32::from_le_bytes(self.pci(u16::from(offset) + 4));
                (self.msix, self.table) = (offset.into(), bar + u64::from(table));
                offset = next;
                continue;
            }
            assert_eq!(id, 9);
            let start = u64::from(u32::from_le_bytes(self.pci(u16::from(offset) + 8)));
            match kind {
                1 => self.common = bar + start,
                2 => self.notify = bar + start,
                3 => self.isr = bar + start,
                4 => self.config = bar + start,
                5 => self.window = offset.into(),
                _ => panic!("a capability of kind {kind}"),
            }
            offset = next;
        }
    }

    pub(crate) fn read<const N: usize>(&mut self, address: u64) -> [u8; N] {
        let mut data = [0; N];
        self.root.memory_read(address, &mut data);
        data
    }

    pub(crate) fn write(&mut self, address: u64, data: &[u8]) {
        self.root.memory_write(address, data).unwrap();
    }

    pub(crate) fn status(&mut self) -> u8 {
        let [status] = self.read(self.common + 0x14);
        status
    }

    pub(crate) fn set_status(&mut self, status: u8) {
        self.write(self.common + 0x14, &[status]);
    }

    pub(crate) fn offered(&mut self) -> u64 {
        let mut half = |select: u32| {
            self.write(self.common, &select.to_le_bytes());
            u64::from(u32::from_le_bytes(self.read(self.common + 4)))
        };
        half(0) | half(1) << 32
    }

    pub(crate) fn accept(&mut self, features: u64) {
        let bytes = features.to_le_bytes();
        for (select, half) in [(0_u32, &bytes[..4]), (1, &bytes[4..])] {
            self.write(self.common + 8, &select.to_le_bytes());
            self.write(self.common + 12, half);
        }
    }

    /// From reset to the point where queues are set up.
    pub(crate) fn negotiate(&mut self, features: u64) {
        self.set_status(0);
        assert_eq!(self.status(), 0);
        self.set_status(1);
        self.set_status(3);
        self.accept(features);
        self.set_status(0xb);
        assert_eq!(self.status(), 0xb);
    }

    pub(crate) fn select(&mut self, queue: u16) {
        self.write(self.common + 0x16, &queue.to_le_bytes());
    }

    pub(crate) fn enable(&mut self, queue: u16, ring: &Ring) {
        self.select(queue);
        self.write(self.common + 0x18, &ring.size.to_le_bytes());
        for (at, part) in (0x20..)
            .step_by(8)
            .zip([ring.descriptors, ring.available, ring.used])
        {
            let bytes = part.to_le_bytes();
            self.write(self.common + at, &bytes[..4]);
            self.write(self.common + at + 4, &bytes[4..]);
        }
        self.write(self.common + 0x1c, &1_u16.to_le_bytes());
    }

    /// From reset to work, with fresh rings for reception and transmission.
    pub(crate) fn bring_up(&mut self, features: u64, size: u16) -> [Ring; 2] {
        self.negotiate(features);
        let rings = [0x1_0000, 0x2_0000].map(|at| Ring::new(&self.memory, at, size));
        for (queue, ring) in (0..).zip(&rings) {
            self.enable(queue, ring);
        }
        self.set_status(0xf);
        rings
    }

    /// Switches interrupts on or off.
    pub(crate) fn set_message_control(&mut self, control: u16) {
        self.pci_write(self.msix + 2, &control.to_le_bytes());
    }

    /// Writes an entry of the table: address, its upper half, data, Vector Control.
    pub(crate) fn set_entry(&mut self, entry: u64, words: [u32; 4]) {
        for (at, word) in (self.table + 16 * entry..).step_by(4).zip(words) {
            self.write(at, &word.to_le_bytes());
        }
    }

    /// Has a queue interrupt by an entry; what the device says of that.
    pub(crate) fn set_vector(&mut self, queue: u16, entry: u16) -> u16 {
        self.select(queue);
        self.write(self.common + 0x1a, &entry.to_le_bytes());
        u16::from_le_bytes(self.read(self.common + 0x1a))
    }

    pub(crate) fn ring_doorbell(&mut self, queue: u16) {
        self.write(self.notify + 4 * u64::from(queue), &queue.to_le_bytes());
    }
}

/// A queue as its driver sees it.
#[derive(Clone)]
pub(crate) struct Ring {
    pub(crate) memory: Memory,
    pub(crate) size: u16,
    pub(crate) descriptors: u64,
    pub(crate) available: u64,
    pub(crate) used: u64,
    pub(crate) posted: u16,
    pub(crate) taken: u16,
}

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;

impl Ring {
    /// An empty one at `at`, in less than 64 KiB.
    pub(crate) fn new(memory: &Memory, at: u64, size: u16) -> Self {
        memory.write_slice(&[0; 0x1_0000], GuestAddress(at)).unwrap();
        Self {
            memory: Arc::clone(memory),
            size,
            descriptors: at,
            available: at + 0x8000,
            used: at + 0xc000,
            posted: 0,
            taken: 0,
        }
    }

    fn put<T: vm_memory::ByteValued>(&self, value: T, at: u64) {
        self.memory.write_obj(value, GuestAddress(at)).unwrap();
    }

    fn get<T: vm_memory::ByteValued>(&self, at: u64) -> T {
        self.memory.read_obj(GuestAddress(at)).unwrap()
    }

    pub(crate) fn describe(&self, index: u16, address: u64, len: u32, flags: u16, next: u16) {
        let at = self.descriptors + 16 * u64::from(index);
        self.put(address, at);
        self.put(len, at + 8);
        self.put(flags, at + 12);
        self.put(next, at + 14);
    }

    pub(crate) fn post(&mut self, head: u16) {
        self.put(head, self.available + 4 + 2 * u64::from(self.posted % self.size));
        self.posted = self.posted.wrapping_add(1);
        self.set_available(self.posted);
    }

    pub(crate) fn set_available(&self, index: u16) {
        self.put(index, self.available + 2);
    }

    /// Says whether the device is to interrupt: by the flag, or for the element with this number.
    pub(crate) fn want_interrupt(&self, flags: u16, event: u16) {
        self.put(flags, self.available);
        self.put(event, self.available + 4 + 2 * u64::from(self.size));
    }

    /// Posts a chain of places, described from `first` on.
    pub(crate) fn post_chain(&mut self, first: u16, places: &[(u64, u32)], flags: u16) {
        for (i, &(address, len)) in (first..).zip(places) {
            let last = i + 1 == first + u16::try_from(places.len()).unwrap();
            self.describe(i, address, len, if last { flags } else { flags | NEXT }, i + 1);
        }
        self.post(first);
    }

    /// The next element the device has used: head and length.
    pub(crate) fn next_used(&mut self) -> Option<(u32, u32)> {
        if self.get::<u16>(self.used + 2) == self.taken {
            return None;
        }
        let at = self.used + 4 + 8 * u64::from(self.taken % self.size);
        self.taken = self.taken.wrapping_add(1);
        Some((self.get(at), self.get(at + 4)))
    }

    /// Whether the device wants to be told of what is posted next.
    pub(crate) fn wants_doorbell(&self, event_idx: bool) -> bool {
        if event_idx {
            self.get::<u16>(self.used + 4 + 8 * u64::from(self.size)) == self.posted
        } else {
            self.get::<u16>(self.used) & 1 == 0
        }
    }
}
