//! The area that the driver shares with the device: what the device is to be, where its queues lie, and what it tells of itself.
//! It reads the former when it is activated; all is little endian.

use super::regs::REVISION_1;
use crate::hw::cell::{Cell, Plain};
use crate::hw::dma::DmaMemory;
use crate::mem::GuestPhys;
use crate::nic::Offloads;

/// Bytes of its memory, and their alignment.
pub(super) const BYTES: usize = 4096;

const MAGIC: u32 = 0xbabe_fee1;

/// Offsets in the area, behind a magic number.
mod offset {
    /// The driver: its version, its system, the revisions of device and UPT it speaks.
    pub(super) const SYSTEM: usize = 12;
    pub(super) const DEVICE_REVISIONS: usize = 16;
    pub(super) const UPT_REVISIONS: usize = 20;
    pub(super) const FEATURES: usize = 24;
    /// Where the queues are described, in how many bytes.
    pub(super) const QUEUES_AT: usize = 40;
    pub(super) const QUEUES_BYTES: usize = 52;
    pub(super) const MTU: usize = 56;
    /// Most buffers of a received frame.
    pub(super) const MAX_PARTS: usize = 60;
    pub(super) const TX_QUEUES: usize = 62;
    pub(super) const RX_QUEUES: usize = 63;
    pub(super) const INTERRUPTS: usize = 81;
    pub(super) const INTERRUPT_CONTROL: usize = 108;
    pub(super) const RX_MODE: usize = 120;
    /// A bit for each VLAN.
    pub(super) const VLANS: usize = 136;
    /// What has happened.
    pub(super) const EVENTS: usize = 696;
    /// Ours: one queue of each kind.
    pub(super) const TX_QUEUE: usize = 1024;
    pub(super) const RX_QUEUE: usize = TX_QUEUE + super::QUEUE_BYTES;
}

/// Bytes of a queue's description, and offsets in it.
const QUEUE_BYTES: usize = 256;

mod queue {
    /// In a queue to receive: the device wants to be told of new buffers.
    pub(super) const WANTS_DOORBELL: usize = 0;
    /// To transmit: rings of descriptors, of headers (which there are none of) and of reports.
    pub(super) const TX_RING: usize = 16;
    pub(super) const TX_DONE: usize = 32;
    pub(super) const TX_RING_SIZE: usize = 56;
    pub(super) const TX_DONE_SIZE: usize = 64;
    /// To receive: two rings of descriptors, and one of reports.
    pub(super) const RX_RINGS: [usize; 2] = [16, 24];
    pub(super) const RX_DONE: usize = 32;
    pub(super) const RX_RING_SIZES: [usize; 2] = [56, 60];
    pub(super) const RX_DONE_SIZE: usize = 64;
    /// The last two of the statistics: what did not work.
    pub(super) const FAILURES: [usize; 2] = [152, 160];
}

/// A system of 64 bits that the device knows nothing else of.
const UNKNOWN_64_BIT: u32 = 2;

/// The device needs one, although it is masked for ever.
const ONE_INTERRUPT: u8 = 1;
const ALL_MASKED: u32 = 1;

/// Features (UPT): verified checksums, tags taken off, merged segments.
const FEATURES: [(Offloads, u64); 3] = [
    (Offloads::RX_CHECKSUM, 1 << 0),
    (Offloads::VLAN, 1 << 2),
    (Offloads::LRO, 1 << 3),
];

/// Frames to the device's own address, to all, and to any group: which of those matter the stack knows.
const RX_MODE: u32 = 1 << 0 | 1 << 2 | 1 << 3;

/// Frames to any station as well.
const PROMISCUOUS: u32 = 1 << 4;

/// Where a ring lies, and its entries.
pub(super) type Place = (GuestPhys, u16);

/// What the device is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) mac: [u8; 6],
    pub(super) mtu: u16,
    pub(super) offloads: Offloads,
    /// It takes frames for any station.
    pub(super) promiscuous: bool,
    /// Most buffers of a received frame.
    pub(super) parts: u16,
    /// Rings of the queue to transmit: descriptors, reports.
    pub(super) tx: [Place; 2],
    /// Rings of the queue to receive: descriptors of buffers in which a frame may start, of others, reports.
    pub(super) rx: [Place; 3],
}

/// What the device counts of what did not work, since it was activated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    /// Frames it could not send, and frames it did not want to.
    pub(super) tx_errors: u64,
    pub(super) tx_discarded: u64,
    /// Frames that found no buffers, and frames that were damaged.
    pub(super) rx_no_buffer: u64,
    pub(super) rx_errors: u64,
}

#[derive(Debug)]
pub(super) struct SharedArea(DmaMemory);

