//! Bringing a device up (virtio 1.2, sections 3.1.1 and 5.1.5).

use super::control::{self, Control};
use super::device::{Device, Told};
use super::features::Feature;
use super::regs::{Doorbell, Registers, status};
use super::ring::SplitQueue;
use super::rx::Rx;
use super::tx::{MAX_CHAIN, Tx};
use super::{Doorbells, VirtioNet};
use crate::hw::dma::{DmaBuffers, DmaMemory};
use crate::hw::pci::msix::Vector;
use crate::mem::mbuf::Region;
use crate::nic::pairs::{Member, Pairs};
use crate::nic::recovery::Counters;
use crate::nic::{Health, Wanted};
use alloc::vec::Vec;
use core::fmt;

/// Largest queue that is used of what a device offers, in descriptors.
const MAX_QUEUE: u16 = 1024;

/// Smallest that is any use: a frame of the longest kind fits.
const MIN_QUEUE: u16 = MAX_CHAIN.next_power_of_two();

/// Of the queue for commands: one fits.
const MIN_CONTROL_QUEUE: u16 = 2;

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
    /// Takes a device from reset to work; gives its queue pairs, as many as are wanted if it has them. Receive buffers will lie
    /// in `region`; memory for the queues (bytes, alignment) comes from `memory`; `entropy` makes the address of a device that
    /// has none. Of what the device offers, what is `wanted` is used.
    ///
    /// # Errors
    /// [`InitError`]; the device is left in state FAILED.
    pub fn new(
        mut registers: R,
        region: Region,
        mut memory: impl FnMut(usize, usize) -> Option<DmaMemory>,
        entropy: u64,
        wanted: &Wanted,
    ) -> Result<Vec<Self>, InitError> {
        let made = bring_up(&mut registers, &mut memory, wanted);
        let Made {
            features,
            queues,
            pairs,
            control,
        } = made.inspect_err(|_| registers.set_status(status::FAILED))?;
        let (mac, mtu) = (
            features.mac(&registers, entropy),
            features.mtu(&registers, wanted),
        );
        let health = Health::of_link(features.link_up(&registers));
        let count = u16::try_from(pairs.len()).unwrap_or(1);
        let shared = Pairs::new(count, health);
        let mut nics: Vec<_> = pairs
            .into_iter()
            .map(|pair| VirtioNet {
                device: None,
                member: Member::new(&shared),
                doorbells: pair.doorbells,
                vector: pair.vector,
                features,
                rx: Rx::new(pair.rx, region, features),
                tx: pair.tx,
                mac,
                mtu,
                tx_stalls: 0,
            })
            .collect();
        let mut device = Device {
            registers,
            features,
            pairs: count,
            queues,
            control,
            rss: None,
            counters: Counters::default(),
        };
        device.start();
        if let Some(first) = nics.first_mut() {
            first.device = Some(device);
        }
        Ok(nics)
    }
}

/// Status of a device that works.
pub(super) const WORKING: u8 = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;

/// A pair of queues.
struct Pair<D> {
    rx: SplitQueue,
    /// By which that interrupts.
    vector: Option<Vector>,
    tx: Tx,
    doorbells: Doorbells<D>,
}

/// What a device becomes that does not work yet.
struct Made<D> {
    features: Feature,
    queues: Vec<Told>,
    pairs: Vec<Pair<D>>,
    control: Option<Control<D>>,
}

/// Takes memory (bytes, alignment).
trait Memory: FnMut(usize, usize) -> Option<DmaMemory> {}
impl<F: FnMut(usize, usize) -> Option<DmaMemory>> Memory for F {}

