//! A card for tests: registers without hardware behind them, and the card's half of the rings, which it reads and
//! writes at the addresses it was told, like hardware. It behaves, or lies as a test tells it to.

use super::regs::{self, Cause, GONE, Queue, Register, Registers, Tail, cause, ctrl};
use crate::hw::dma::testing::{device_read, device_write};
use crate::hw::mmio::Mmio;
use crate::hw::pci::msix::{Vector, testing};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::vec::Vec;

/// The registers a driver gets, and the card behind them that the test keeps.
#[derive(Clone, Debug)]
pub(super) struct FakeDevice(Rc<RefCell<State>>);

#[derive(Debug)]
pub(super) struct State {
    pub(super) registers: HashMap<Register, u32>,
    pub(super) stuck: bool,
    pub(super) gone: bool,
    /// Waits until the EEPROM is read.
    pub(super) eeprom_delay: u32,
    /// Interrupts it has.
    pub(super) vectors: u16,
    pub(super) table: Option<Mmio>,
    /// Messages sent, by vector.
    pub(super) messages: Vec<u16>,
    pub(super) rx_doorbells: u64,
    pub(super) tx_doorbells: u64,
    /// The context descriptor the card goes by.
    context: u64,
}

/// A frame as it leaves, and the parts it was gathered from (address, length).
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<(u64, usize)>,
    /// The tag to insert.
    pub(super) tag: Option<u16>,
    /// Place of its last descriptor.
    pub(super) last: u32,
}

/// A frame that the card is to cut.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) header: Vec<u8>,
    /// Lengths of the pieces of its payload.
    pub(super) pieces: Vec<usize>,
    /// What its context says.
    pub(super) payload_len: usize,
    pub(super) mss: u64,
}

fn read_u64(at: u64) -> u64 {
    u64::from_le_bytes(device_read(at, 8).try_into().unwrap())
}

impl Default for FakeDevice {
    fn default() -> Self {
        let registers = [
            (Register::STATUS, 0x8_0083),
            (Register::RAL, u32::from_le_bytes([0x52, 0x54, 0, 1])),
            (Register::RAH, 0x8000_0000 | u32::from_le_bytes([2, 3, 0, 0])),
        ];
        FakeDevice(Rc::new(RefCell::new(State {
            registers: registers.into(),
            stuck: false,
            gone: false,
            eeprom_delay: 3,
            vectors: 0,
            table: None,
            messages: Vec::new(),
            rx_doorbells: 0,
            tx_doorbells: 0,
            context: 0,
        })))
    }
}

impl State {
    pub(super) fn register(&self, register: Register) -> u32 {
        self.registers.get(&register).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, register: Register, value: u32) {
        self.registers.insert(register, value);
    }

    pub(super) fn size(&self, queue: Queue) -> u32 {
        self.register(queue.len()) / 16
    }

    /// Where descriptor `index` modulo the size lies.
    pub(super) fn place(&self, queue: Queue, index: u32) -> u64 {
        let [low, high] = queue.base().map(|half| u64::from(self.register(half)));
        (high << 32 | low) + 16 * u64::from(index % self.size(queue))
    }

    /// Descriptors the card has.
    pub(super) fn pending(&self, queue: Queue) -> u32 {
        if self.size(queue) == 0 {
            return 0;
        }
        let (head, tail) = (self.register(queue.head()), self.register(queue.tail()));
        (tail + self.size(queue) - head) % self.size(queue)
    }

    fn advance(&mut self, queue: Queue) -> u64 {
        let head = self.register(queue.head());
        self.set(queue.head(), (head + 1) % self.size(queue));
        self.place(queue, head)
    }

    /// Writes status and errors into the next receive descriptor, whatever they say. `false`: it has none.
    pub(super) fn report(&mut self, len: u16, status: u8, errors: u8) -> bool {
        self.report_at(Queue::RX, (len, 0), status, errors)
    }

    /// The same at this queue, with this tag.
    fn report_at(&mut self, queue: Queue, (len, tag): (u16, u16), status: u8, errors: u8) -> bool {
        if self.pending(queue) == 0 {
            return false;
        }
        let at = self.advance(queue);
        let (len, tag, status, errors) = (
            u64::from(len),
            u64::from(tag),
            u64::from(status),
            u64::from(errors),
        );
        let word = if self.register(Register::RFCTL) & regs::EXTENDED != 0 {
            status | errors << 24 | len << 32 | tag << 48
        } else {
            len | status << 32 | errors << 40 | tag << 48
        };
        device_write(at + 8, &word.to_le_bytes());
        for number in (0..2).filter(|number| Queue::RX.number(*number) == queue) {
            self.raise(cause::received(number));
        }
        true
    }

