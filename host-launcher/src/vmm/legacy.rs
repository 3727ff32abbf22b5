//! The three legacy devices of the machine: COM1, which carries the kernel's log; COM2, of which only the doorbell
//! works; and the port that ends the machine.

use ix_abi::host::{area::DOORBELL_PORT, exit};
use std::convert::Infallible;
use std::io::{self, Write};
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, Serial};

const COM1: u16 = 0x3f8;
/// Ports of a 16550.
const PORTS: u16 = 8;
/// Its line status register, and both bits that say it is ready to send.
const LINE_STATUS: u16 = 5;
const READY: u8 = 0x60;

/// The kernel polls; no interrupt line leads anywhere.
struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// What a write to a port means for the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It goes on.
    None,
    /// It ends, and this byte says how.
    Exit(u8),
}

/// The devices. Whether anybody reads the wires is none of the guest's business.
pub struct Legacy<L: Write, D: Write> {
    log: Serial<NoInterrupt, NoEvents, L>,
    doorbell: D,
}

impl<L: Write, D: Write> Legacy<L, D> {
    /// New devices on these wires. The log may block, the doorbell should not: it is there to wake someone, and who has
    /// bytes to read is awake.
    pub fn new(log: L, doorbell: D) -> Self {
        Self {
            log: Serial::new(NoInterrupt, log),
            doorbell,
        }
    }

    /// Whether this port belongs to one of the devices.
    #[must_use]
    pub fn has(port: u16) -> bool {
        port == exit::PORT
            || (COM1..COM1 + PORTS).contains(&port)
            || (DOORBELL_PORT..DOORBELL_PORT + PORTS).contains(&port)
    }

    /// Reads one byte.
    pub fn read(&mut self, port: u16) -> u8 {
        match port {
            COM1.. => self.log.read(register(port, COM1)),
            _ if port == DOORBELL_PORT + LINE_STATUS => READY,
            _ => 0,
        }
    }

    /// Writes one byte.
    pub fn write(&mut self, port: u16, byte: u8) -> Effect {
        match port {
            exit::PORT => return Effect::Exit(byte),
            DOORBELL_PORT => ring(&mut self.doorbell, byte),
            COM1.. => drop(self.log.write(register(port, COM1), byte)),
            _ => (),
        }
        Effect::None
    }
}

/// Which of a device's registers a port is.
fn register(port: u16, base: u16) -> u8 {
    port.wrapping_sub(base).to_le_bytes()[0]
}

/// A full wire has already woken its reader.
fn ring(doorbell: &mut impl Write, byte: u8) {
    let _: io::Result<usize> = doorbell.write(&[byte]);
}

#[cfg(test)]
mod tests {
    use super::{Effect, Legacy};

    fn devices() -> Legacy<Vec<u8>, Vec<u8>> {
        Legacy::new(Vec::new(), Vec::new())
    }

    fn has(port: u16) -> bool {
        Legacy::<Vec<u8>, Vec<u8>>::has(port)
    }

    #[test]
    fn the_log_the_doorbell_and_the_end() {
        let mut devices = devices();
        // As the kernel sets the line up, then a word.
        for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 7), (4, 3)] {
            devices.write(0x3f8 + register, value);
        }
        for byte in *b"hi\n" {
            assert_eq!(devices.read(0x3fd) & 0x20, 0x20);
            assert_eq!(devices.write(0x3f8, byte), Effect::None);
        }
        assert_eq!(devices.log.writer(), b"hi\n");
        assert_eq!(devices.read(0x2fd), 0x60);
        assert_eq!(devices.write(0x2f8, 1), Effect::None);
        assert_eq!(devices.write(0x2f9, 5), Effect::None);
        assert_eq!(devices.doorbell, [1]);
        assert_eq!(devices.write(0xf4, 0x20), Effect::Exit(0x20));
    }

    #[test]
    fn no_sequence_of_accesses_panics_or_grows() {
        let mut devices = devices();
        let ports = (0..=u16::MAX).filter(|&port| has(port));
        assert_eq!(ports.clone().count(), 17);
        for value in 0..=255 {
            for port in ports.clone() {
                devices.read(port);
                devices.write(port, value);
            }
        }
        assert!(devices.log.writer().len() <= 256, "only the data register sends");
    }

    #[test]
    fn a_wire_without_a_reader_is_no_matter() {
        let (_, log) = std::io::pipe()
            .map(|(reader, writer)| (drop(reader), writer))
            .unwrap();
        let (_, bell) = std::io::pipe()
            .map(|(reader, writer)| (drop(reader), writer))
            .unwrap();
        let mut devices = Legacy::new(log, bell);
        assert_eq!(devices.write(0x3f8, b'x'), Effect::None);
        assert_eq!(devices.write(0x2f8, b'x'), Effect::None);
    }
}
