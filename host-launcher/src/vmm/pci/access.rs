//! The guest's ways to the bus: two ports (PCI Local Bus 3.0, section 3.2.2.3.2), configuration space as memory (ECAM, PCI
//! Express 5.0, section 7.2.2), and the memory of BARs. One model is behind all.

use super::{Bdf, CONFIG_BYTES, DecodeError, Root};
use std::ops::{Range, RangeInclusive};

/// The ports: four bytes of address, four bytes of data.
pub const PORTS: RangeInclusive<u16> = ADDRESS_PORT..=DATA_PORT + 3;

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;

/// Configuration space as memory, as the MCFG table tells it. Room for 256 buses; only bus 0 answers.
pub const ECAM: Range<u64> = 0xd000_0000..0xe000_0000;

/// Bit of the address port that makes the data port work.
const ENABLE: u32 = 1 << 31;

impl Root {
    /// The guest reads a port of [`PORTS`]. All ones where nothing answers.
    pub fn port_read(&mut self, port: u16, data: &mut [u8]) {
        data.fill(0xff);
        match (port, data.len()) {
            (ADDRESS_PORT, 4) => data.copy_from_slice(&self.selected.to_le_bytes()),
            _ => {
                if let Some((at, offset)) = self.selection(port) {
                    self.config_read(at, offset, data);
                }
            }
        }
    }

    /// The guest writes a port of [`PORTS`].
    ///
    /// # Errors
    /// [`DecodeError`], which ends the machine.
    pub fn port_write(&mut self, port: u16, data: &[u8]) -> Result<(), DecodeError> {
        match (port, data) {
            (ADDRESS_PORT, &[a, b, c, d]) => {
                self.selected = u32::from_le_bytes([a, b, c, d]);
                Ok(())
            }
            _ => match self.selection(port) {
                Some((at, offset)) => self.config_write(at, offset, data),
                None => Ok(()),
            },
        }
    }

    /// What the data port stands for; `None` if it is switched off, another bus or function is selected, or it is not the
    /// data port at all.
    fn selection(&self, port: u16) -> Option<(Bdf, u16)> {
        let within = port.checked_sub(DATA_PORT).filter(|&within| within < 4)?;
        let [register, device_function, bus, _] = self.selected.to_le_bytes();
        let ours = self.selected & ENABLE != 0 && bus == 0 && device_function & 7 == 0;
        let at = Bdf::new(device_function >> 3).filter(|_| ours)?;
        Some((at, u16::from(register & !3) | within))
    }

    /// The guest reads memory that is not RAM. All ones where nothing answers.
    pub fn memory_read(&mut self, address: u64, data: &mut [u8]) {
        match Ecam::at(address) {
            Ecam::Function(at, offset) => self.config_read(at, offset, data),
            Ecam::Nobody => data.fill(0xff),
            Ecam::Elsewhere => self.bar_read(address, data),
        }
    }

    /// The guest writes memory that is not RAM.
    ///
    /// # Errors
    /// [`DecodeError`], which ends the machine.
    pub fn memory_write(&mut self, address: u64, data: &[u8]) -> Result<(), DecodeError> {
        match Ecam::at(address) {
            Ecam::Function(at, offset) => self.config_write(at, offset, data),
            Ecam::Nobody => Ok(()),
            Ecam::Elsewhere => {
                self.bar_write(address, data);
                Ok(())
            }
        }
    }
}

/// What an address is in configuration space as memory.
enum Ecam {
    /// A place in that of a function that could be.
    Function(Bdf, u16),
    /// A bus or function that cannot be.
    Nobody,
    /// No configuration space.
    Elsewhere,
}

impl Ecam {
    fn at(address: u64) -> Self {
        let Some(offset) = address
            .checked_sub(ECAM.start)
            .filter(|_| ECAM.contains(&address))
        else {
            return Self::Elsewhere;
        };
        let function = offset / u64::from(CONFIG_BYTES);
        let within = u16::try_from(offset % u64::from(CONFIG_BYTES)).unwrap_or_default();
        let device = u8::try_from(function / 8).ok().and_then(Bdf::new);
        match device {
            Some(at) if function % 8 == 0 => Self::Function(at, within),
            _ => Self::Nobody,
        }
    }
}