    /// Something happens that may interrupt.
    fn raise(&mut self, causes: u32) {
        self.set(Register::ICR, self.register(Register::ICR) | causes);
        self.interrupt();
    }

    /// Sends the message of each cause that is let in, and clears and masks it, as EIAC wants.
    fn interrupt(&mut self) {
        for queue in 0..2 {
            let bit = cause::received(queue);
            if self.register(Register::ICR) & self.register(Register::IMS) & bit == 0 {
                continue;
            }
            let route = self.register(Register::IVAR) >> (4 * queue);
            if route & 8 != 0 {
                self.messages.push(u16::try_from(route & 7).unwrap());
            }
            if self.register(Register::EIAC) & bit != 0 {
                self.set(Register::ICR, self.register(Register::ICR) & !bit);
                self.set(Register::IMS, self.register(Register::IMS) & !bit);
            }
        }
    }

    /// Receives a frame into the next buffer, as a card that behaves. `false`: no buffer.
    pub(super) fn receive(&mut self, status: u8, errors: u8, frame: &[u8]) -> bool {
        self.receive_at(Queue::RX, 0, status, errors, frame)
    }

    /// The same at this queue, with this tag.
    pub(super) fn receive_at(
        &mut self,
        queue: Queue,
        tag: u16,
        status: u8,
        errors: u8,
        frame: &[u8],
    ) -> bool {
        if self.pending(queue) > 0 {
            let at = self.place(queue, self.register(queue.head()));
            device_write(read_u64(at), frame);
        }
        self.report_at(queue, (u16::try_from(frame.len()).unwrap(), tag), status, errors)
    }

    /// Takes the next frame to send, as far as it was shown, and computes its checksum; does not report it done.
    pub(super) fn send(&mut self) -> Option<Sent> {
        self.send_at(Queue::TX)
    }

    /// The same of this queue.
    pub(super) fn send_at(&mut self, queue: Queue) -> Option<Sent> {
        let (mut bytes, mut parts, mut options) = (Vec::new(), Vec::new(), None);
        while self.pending(queue) > 0 {
            let last = self.register(queue.head());
            let at = self.advance(queue);
            let (first, second) = (read_u64(at), read_u64(at + 8));
            assert_eq!(second >> 29 & 1, 1, "an extended descriptor");
            if second >> 20 & 15 == 0 {
                assert!(parts.is_empty(), "a context in the middle of a frame");
                self.context = first;
                continue;
            }
            let len = usize::try_from(second & 0xf_ffff).unwrap();
            options.get_or_insert(second >> 40 & 0xff);
            bytes.extend(device_read(first, len));
            parts.push((first, len));
            if second >> 24 & 1 == 1 {
                assert_eq!(second >> 24 & 0xbf, 0x2b, "EOP, IFCS, RS and DEXT");
                let tag = (second >> 30 & 1 == 1).then(|| u16::try_from(second >> 48).unwrap());
                if options == Some(2) {
                    self.complete_checksum(&mut bytes);
                }
                return Some(Sent {
                    bytes,
                    parts,
                    tag,
                    last,
                });
            }
        }
        assert!(parts.is_empty(), "half a frame was shown");
        None
    }

    /// Takes all frames that were shown; gives those to be cut, whose payload is not read.
    pub(super) fn take_cut(&mut self) -> Vec<Cut> {
        let (mut all, mut context, mut pieces) = (Vec::new(), 0, Vec::new());
        while self.pending(Queue::TX) > 0 {
            let at = self.advance(Queue::TX);
            let (first, second) = (read_u64(at), read_u64(at + 8));
            if second >> 20 & 15 == 0 {
                context = second;
                continue;
            }
            pieces.push((first, usize::try_from(second & 0xf_ffff).unwrap()));
            if second >> 24 & 1 == 0 {
                continue;
            }
            let is_cut = context >> 26 & 1 == 1;
            assert_eq!(second >> 26 & 1 == 1, is_cut, "data says what its context says");
            let pieces = std::mem::take(&mut pieces);
            if let ([(header, len), payload @ ..], true) = (&pieces[..], is_cut) {
                assert_eq!(context >> 40 & 0xff, *len as u64, "HDRLEN");
                all.push(Cut {
                    header: device_read(*header, *len),
                    pieces: payload.iter().map(|(_, len)| *len).collect(),
                    payload_len: usize::try_from(context & 0xf_ffff).unwrap(),
                    mss: context >> 48,
                });
            }
        }
        all
    }

