//! The registers (SDM, chapter 13): what a driver does to them as a trait, and their place in BAR 0.

use crate::arch::tsc;
use crate::hw::cell::Cell;
use crate::hw::mmio::Mmio;
use core::fmt;

/// What every register of a card that is gone reads as.
pub(super) const GONE: u32 = u32::MAX;

/// Bytes of registers: the size of BAR 0 (SDM, section 4.1).
pub(super) const BYTES: u64 = 128 << 10;

/// A register of 32 bits, by its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register(usize);

impl Register {
    /// Device control (13.4.1).
    pub(super) const CTRL: Self = Register(0x0000);
    /// Device status (13.4.2).
    pub(super) const STATUS: Self = Register(0x0008);
    /// Interrupt cause, cleared by reading.
    pub(super) const ICR: Self = Register(0x00c0);
    /// Interrupt mask: ones mask.
    pub(super) const IMC: Self = Register(0x00d8);
    /// Receive control (13.4.22).
    pub(super) const RCTL: Self = Register(0x0100);
    /// Transmit control.
    pub(super) const TCTL: Self = Register(0x0400);
    /// Gap between frames sent.
    pub(super) const TIPG: Self = Register(0x0410);
    /// Delay of receive interrupts, which also delays the writing back of descriptors.
    pub(super) const RDTR: Self = Register(0x2820);
    /// When receive descriptors are fetched and written back.
    pub(super) const RXDCTL: Self = Register(0x2828);
    /// Upper bound of that delay.
    pub(super) const RADV: Self = Register(0x282c);
    /// When transmit descriptors are fetched and written back.
    pub(super) const TXDCTL: Self = Register(0x3828);
    /// Frames with a bad FCS, since last read.
    pub(super) const CRCERRS: Self = Register(0x4000);
    /// Frames with a symbol error, since last read.
    pub(super) const RXERRC: Self = Register(0x400c);
    /// Frames that found no room, since last read.
    pub(super) const MPC: Self = Register(0x4010);
    /// Checksums of received frames.
    pub(super) const RXCSUM: Self = Register(0x5000);
    /// The 82574L's filters, and the layout of its receive descriptors.
    pub(super) const RFCTL: Self = Register(0x5008);
    /// The card's address: its first four bytes.
    pub(super) const RAL: Self = Register(0x5400);
    /// The other two, and whether there is one.
    pub(super) const RAH: Self = Register(0x5404);

    /// The 82574L's choice of a queue for each received frame.
    pub(super) const MRQC: Self = Register(0x5818);

    /// Words of the table of multicast addresses.
    pub(super) const MULTICAST_WORDS: usize = 128;

    /// Word `index` of that table.
    pub(super) const fn multicast(index: usize) -> Self {
        Register(0x5200 + 4 * index)
    }
}

/// The registers of one queue; both queues have the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue(usize);

impl Queue {
    pub(super) const RX: Self = Queue(0x2800);
    pub(super) const TX: Self = Queue(0x3800);

    /// Where the descriptors lie: the low half, then the high half.
    pub(super) const fn base(self) -> [Register; 2] {
        [Register(self.0), Register(self.0 + 4)]
    }

    /// Bytes of all descriptors.
    pub(super) const fn len(self) -> Register {
        Register(self.0 + 0x08)
    }

    /// The next descriptor for the card.
    pub(super) const fn head(self) -> Register {
        Register(self.0 + 0x10)
    }

    /// The first that is not for the card.
    pub(super) const fn tail(self) -> Register {
        Register(self.0 + 0x18)
    }
}

/// Bits of [`Register::CTRL`].
pub(super) mod ctrl {
    /// Set link up: lets the PHY's word for the link count.
    pub(in super::super) const SLU: u32 = 1 << 6;
    /// Force the speed; force full duplex. Off: the two ends of the cable agree.
    pub(in super::super) const FORCE: u32 = 1 << 11 | 1 << 12;
    /// Resets the card; reads as one until it has.
    pub(in super::super) const RST: u32 = 1 << 26;
    /// Strips and inserts VLAN tags.
    pub(in super::super) const VME: u32 = 1 << 30;
}

