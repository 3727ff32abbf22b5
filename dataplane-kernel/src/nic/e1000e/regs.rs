//! The registers (SDM, chapter 13): what a driver does to them as a trait, and their place in BAR 0.

use crate::arch::tsc;
use crate::hw::cell::Cell;
use crate::hw::mmio::Mmio;
use crate::hw::pci::msix::Vector;
use alloc::vec::Vec;
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
    /// More control; of the 82574L, how interrupts are.
    pub(super) const CTRL_EXT: Self = Register(0x0018);
    /// Interrupt cause, cleared by reading, or by writing ones.
    pub(super) const ICR: Self = Register(0x00c0);
    /// Interrupt mask: ones let causes interrupt.
    pub(super) const IMS: Self = Register(0x00d0);
    /// Interrupt mask: ones mask.
    pub(super) const IMC: Self = Register(0x00d8);
    /// The 82574L's: causes that are cleared when they have interrupted.
    pub(super) const EIAC: Self = Register(0x00dc);
    /// The 82574L's: by which vector each cause interrupts.
    pub(super) const IVAR: Self = Register(0x00e4);
    /// Receive control (13.4.22).
    pub(super) const RCTL: Self = Register(0x0100);
    /// Transmit control.
    pub(super) const TCTL: Self = Register(0x0400);
    /// Gap between frames sent.
    pub(super) const TIPG: Self = Register(0x0410);
    /// Delay of receive interrupts, which also delays the writing back of descriptors.
    pub(super) const RDTR: Self = Register(0x2820);
    /// Upper bound of that delay.
    pub(super) const RADV: Self = Register(0x282c);
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

    /// EtherType of VLAN tags.
    pub(super) const VET: Self = Register(0x0038);

    /// The 82574L's choice of a queue for each received frame.
    pub(super) const MRQC: Self = Register(0x5818);

    /// The 82574L's time between two interrupts by a vector (EITR).
    pub(super) const fn throttle(vector: u16) -> Self {
        Register(0x00e8 + 4 * vector as usize)
    }

    /// Words of its table of 128 entries, and of its key.
    pub(super) const TABLE_WORDS: usize = 32;
    pub(super) const KEY_WORDS: usize = 10;

    /// Word `index` of the table, an entry a byte (RETA).
    pub(super) const fn table(index: usize) -> Self {
        Register(0x5c00 + 4 * index)
    }

    /// Word `index` of the key (RSSRK).
    pub(super) const fn key(index: usize) -> Self {
        Register(0x5c80 + 4 * index)
    }

    /// Words of the table of multicast addresses.
    pub(super) const MULTICAST_WORDS: usize = 128;

    /// Word `index` of that table.
    pub(super) const fn multicast(index: usize) -> Self {
        Register(0x5200 + 4 * index)
    }
}

/// The registers of one queue; all queues have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue(usize);

impl Queue {
    /// The first of each direction.
    pub(super) const RX: Self = Queue(0x2800);
    pub(super) const TX: Self = Queue(0x3800);

    /// The one with this number of the same direction.
    pub(super) const fn number(self, number: u16) -> Self {
        Queue(self.0 + 0x100 * number as usize)
    }

    /// When descriptors are fetched and written back.
    pub(super) const fn control(self) -> Register {
        Register(self.0 + 0x28)
    }

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
    /// Accepts frames for any one station.
    pub(in super::super) const UPE: u32 = 1 << 3;
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

/// Bits of [`Queue::control`].
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

/// [`Register::RXCSUM`]: the hash stands in descriptors where a checksum of the whole frame could, without which the 82574L chooses
/// no queue (its datasheet, register RXCSUM).
pub(super) const REPORT_HASH: u32 = 1 << 13;

/// [`Register::VET`]: as IEEE 802.1Q has it.
pub(super) const TAG_TYPE: u32 = 0x8100;

/// [`Register::RFCTL`]: extended receive descriptors.
pub(super) const EXTENDED: u32 = 1 << 15;

/// [`Register::MRQC`]: queues are chosen by the hash over addresses and ports of TCP over IPv4, and over IPv6. The card knows no
/// such hash of UDP.
pub(super) const HASH_TCP: u32 = 1 | 1 << 16 | 1 << 18;

/// The bit of a table's entry that is the queue.
pub(super) const SECOND_QUEUE: u8 = 1 << 7;

/// [`Register::CTRL_EXT`]: interrupts are messages, and a cause that is let in is not pending from before (PBA support).
pub(super) const MESSAGES: u32 = 1 << 31;

/// Bits of the causes of interrupts ([`Register::ICR`]), and the fields of [`Register::IVAR`].
pub(super) mod cause {
    /// The receive queue with this number has a frame (RXQ0, RXQ1).
    pub(in super::super) const fn received(queue: u16) -> u32 {
        1 << (20 + queue)
    }

