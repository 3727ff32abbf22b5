//! The registers: what a driver does to them as a trait, and their places in BAR 0 (queues and interrupts) and BAR 1 (the device
//! as a whole). All are of 32 bits, eight bytes apart.

use crate::hw::cell::Cell;
use crate::hw::mmio::Mmio;
use core::fmt;

/// What every register of a device that is gone reads as.
pub(super) const GONE: u32 = u32::MAX;

/// Bytes of registers in each of the two BARs.
pub(super) const BYTES: u64 = 4096;

/// A register of BAR 1, by its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register(usize);

impl Register {
    /// Revisions of the device, a bit each; the one chosen.
    pub(super) const VRRS: Self = Register(0x00);
    /// The same of UPT, the interface of its queues.
    pub(super) const UVRS: Self = Register(0x08);
    /// Where the driver's shared area lies: the low half, which is written first.
    pub(super) const DSAL: Self = Register(0x10);
    /// The high half.
    pub(super) const DSAH: Self = Register(0x18);
    /// A command; what has come of it, when it is read.
    pub(super) const CMD: Self = Register(0x20);
    /// The address in use: its first four bytes, which are written first.
    pub(super) const MACL: Self = Register(0x28);
    /// The other two.
    pub(super) const MACH: Self = Register(0x30);
    /// Events, which are forgotten by writing them.
    pub(super) const ECR: Self = Register(0x40);
}

/// A register of BAR 0: how far a queue's ring was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Producer(usize);

impl Producer {
    /// Of the queue to transmit.
    pub(super) const TX: Self = Producer(0x600);
    /// Of the two rings to receive.
    pub(super) const RX: [Self; 2] = [Producer(0x800), Producer(0xa00)];
}

/// Revision 1 in [`Register::VRRS`] and [`Register::UVRS`].
pub(super) const REVISION_1: u32 = 1;

/// Values of [`Register::CMD`].
pub(super) mod command {
    /// Starts with what the shared area says; reads as zero if it has.
    pub(in super::super) const ACTIVATE: u32 = 0xcafe_0000;
    /// Stops.
    pub(in super::super) const QUIESCE: u32 = 0xcafe_0001;
    /// Forgets everything.
    pub(in super::super) const RESET: u32 = 0xcafe_0002;
    /// Reads again which frames are to be received.
    pub(in super::super) const UPDATE_RX_MODE: u32 = 0xcafe_0003;
    /// Reads again of which VLANs.
    pub(in super::super) const UPDATE_VLAN_FILTERS: u32 = 0xcafe_0005;
    /// Reads again what is to be done for the driver.
    pub(in super::super) const UPDATE_FEATURE: u32 = 0xcafe_0009;
    /// Writes statistics into the queues' descriptors.
    pub(in super::super) const GET_STATS: u32 = 0xf00d_0001;
    /// Reads as the link's state, and its speed above that.
    pub(in super::super) const GET_LINK: u32 = 0xf00d_0002;
    /// Read as the address that the device was made with: four bytes, two bytes.
    pub(in super::super) const GET_PERM_MAC_LO: u32 = 0xf00d_0003;
    /// The other two.
    pub(in super::super) const GET_PERM_MAC_HI: u32 = 0xf00d_0004;
}

/// What [`command::GET_LINK`] reads as while the link is up.
pub(super) const LINK_UP: u32 = 1;

/// Events: a queue to receive, or to transmit, has stopped for an error.
pub(super) const QUEUE_ERRORS: u32 = 1 << 0 | 1 << 1;

/// A producer register, for the core that has the queue.
pub trait Doorbell {
    /// Writes it.
    fn write(&self, place: u16);
}

/// What a driver asks of a device.
pub trait Registers {
    /// A ring's.
    type Doorbell: Doorbell;

    /// Reads a register; all ones if the device is gone.
    fn read(&self, register: Register) -> u32;

    /// Writes a register.
    fn write(&self, register: Register, value: u32);

    /// The doorbell of a ring; `None` if there is no such register.
    fn doorbell(&self, producer: Producer) -> Option<Self::Doorbell>;
}

/// Registers of a device on PCI.
pub struct PciRegisters {
    queues: Mmio,
    device: Mmio,
}

/// A producer register on PCI.
#[derive(Debug)]
pub struct PciDoorbell(Cell<u32>);

impl Doorbell for PciDoorbell {
    #[inline(always)]
    fn write(&self, place: u16) {
        self.0.write(place.into());
    }
}

impl fmt::Debug for PciRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciRegisters").finish_non_exhaustive()
    }
}

impl PciRegisters {
    /// Those in BAR 0 and BAR 1; `None` if a range does not hold all of them.
    pub(super) fn new(queues: &Mmio, device: &Mmio) -> Option<Self> {
        let bytes = usize::try_from(BYTES).ok()?;
        Some(PciRegisters {
            queues: queues.part(0, bytes)?,
            device: device.part(0, bytes)?,
        })
    }
}

impl Registers for PciRegisters {
    type Doorbell = PciDoorbell;

    fn read(&self, register: Register) -> u32 {
        self.device.cell(register.0).map_or(GONE, |cell| cell.read())
    }

    fn write(&self, register: Register, value: u32) {
        if let Some(cell) = self.device.cell(register.0) {
            cell.write(value);
        }
    }

    fn doorbell(&self, producer: Producer) -> Option<PciDoorbell> {
        self.queues.cell(producer.0).map(PciDoorbell)
    }
}
