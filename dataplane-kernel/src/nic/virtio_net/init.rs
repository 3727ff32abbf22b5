//! Bringing a device up (virtio 1.2, sections 3.1.1 and 5.1.5).

use super::features::Feature;
use super::regs::{Registers, status};
use super::ring::SplitQueue;
use super::rx::Rx;
use super::tx::{MAX_CHAIN, Tx};
use super::{Counters, RX_QUEUE, TX_QUEUE, VirtioNet};
use crate::hw::dma::{DmaBuffers, DmaMemory};
use crate::mem::mbuf::Region;
use crate::nic::Wanted;
use core::fmt;

/// Largest queue that is used of what a device offers, in descriptors.
const MAX_QUEUE: u16 = 1024;

/// Smallest that is any use: a frame of the longest kind fits.
const MIN_QUEUE: u16 = MAX_CHAIN.next_power_of_two();

/// Reads of the status register that a reset may take.
const RESET_TRIES: u32 = 1_000_000;

/// Why a device could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// It does not come out of reset.
    NoReset,
    /// A legacy device.
    NotModern,
    /// It does not take the features it offers.
    FeaturesRefused(u64),
    /// A queue is missing, or its size is not a usable one.
    Queue {
        /// Its number.
        queue: u16,
        /// Its size, as the device says.
        size: u16,
    },
    /// There is no place to notify the device of this queue.
    NoDoorbell(u16),
    /// Its capabilities do not lead to registers.
    Registers,
    /// Out of memory for the queues.
    NoMemory,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            InitError::NoReset => write!(f, "the device does not come out of reset"),
            InitError::NotModern => write!(f, "a legacy device (VIRTIO_F_VERSION_1 is not offered)"),
            InitError::FeaturesRefused(bits) => {
                write!(f, "the device refuses features {bits:#x}, which it offers")
            }
            InitError::Queue { queue, size } => write!(f, "queue {queue} of unusable size {size}"),
            InitError::NoDoorbell(queue) => write!(f, "no place to notify of queue {queue}"),
            InitError::Registers => write!(f, "no registers of a modern device in its PCI capabilities"),
            InitError::NoMemory => write!(f, "out of memory for the queues"),
        }
    }
}

impl core::error::Error for InitError {}

impl<R: Registers> VirtioNet<R> {
    /// Takes a device from reset to work. Receive buffers will lie in `region`; memory for the queues (bytes, alignment)
    /// comes from `memory`; `entropy` makes the address of a device that has none. Of what the device offers, what is
    /// `wanted` is used.
    ///
    /// # Errors
    /// [`InitError`]; the device is left in state FAILED.
    pub fn new(
        mut registers: R,
        region: Region,
        mut memory: impl FnMut(usize, usize) -> Option<DmaMemory>,
        entropy: u64,
        wanted: &Wanted,
    ) -> Result<Self, InitError> {
        let made = bring_up(&mut registers, &mut memory, wanted);
        let (features, rx, tx) = made.inspect_err(|_| registers.set_status(status::FAILED))?;
        let mut nic = VirtioNet {
            mac: features.mac(&registers, entropy),
            mtu: features.mtu(&registers, wanted),
            link_up: features.link_up(&registers),
            rx: Rx::new(rx, region, features),
            tx,
            features,
            registers,
            failed: false,
            counters: Counters::default(),
        };
        nic.registers.set_status(WORKING);
        Ok(nic)
    }
}

/// Status of a device that works.
pub(super) const WORKING: u8 = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;

fn bring_up(
    registers: &mut impl Registers,
    memory: &mut impl FnMut(usize, usize) -> Option<DmaMemory>,
    wanted: &Wanted,
) -> Result<(Feature, SplitQueue, Tx), InitError> {
    reset(registers)?;
    registers.set_status(status::ACKNOWLEDGE);
    registers.set_status(status::ACKNOWLEDGE | status::DRIVER);
    let features = negotiate(registers, wanted)?;
    let rx = queue(registers, RX_QUEUE, features, memory)?;
    let tx = queue(registers, TX_QUEUE, features, memory)?;
    let size = tx.size();
    let headers = memory(DmaBuffers::bytes(size), DmaBuffers::BYTES);
    let headers = headers
        .and_then(|memory| memory.into_buffers(size))
        .ok_or(InitError::NoMemory)?;
    Ok((features, rx, Tx::new(tx, headers)))
}

/// Section 4.1.4.3.2: a device is out of reset when its status reads zero.
pub(super) fn reset(registers: &mut impl Registers) -> Result<(), InitError> {
    registers.set_status(0);
    for _ in 0..RESET_TRIES {
        if registers.status() == 0 {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(InitError::NoReset)
}

fn negotiate(registers: &mut impl Registers, wanted: &Wanted) -> Result<Feature, InitError> {
    let features = Feature::choose(registers, wanted);
    if !features.contains(Feature::VERSION_1) {
        return Err(InitError::NotModern);
    }
    registers.accept(features.bits());
    let proposed = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
    registers.set_status(proposed);
    if registers.status() & status::FEATURES_OK == 0 {
        return Err(InitError::FeaturesRefused(features.bits()));
    }
    Ok(features)
}

fn queue(
    registers: &mut impl Registers,
    queue: u16,
    features: Feature,
    memory: &mut impl FnMut(usize, usize) -> Option<DmaMemory>,
) -> Result<SplitQueue, InitError> {
    let offered = registers.max_queue_size(queue);
    let size = offered.min(MAX_QUEUE);
    if size < MIN_QUEUE || !size.is_power_of_two() {
        return Err(InitError::Queue { queue, size: offered });
    }
    let ring = memory(SplitQueue::bytes(size), SplitQueue::ALIGN)
        .and_then(|memory| SplitQueue::new(&memory, size, features.suppression()))
        .ok_or(InitError::NoMemory)?;
    if registers.enable_queue(queue, size, ring.addresses()) {
        Ok(ring)
    } else {
        Err(InitError::NoDoorbell(queue))
    }
}
