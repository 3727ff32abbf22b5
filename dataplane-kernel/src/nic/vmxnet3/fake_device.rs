//! A device for tests: registers without hardware behind them, and the device's half of the rings, which it reads and writes
//! where it was told, like hardware. It behaves, or lies as a test tells it to.

use super::regs::{Doorbell, GONE, Producer, Register, Registers, command};
use crate::hw::dma::testing::{device_read, device_write};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::vec::Vec;

/// The registers a driver gets, and the device behind them that the test keeps.
#[derive(Clone, Debug)]
pub(super) struct FakeDevice(Rc<RefCell<State>>);

/// A ring that the device goes through.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) at: u64,
    pub(super) size: u32,
    pub(super) next: u32,
    pub(super) generation: u64,
}

/// What an active device goes by.
#[derive(Clone, Debug)]
pub(super) struct Active {
    pub(super) tx: Turn,
    pub(super) tx_done: Turn,
    pub(super) rx: [Turn; 2],
    pub(super) rx_done: Turn,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) registers: HashMap<Register, u32>,
    pub(super) gone: bool,
    /// What activation comes to.
    pub(super) refusal: u32,
    pub(super) link_up: bool,
    pub(super) mac: [u8; 6],
    pub(super) active: Option<Active>,
    /// Features and filter, as it has read them last.
    pub(super) features: u64,
    pub(super) rx_mode: u32,
    /// Errors in transmission, discarded, no buffer, errors in reception.
    pub(super) failures: [u64; 4],
    pub(super) doorbells: Vec<(Producer, u16)>,
}

/// A frame as it leaves, and the parts it was gathered from (address, length).
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<(u64, usize)>,
    /// The second word of its first descriptor.
    pub(super) what: u64,
    /// Place of its last descriptor.
    pub(super) last: u32,
}

impl Sent {
    /// The fields that say what is to be computed: mode, length of the headers, place or size.
    pub(super) fn offload(&self) -> (u64, u64, u64) {
        (
            self.what >> 42 & 3,
            self.what >> 32 & 0x3ff,
            self.what >> 18 & 0x3fff,
        )
    }

    /// The tag to insert.
    pub(super) fn tag(&self) -> Option<u64> {
        (self.what >> 47 & 1 == 1).then_some(self.what >> 48)
    }
}

pub(super) fn read_u64(at: u64) -> u64 {
    u64::from_le_bytes(device_read(at, 8).try_into().unwrap())
}

fn read_u32(at: u64) -> u32 {
    u32::from_le_bytes(device_read(at, 4).try_into().unwrap())
}

impl Turn {
    fn new(at: u64, size: u32) -> Self {
        assert!(at.is_multiple_of(512) && size.is_multiple_of(32) && size > 0);
        Turn {
            at,
            size,
            next: 0,
            generation: 1,
        }
    }

    fn step(&mut self) -> (u32, u64) {
        let place = self.next;
        let at = self.at + 16 * u64::from(place);
        self.next = (place + 1) % self.size;
        if self.next == 0 {
            self.generation ^= 1;
        }
        (place, at)
    }

    /// The next descriptor, if it is the device's: its place and its words.
    fn take(&mut self, generation: u32) -> Option<(u32, u64, u64)> {
        let at = self.at + 16 * u64::from(self.next);
        let (first, second) = (read_u64(at), read_u64(at + 8));
        if second >> generation & 1 != self.generation {
            return None;
        }
        Some((self.step().0, first, second))
    }

    /// How many descriptors the device has.
    pub(super) fn pending(&self, generation: u32) -> u32 {
        let mut ahead = self.clone();
        (0..self.size)
            .take_while(|_| ahead.take(generation).is_some())
            .count()
            .try_into()
            .unwrap()
    }

    /// Writes a report, but for its generation.
    fn report(&mut self, first: u64, second: u64) {
        let generation = self.generation << 63;
        let (_, at) = self.step();
        device_write(at, &first.to_le_bytes());
        device_write(at + 8, &(second & !(1 << 63) | generation).to_le_bytes());
    }
}

const TX_GENERATION: u32 = 14;
const RX_GENERATION: u32 = 31;

/// A frame starts; it ends; its checksum was not verified.
pub(super) const START: u64 = 1 << 15;
pub(super) const END: u64 = 1 << 14;
pub(super) const NOT_VERIFIED: u64 = 1 << 30;