    /// It interrupts by this vector.
    pub(in super::super) const fn by(queue: u16, vector: u16) -> u32 {
        const VALID: u32 = 1 << 3;
        (VALID | vector as u32 & 7) << (4 * queue)
    }
}

/// [`Register::RAH`]: the address is a valid one.
pub(super) const ADDRESS_VALID: u32 = 1 << 31;

/// The tail of a queue, for the core that has the queue.
pub trait Tail {
    /// Writes it.
    fn write(&self, tail: u16);
}

/// What makes a receive queue interrupt, for the core that has the queue.
pub trait Cause {
    /// A frame that comes from now on interrupts, and one that came before does not. When this returns, the card knows.
    fn let_in(&self);

    /// No frame does.
    fn shut_out(&self);
}

/// What a driver asks of a card.
pub trait Registers {
    /// A queue's.
    type Tail: Tail;

    /// A queue's.
    type Cause: Cause;

    /// The card's interrupts: once.
    fn vectors(&mut self) -> Vec<Vector>;

    /// What makes the receive queue with this number interrupt.
    fn cause(&self, queue: u16) -> Option<Self::Cause>;

    /// Reads a register; all ones if the card is gone.
    fn read(&self, register: Register) -> u32;

    /// Writes a register.
    fn write(&self, register: Register, value: u32);

    /// The tail of a queue; `None` if there are no such registers.
    fn tail(&self, queue: Queue) -> Option<Self::Tail>;

    /// Lets a millisecond pass.
    fn wait(&self);
}

/// Registers of a card on PCI.
pub struct PciRegisters {
    range: Mmio,
    /// Until somebody takes them.
    vectors: Vec<Vector>,
}

/// A queue's tail.
#[derive(Debug)]
pub struct PciTail(Cell<u32>);

impl Tail for PciTail {
    #[inline(always)]
    fn write(&self, tail: u16) {
        self.0.write(tail.into());
    }
}

/// A receive queue's bit in these registers.
#[derive(Debug)]
pub struct PciCause {
    bit: u32,
    causes: Cell<u32>,
    mask: Cell<u32>,
    unmask: Cell<u32>,
}

impl Cause for PciCause {
    fn let_in(&self) {
        self.causes.write(self.bit);
        self.unmask.write(self.bit);
        // Writes are on their way until something is read, and what the card wrote before that answer is in memory then (PCI
        // Local Bus 3.0, section 3.2.5).
        self.unmask.read();
    }

    fn shut_out(&self) {
        self.mask.write(self.bit);
    }
}

impl fmt::Debug for PciRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciRegisters").finish_non_exhaustive()
    }
}

impl PciRegisters {
    /// `None` if the range does not hold all of them.
    pub(super) fn new(range: Mmio, vectors: Vec<Vector>) -> Option<Self> {
        let range = range.part(0, usize::try_from(BYTES).ok()?)?;
        Some(PciRegisters { range, vectors })
    }
}

impl Registers for PciRegisters {
    type Tail = PciTail;
    type Cause = PciCause;

    fn vectors(&mut self) -> Vec<Vector> {
        core::mem::take(&mut self.vectors)
    }

    fn cause(&self, queue: u16) -> Option<PciCause> {
        Some(PciCause {
            bit: cause::received(queue),
            causes: self.range.cell(Register::ICR.0)?,
            mask: self.range.cell(Register::IMC.0)?,
            unmask: self.range.cell(Register::IMS.0)?,
        })
    }

    fn read(&self, register: Register) -> u32 {
        self.range.cell(register.0).map_or(GONE, |cell| cell.read())
    }

    fn write(&self, register: Register, value: u32) {
        if let Some(cell) = self.range.cell(register.0) {
            cell.write(value);
        }
    }

    fn tail(&self, queue: Queue) -> Option<PciTail> {
        self.range.cell(queue.tail().0).map(PciTail)
    }

    fn wait(&self) {
        const MILLISECOND_NS: u64 = 1_000_000;
        let start = tsc::now_ns();
        while tsc::now_ns().wrapping_sub(start) < MILLISECOND_NS {
            core::hint::spin_loop();
        }
    }
}
