//! Configuration space: 256 bytes per function, by the two I/O ports every PC has (PCI Local Bus 3.0, section 3.2.2.3.2).

use crate::arch::port;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// Bus, device and function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// 0 is the root bus.
    pub bus: u8,
    /// At most 31.
    pub device: u8,
    /// At most 7.
    pub function: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// Offsets of registers in configuration space, of 32 bits each.
pub mod register {
    /// Device (high half) and vendor.
    pub const ID: u8 = 0x00;
    /// Status (high half) and command.
    pub const COMMAND: u8 = 0x04;
    /// Class, subclass, programming interface, revision.
    pub const CLASS: u8 = 0x08;
    /// Its third byte is the header type.
    pub const HEADER_TYPE: u8 = 0x0c;
    /// The first of the BARs.
    pub const BAR0: u8 = 0x10;
    /// Of a bridge: primary, secondary and subordinate bus.
    pub const BUS_NUMBERS: u8 = 0x18;
    /// Its first byte is the offset of the first capability.
    pub const CAPABILITIES: u8 = 0x34;
}

bitflags::bitflags! {
    /// The command register's bits that matter here.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Command: u32 {
        /// The function answers in its I/O BARs.
        const IO = 1 << 0;
        /// The function answers in its memory BARs.
        const MEMORY = 1 << 1;
        /// The function may read and write memory.
        const BUS_MASTER = 1 << 2;
        /// The function asserts no INTx.
        const INTX_DISABLE = 1 << 10;
    }
}

/// Access to configuration space.
pub trait ConfigSpace {
    /// Reads the 32-bit register at `offset`, the low two bits of which are ignored. All ones if there is no such function.
    fn read(&mut self, at: Address, offset: u8) -> u32;

    /// Writes the 32-bit register at `offset`.
    fn write(&mut self, at: Address, offset: u8, value: u32);

    /// Reads one byte.
    fn read_byte(&mut self, at: Address, offset: u8) -> u8 {
        self.read(at, offset).to_le_bytes()[usize::from(offset & 3)]
    }

    /// Sets and clears bits of the command register; returns what was there.
    fn change_command(&mut self, at: Address, set: Command, clear: Command) -> Command {
        /// The high half is the status register, in which ones clear.
        const COMMAND_HALF: u32 = 0xffff;
        let before = self.read(at, register::COMMAND) & COMMAND_HALF;
        self.write(at, register::COMMAND, (before & !clear.bits()) | set.bits());
        Command::from_bits_retain(before)
    }
}

/// Configuration space through ports 0xcf8 and 0xcfc.
#[derive(Debug)]
pub struct Ports(());

impl Ports {
    const ADDRESS: u16 = 0xcf8;
    const DATA: u16 = 0xcfc;

    /// The only one there is, since the two ports are one transaction: `None` but for the first call.
    pub fn take() -> Option<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        (!TAKEN.swap(true, Ordering::Relaxed)).then_some(Ports(()))
    }

    fn select(at: Address, offset: u8) {
        let function = u32::from(at.device & 31) << 3 | u32::from(at.function & 7);
        let word = 1 << 31 | u32::from(at.bus) << 16 | function << 8 | u32::from(offset & !3);
        // SAFETY: selecting has no effect but on the data port, which is ours.
        unsafe { port::outl(Self::ADDRESS, word) };
    }
}

impl ConfigSpace for Ports {
    fn read(&mut self, at: Address, offset: u8) -> u32 {
        Self::select(at, offset);
        // SAFETY: reading configuration space changes nothing.
        unsafe { port::inl(Self::DATA) }
    }

    fn write(&mut self, at: Address, offset: u8, value: u32) {
        Self::select(at, offset);
        // SAFETY: the callers in this folder write BARs, the command register and Message Control of functions that have a
        // driver here, or restore what was there. Where these write as messages is `msix`'s to say: to interrupt controllers.
        unsafe { port::outl(Self::DATA, value) };
    }
}