impl SharedArea {
    /// `None` if the memory is not as large, or not aligned to as much.
    pub(super) fn new(memory: DmaMemory) -> Option<Self> {
        memory.cell::<u64>(BYTES - size_of::<u64>())?;
        Some(SharedArea(memory))
    }

    pub(super) fn at(&self) -> GuestPhys {
        self.0.phys(0)
    }

    fn put<T: Plain>(&self, offset: usize, value: T) {
        if let Some(cell) = self.0.cell(offset) {
            cell.write(value);
        }
    }

    /// Says what the device is to be, for when it is activated.
    pub(super) fn describe(&self, setup: &Setup) {
        (0..BYTES)
            .step_by(size_of::<u64>())
            .for_each(|at| self.put(at, 0_u64));
        self.put(0, MAGIC);
        self.put(offset::SYSTEM, UNKNOWN_64_BIT);
        self.put(offset::DEVICE_REVISIONS, REVISION_1);
        self.put(offset::UPT_REVISIONS, REVISION_1);
        self.put(offset::QUEUES_AT, self.0.phys(offset::TX_QUEUE).0);
        #[allow(clippy::cast_possible_truncation, reason = "512")]
        self.put(offset::QUEUES_BYTES, 2 * QUEUE_BYTES as u32);
        self.put(offset::MTU, u32::from(setup.mtu));
        self.put(offset::MAX_PARTS, setup.parts);
        self.put(offset::TX_QUEUES, 1_u8);
        self.put(offset::RX_QUEUES, 1_u8);
        self.put(offset::INTERRUPTS, ONE_INTERRUPT);
        self.put(offset::INTERRUPT_CONTROL, ALL_MASKED);
        // Of all VLANs: what is not on ours is counted where it is dropped.
        (0..512 / 8).for_each(|word| self.put(offset::VLANS + 8 * word, u64::MAX));
        self.describe_what_may_change(setup);
        self.describe_queues(setup);
    }

    /// Says of what the device is to be what it reads again when it is told to.
    pub(super) fn describe_what_may_change(&self, setup: &Setup) {
        let features = FEATURES
            .iter()
            .filter(|(offload, _)| setup.offloads.contains(*offload));
        self.put(
            offset::FEATURES,
            features.fold(0, |all, (_, feature)| all | feature),
        );
        let all = if setup.promiscuous { PROMISCUOUS } else { 0 };
        self.put(offset::RX_MODE, RX_MODE | all);
    }

    fn describe_queues(&self, setup: &Setup) {
        let ring = |queue: usize, at: usize, size: usize, (base, entries): Place| {
            self.put(queue + at, base.0);
            self.put(queue + size, u32::from(entries));
        };
        let ([tx, tx_done], [heads, bodies, rx_done]) = (setup.tx, setup.rx);
        ring(offset::TX_QUEUE, queue::TX_RING, queue::TX_RING_SIZE, tx);
        ring(offset::TX_QUEUE, queue::TX_DONE, queue::TX_DONE_SIZE, tx_done);
        let rings = queue::RX_RINGS.into_iter().zip(queue::RX_RING_SIZES);
        for ((at, size), place) in rings.zip([heads, bodies]) {
            ring(offset::RX_QUEUE, at, size, place);
        }
        ring(offset::RX_QUEUE, queue::RX_DONE, queue::RX_DONE_SIZE, rx_done);
    }

    /// What has happened.
    pub(super) fn events(&self) -> u32 {
        self.0.cell(offset::EVENTS).map_or(0, |cell| cell.read())
    }

    /// Whether the device wants to be told of new buffers, for the core that posts them.
    pub(super) fn wants_doorbell(&self) -> Option<Cell<u8>> {
        self.0.cell(offset::RX_QUEUE + queue::WANTS_DOORBELL)
    }

    fn failure(&self, queue: usize, number: usize) -> Option<Cell<u64>> {
        self.0.cell(queue + queue::FAILURES.get(number)?)
    }

    /// Makes it known when the device writes statistics: until then, there are none.
    pub(super) fn forget_failures(&self) {
        if let Some(cell) = self.failure(offset::RX_QUEUE, 0) {
            cell.write(u64::MAX);
        }
    }

    /// What the device counts, if it has written it.
    pub(super) fn failures(&self) -> Option<Failures> {
        let read = |queue, number| Some(self.failure(queue, number)?.read());
        let rx_no_buffer = read(offset::RX_QUEUE, 0)?;
        (rx_no_buffer != u64::MAX).then_some(Failures {
            tx_errors: read(offset::TX_QUEUE, 0)?,
            tx_discarded: read(offset::TX_QUEUE, 1)?,
            rx_no_buffer,
            rx_errors: read(offset::RX_QUEUE, 1)?,
        })
    }
}