/// A good checksum of TCP over IPv4.
pub(super) const GOOD: u64 = 0b0010_0101 << 48;

impl State {
    pub(super) fn area(&self) -> u64 {
        let half = |register| u64::from(*self.registers.get(&register).unwrap_or(&0));
        half(Register::DSAH) << 32 | half(Register::DSAL)
    }

    fn queues(&self) -> [u64; 2] {
        let at = read_u64(self.area() + 40);
        [at, at + 256]
    }

    fn activate(&mut self) {
        let area = self.area();
        if read_u32(area) != 0xbabe_fee1 || self.refusal != 0 {
            return;
        }
        assert!(area.is_multiple_of(8) && (60..=9000).contains(&read_u32(area + 56)));
        assert_eq!(device_read(area + 60, 4)[2..], [1, 1], "a queue of each kind");
        let [tx, rx] = self.queues();
        assert!(tx.is_multiple_of(128) && read_u32(area + 52) == 512);
        let turn = |queue: u64, at: u64, size: u64| Turn::new(read_u64(queue + at), read_u32(queue + size));
        self.active = Some(Active {
            tx: turn(tx, 16, 56),
            tx_done: turn(tx, 32, 64),
            rx: [turn(rx, 16, 56), turn(rx, 24, 60)],
            rx_done: turn(rx, 32, 64),
        });
        self.features = read_u64(area + 24);
        self.rx_mode = read_u32(area + 120);
    }

    fn command(&mut self, command: u32) {
        match command {
            command::ACTIVATE => self.activate(),
            command::QUIESCE => self.active = None,
            command::RESET => {
                self.active = None;
                self.registers.remove(&Register::DSAL);
                self.registers.remove(&Register::DSAH);
            }
            command::UPDATE_FEATURE if self.active.is_some() => self.features = read_u64(self.area() + 24),
            command::UPDATE_RX_MODE if self.active.is_some() => self.rx_mode = read_u32(self.area() + 120),
            command::GET_STATS if self.active.is_some() => {
                let [tx, rx] = self.queues();
                let at = [tx + 152, tx + 160, rx + 152, rx + 160];
                for (at, count) in at.into_iter().zip(self.failures) {
                    device_write(at, &count.to_le_bytes());
                }
            }
            _ => {}
        }
    }

    fn answer(&self, command: u32) -> u32 {
        let [a, b, c, d, e, f] = self.mac;
        match command {
            command::ACTIVATE => self.refusal,
            command::GET_LINK => 10_000 << 16 | u32::from(self.link_up),
            command::GET_PERM_MAC_LO => u32::from_le_bytes([a, b, c, d]),
            command::GET_PERM_MAC_HI => u32::from_le_bytes([e, f, 0, 0]),
            _ => 0,
        }
    }

    fn active(&mut self) -> &mut Active {
        self.active.as_mut().expect("an active device")
    }

    /// Events for the driver.
    pub(super) fn raise(&self, events: u32) {
        device_write(self.area() + 696, &events.to_le_bytes());
    }

    /// Whether it wants to be told of buffers.
    pub(super) fn want_doorbells(&self, wanted: u8) {
        device_write(self.queues()[1], &[wanted]);
    }

    /// Reports anything.
    pub(super) fn report(&mut self, first: u64, second: u64) {
        self.active().rx_done.report(first, second);
    }

    /// Fills the next buffer of a ring, if there is one, with what fits; its place and how much that was.
    fn fill(&mut self, ring: usize, bytes: &[u8]) -> Option<(u64, usize)> {
        let (place, address, second) = self.active().rx[ring].take(RX_GENERATION)?;
        let len = bytes.len().min(usize::try_from(second & 0x3fff).unwrap());
        assert_eq!(second >> 14 & 1, ring as u64, "frames start in the first ring");
        device_write(address, &bytes[..len]);
        Some((u64::from(place) | (ring as u64) << 16, len))
    }

    /// Receives a frame into buffers of both rings, as a device that behaves: these flags stand in the last report, besides those
    /// of errors. `false`: it had no buffer.
    pub(super) fn receive(&mut self, flags: u64, frame: &[u8]) -> bool {
        let (mut left, mut ring, mut start) = (frame, 0, START);
        let mut before = None;
        while let Some((place, len)) = (!left.is_empty()).then(|| self.fill(ring, left)).flatten() {
            if let Some((first, second)) = before {
                self.report(first, second);
            }
            before = Some((place | start, len as u64));
            (left, ring, start) = (&left[len..], 1, 0);
        }
        let Some((first, second)) = before else {
            return false;
        };
        let error = if left.is_empty() { 0 } else { 1 << 14 };
        let not_verified = if flags & GOOD == 0 { NOT_VERIFIED } else { 0 };
        self.report(first | END | not_verified, second | flags | error);
        left.is_empty()
    }