fn bring_up<R: Registers>(
    registers: &mut R,
    memory: &mut impl Memory,
    wanted: &Wanted,
) -> Result<Made<R::Doorbell>, InitError> {
    reset(registers)?;
    let features = Feature::choose(registers, wanted);
    agree(registers, features)?;
    let (all, mut queues) = (features.pairs(registers), Vec::new());
    let mut vectors = registers.vectors().into_iter();
    let mut queue = |number, least, memory: &mut _, vector: Option<Vector>| {
        let by = |vector: &Vector| registers.set_vector(number, Some(vector.number()));
        let vector = vector.filter(by);
        if vector.is_none() {
            registers.set_vector(number, None);
        }
        let (ring, doorbell) = queue(registers, (number, least), features, memory)?;
        queues.push(Told::new(number, &ring, vector.as_ref().map(Vector::number)));
        Ok((ring, doorbell, vector))
    };
    let mut pairs = Vec::new();
    for number in 0..all.min(wanted.queues.max(1)) {
        let (rx, rx_doorbell, vector) = queue(2 * number, MIN_QUEUE, memory, vectors.next())?;
        let (tx, tx_doorbell, _) = queue(2 * number + 1, MIN_QUEUE, memory, None)?;
        pairs.push(Pair {
            rx,
            vector,
            tx: with_headers(tx, memory)?,
            doorbells: Doorbells {
                rx: rx_doorbell,
                tx: tx_doorbell,
                others: Vec::new(),
            },
        });
    }
    if features.contains(Feature::RSS) {
        acquaint(&mut pairs);
    }
    let mut control = None;
    if features.contains(Feature::CTRL_VQ) {
        // Behind all pairs there are (section 5.1.2).
        let (ring, doorbell, _) = queue(2 * all, MIN_CONTROL_QUEUE, memory, None)?;
        let memory = memory(control::BYTES, control::BYTES).ok_or(InitError::NoMemory)?;
        control = Some(Control::new(ring, memory, doorbell));
    }
    Ok(Made {
        features,
        queues,
        pairs,
        control,
    })
}

/// Gives each pair the others' doorbells to receive.
fn acquaint<D: Doorbell>(pairs: &mut [Pair<D>]) {
    let all: Vec<_> = pairs.iter().map(|pair| pair.doorbells.rx.clone()).collect();
    for (own, pair) in pairs.iter_mut().enumerate() {
        let others = all.iter().enumerate().filter(|(number, _)| *number != own);
        pair.doorbells.others = others.map(|(_, doorbell)| doorbell.clone()).collect();
    }
}

fn with_headers(ring: SplitQueue, memory: &mut impl Memory) -> Result<Tx, InitError> {
    let size = ring.size();
    let headers = memory(DmaBuffers::bytes(size), DmaBuffers::BYTES);
    let headers = headers
        .and_then(|memory| memory.into_buffers(size))
        .ok_or(InitError::NoMemory)?;
    Ok(Tx::new(ring, headers))
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

/// From a reset to features that both sides have agreed on (section 3.1.1).
pub(super) fn agree(registers: &mut impl Registers, features: Feature) -> Result<(), InitError> {
    registers.set_status(status::ACKNOWLEDGE);
    registers.set_status(status::ACKNOWLEDGE | status::DRIVER);
    if !features.contains(Feature::VERSION_1) {
        return Err(InitError::NotModern);
    }
    registers.accept(features.bits());
    registers.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
    if registers.status() & status::FEATURES_OK == 0 {
        return Err(InitError::FeaturesRefused(features.bits()));
    }
    Ok(())
}

fn queue<R: Registers>(
    registers: &mut R,
    (queue, least): (u16, u16),
    features: Feature,
    memory: &mut impl Memory,
) -> Result<(SplitQueue, R::Doorbell), InitError> {
    let offered = registers.max_queue_size(queue);
    let size = offered.min(MAX_QUEUE);
    if size < least || !size.is_power_of_two() {
        return Err(InitError::Queue { queue, size: offered });
    }
    let ring = memory(SplitQueue::bytes(size), SplitQueue::ALIGN)
        .and_then(|memory| SplitQueue::new(&memory, size, features.suppression()))
        .ok_or(InitError::NoMemory)?;
    let doorbell = registers.enable_queue(queue, size, ring.addresses());
    doorbell
        .map(|doorbell| (ring, doorbell))
        .ok_or(InitError::NoDoorbell(queue))
}