    fn complete_checksum(&self, frame: &mut [u8]) {
        let [.., start, field, _, _] = self.context.to_le_bytes();
        let sum: u32 = frame[usize::from(start)..]
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let folded = u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
        let field = usize::from(field);
        frame[field..field + 2].copy_from_slice(&(!folded).to_be_bytes());
    }

    /// Reports a transmit descriptor done.
    pub(super) fn finish(&self, place: u32) {
        let at = self.place(Queue::TX, place) + 8;
        device_write(at, &(read_u64(at) | 1 << 32).to_le_bytes());
    }
}

impl FakeDevice {
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    pub(super) fn register(&self, register: Register) -> u32 {
        self.with(|state| state.register(register))
    }

    pub(super) fn set(&self, register: Register, value: u32) {
        self.with(|state| state.set(register, value));
    }

    pub(super) fn receive(&self, frame: &[u8]) -> bool {
        self.with(|state| state.receive(0x03, 0, frame))
    }

    /// Sends the next frame and reports it done.
    pub(super) fn send(&self) -> Option<Sent> {
        self.with(|state| {
            let sent = state.send()?;
            state.finish(sent.last);
            Some(sent)
        })
    }
}

/// Of a queue.
#[derive(Debug)]
pub(super) struct FakeTail(FakeDevice, Queue);

impl Tail for FakeTail {
    fn write(&self, tail: u16) {
        let FakeTail(device, queue) = self;
        device.with(|state| {
            let doorbells = if (0..2).any(|number| Queue::RX.number(number) == *queue) {
                &mut state.rx_doorbells
            } else {
                &mut state.tx_doorbells
            };
            *doorbells += 1;
        });
        device.write(queue.tail(), tail.into());
    }
}

/// Of a receive queue.
#[derive(Debug)]
pub(super) struct FakeCause(FakeDevice, u32);

impl Cause for FakeCause {
    fn let_in(&self) {
        self.0.write(Register::ICR, self.1);
        self.0.write(Register::IMS, self.1);
    }

    fn shut_out(&self) {
        self.0.write(Register::IMC, self.1);
    }
}

impl Registers for FakeDevice {
    type Tail = FakeTail;
    type Cause = FakeCause;

    fn read(&self, register: Register) -> u32 {
        self.with(|state| match register {
            _ if state.gone => GONE,
            Register::RAH if state.eeprom_delay > 0 => 0,
            Register::CRCERRS | Register::RXERRC | Register::MPC => {
                state.registers.remove(&register).unwrap_or(0)
            }
            _ => state.register(register),
        })
    }

    fn write(&self, register: Register, value: u32) {
        self.with(|state| {
            let before = state.register(register);
            match register {
                Register::ICR => state.set(register, before & !value),
                Register::IMS => {
                    state.set(register, before | value);
                    state.interrupt();
                }
                Register::IMC => {
                    state.set(register, value);
                    let mask = state.register(Register::IMS);
                    state.set(Register::IMS, mask & !value);
                }
                _ => state.set(register, value),
            }
        });
    }

    fn vectors(&mut self) -> Vec<Vector> {
        self.with(|state| {
            let (vectors, table) = testing::vectors(state.vectors);
            state.table = Some(table);
            vectors
        })
    }

    fn cause(&self, queue: u16) -> Option<FakeCause> {
        Some(FakeCause(self.clone(), cause::received(queue)))
    }

    fn tail(&self, queue: Queue) -> Option<FakeTail> {
        Some(FakeTail(self.clone(), queue))
    }

    fn wait(&self) {
        self.with(|state| {
            let control = state.register(Register::CTRL);
            if control & ctrl::RST != 0 && !state.stuck {
                state.set(Register::CTRL, control & !ctrl::RST);
                for register in [Register::IMS, Register::IVAR, Register::EIAC] {
                    state.set(register, 0);
                }
                for queue in [Queue::RX, Queue::TX]
                    .into_iter()
                    .flat_map(|first| [first, first.number(1)])
                {
                    state.set(queue.len(), 0);
                    state.set(queue.head(), 0);
                    state.set(queue.tail(), 0);
                }
            } else {
                state.eeprom_delay = state.eeprom_delay.saturating_sub(1);
            }
        });
    }
}