    /// Takes the next frame to send, as far as it is shown; does not report it.
    pub(super) fn take(&mut self) -> Option<Sent> {
        let (mut bytes, mut parts, mut what) = (Vec::new(), Vec::new(), None);
        while let Some((last, address, second)) = self.active().tx.take(TX_GENERATION) {
            let len = match usize::try_from(second & 0x3fff).unwrap() {
                0 => 1 << 14,
                len => len,
            };
            let &mut what = what.get_or_insert(second);
            parts.push((address, len));
            if parts.len() == 1 || len <= 4096 {
                bytes.extend(device_read(address, len));
            }
            if second >> 44 & 1 == 1 {
                assert_eq!(second >> 45 & 1, 1, "it asks for a report");
                return Some(Sent {
                    bytes,
                    parts,
                    what,
                    last,
                });
            }
            assert!(second >> 45 & 1 == 0 && (parts.len() == 1 || second >> 42 & 3 == 0));
        }
        assert!(parts.is_empty(), "half a frame was shown");
        None
    }

    /// Reports the frame that ends at this place.
    pub(super) fn finish(&mut self, last: u32) {
        self.active().tx_done.report(last.into(), 0);
    }
}

impl Default for FakeDevice {
    fn default() -> Self {
        FakeDevice(Rc::new(RefCell::new(State {
            registers: [(Register::VRRS, 3), (Register::UVRS, 1)].into(),
            gone: false,
            refusal: 0,
            link_up: true,
            mac: [0x52, 0x54, 0, 1, 2, 3],
            active: None,
            features: 0,
            rx_mode: 0,
            failures: [0; 4],
            doorbells: Vec::new(),
        })))
    }
}

impl FakeDevice {
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    /// Receives a frame, with a checksum that is good.
    pub(super) fn receive(&self, frame: &[u8]) -> bool {
        self.with(|state| state.receive(GOOD, frame))
    }

    /// Sends the next frame.
    pub(super) fn send(&self) -> Option<Sent> {
        self.with(|state| {
            let sent = state.take()?;
            state.finish(sent.last);
            Some(sent)
        })
    }

    /// Descriptors it has: to transmit, of both kinds to receive.
    pub(super) fn pending(&self) -> [u32; 3] {
        self.with(|state| {
            let Active { tx, rx, .. } = state.active();
            let [heads, bodies] = rx;
            [
                tx.pending(TX_GENERATION),
                heads.pending(RX_GENERATION),
                bodies.pending(RX_GENERATION),
            ]
        })
    }

    /// Doorbells since this was last asked.
    pub(super) fn doorbells(&self) -> Vec<(Producer, u16)> {
        self.with(|state| std::mem::take(&mut state.doorbells))
    }
}

/// A producer register of the device.
#[derive(Debug)]
pub(super) struct FakeDoorbell(FakeDevice, Producer);

impl Doorbell for FakeDoorbell {
    fn write(&self, place: u16) {
        self.0.with(|state| state.doorbells.push((self.1, place)));
    }
}

impl Registers for FakeDevice {
    type Doorbell = FakeDoorbell;

    fn read(&self, register: Register) -> u32 {
        self.with(|state| match register {
            _ if state.gone => GONE,
            Register::CMD => state.answer(*state.registers.get(&register).unwrap_or(&0)),
            _ => *state.registers.get(&register).unwrap_or(&0),
        })
    }

    fn write(&self, register: Register, value: u32) {
        self.with(|state| match register {
            _ if state.gone => {}
            Register::VRRS | Register::UVRS => assert_eq!(value, 1),
            Register::ECR => {
                let left = read_u32(state.area() + 696) & !value;
                state.raise(left);
            }
            _ => {
                state.registers.insert(register, value);
                if register == Register::CMD {
                    state.command(value);
                }
            }
        });
    }

    fn doorbell(&self, producer: Producer) -> Option<FakeDoorbell> {
        Some(FakeDoorbell(self.clone(), producer))
    }
}