/// Bits of [`Register::STATUS`].
pub(super) mod status {
    /// The link is up.
    pub(in super::super) const LU: u32 = 1 << 1;
}

/// Bits of [`Register::RCTL`].
pub(super) mod rctl {
    /// Receives.
    pub(in super::super) const EN: u32 = 1 << 1;
    /// Accepts all multicasts: which of them matter the stack knows.
    pub(in super::super) const MPE: u32 = 1 << 4;
    /// Receives frames longer than 1522 bytes.
    pub(in super::super) const LPE: u32 = 1 << 5;
    /// Accepts broadcasts.
    pub(in super::super) const BAM: u32 = 1 << 15;
    /// Strips the FCS.
    pub(in super::super) const SECRC: u32 = 1 << 26;
}

/// Bits of [`Register::TCTL`].
pub(super) mod tctl {
    /// Transmits.
    pub(in super::super) const EN: u32 = 1 << 1;
    /// Pads short frames.
    pub(in super::super) const PSP: u32 = 1 << 3;
    /// Half duplex: gives up after 15 collisions; collisions come within 64 bytes.
    pub(in super::super) const COLLISIONS: u32 = 15 << 4 | 64 << 12;
}

/// Bits of [`Register::RXDCTL`] and [`Register::TXDCTL`].
pub(super) mod dctl {
    /// Write back after each descriptor.
    pub(in super::super) const WTHRESH_1: u32 = 1 << 16;
    /// Must be one on the 82574L, and only there (its datasheet, register TXDCTL).
    pub(in super::super) const COUNT_DESC: u32 = 1 << 22;
    /// Thresholds count descriptors, not cache lines.
    pub(in super::super) const GRAN: u32 = 1 << 24;
}

/// [`Register::RXCSUM`]: verify IP checksums, verify TCP and UDP checksums.
pub(super) const VERIFY_CHECKSUMS: u32 = 1 << 8 | 1 << 9;

/// [`Register::RAH`]: the address is a valid one.
pub(super) const ADDRESS_VALID: u32 = 1 << 31;

/// What a driver asks of a card.
pub trait Registers {
    /// Reads a register; all ones if the card is gone.
    fn read(&self, register: Register) -> u32;

    /// Writes a register.
    fn write(&self, register: Register, value: u32);

    /// Writes the tail of the receive queue.
    fn write_rx_tail(&self, tail: u16);

    /// Writes the tail of the transmit queue.
    fn write_tx_tail(&self, tail: u16);

    /// Lets a millisecond pass.
    fn wait(&self);
}

/// Registers of a card on PCI.
pub struct PciRegisters {
    range: Mmio,
    rx_tail: Cell<u32>,
    tx_tail: Cell<u32>,
}

impl fmt::Debug for PciRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciRegisters").finish_non_exhaustive()
    }
}

impl PciRegisters {
    /// `None` if the range does not hold all of them.
    pub(super) fn new(range: Mmio) -> Option<Self> {
        let range = range.part(0, usize::try_from(BYTES).ok()?)?;
        Some(PciRegisters {
            rx_tail: range.cell(Queue::RX.tail().0)?,
            tx_tail: range.cell(Queue::TX.tail().0)?,
            range,
        })
    }
}

impl Registers for PciRegisters {
    fn read(&self, register: Register) -> u32 {
        self.range.cell(register.0).map_or(GONE, |cell| cell.read())
    }

    fn write(&self, register: Register, value: u32) {
        if let Some(cell) = self.range.cell(register.0) {
            cell.write(value);
        }
    }

    #[inline(always)]
    fn write_rx_tail(&self, tail: u16) {
        self.rx_tail.write(tail.into());
    }

    #[inline(always)]
    fn write_tx_tail(&self, tail: u16) {
        self.tx_tail.write(tail.into());
    }

    fn wait(&self) {
        const MILLISECOND_NS: u64 = 1_000_000;
        let start = tsc::now_ns();
        while tsc::now_ns().wrapping_sub(start) < MILLISECOND_NS {
            core::hint::spin_loop();
        }
    }
}
