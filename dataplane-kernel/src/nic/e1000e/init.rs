//! Bringing a card up (SDM, chapter 14).

use super::alarm::Alarm;
use super::descriptor::{self, Layout};
use super::device::{Counters, Device, Setup};
use super::regs::{self, Queue, Register, Registers, cause, ctrl, dctl, rctl, status, tctl};
use super::ring::DescriptorRing;
use super::rx::Rx;
use super::tx::Tx;
use super::{E1000e, Model, Tails};
use crate::hw::dma::{DmaBuffers, DmaMemory};
use crate::mem::GuestPhys;
use crate::mem::mbuf::Region;
use crate::nic::pairs::{Member, Pairs};
use crate::nic::{ETHERNET_MTU, Health, JUMBO_MTU, MIN_MTU, Offloads, Wanted};
use alloc::vec::Vec;
use core::fmt;

/// Descriptors of each queue.
pub(super) const QUEUE: u16 = 512;

/// What these cards can do.
const OFFLOADS: Offloads = Offloads::RX_CHECKSUM
    .union(Offloads::TX_CHECKSUM)
    .union(Offloads::TSO)
    .union(Offloads::RSS)
    .union(Offloads::VLAN);

/// Queues of each direction that the 82574L has.
const QUEUES: u16 = 2;

/// Milliseconds that a reset, or the reading of the card's EEPROM after it, may take.
const PATIENCE_MS: u32 = 100;

/// IEEE 802.3's gap of 96 bit times, of which the card adds four bytes by itself: IPGT 8, IPGR1 8, IPGR2 6.
const GAP: u32 = 8 | 8 << 10 | 6 << 20;

/// Why a card could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// It has no registers where they should be.
    Registers,
    /// It does not come out of reset.
    NoReset,
    /// Its EEPROM holds no address for one station.
    NoAddress,
    /// Out of memory for the queues.
    NoMemory,
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InitError::Registers => "no registers in the card's BAR 0",
            InitError::NoReset => "the card does not come out of reset",
            InitError::NoAddress => "the card's EEPROM holds no valid address",
            InitError::NoMemory => "out of memory for the queues",
        })
    }
}

impl core::error::Error for InitError {}

impl<R: Registers> E1000e<R> {
    /// Takes a card from reset to work; gives its queue pairs: two if the card has them and they are wanted. Receive buffers will
    /// lie in `region`; memory for the queues (bytes, alignment) comes from `memory`. Of what the card can do, what is `wanted`
    /// is used.
    ///
    /// # Errors
    /// [`InitError`]; the card is left idle.
    pub fn new(
        mut registers: R,
        model: Model,
        region: Region,
        mut memory: impl FnMut(usize, usize) -> Option<DmaMemory>,
        wanted: &Wanted,
    ) -> Result<Vec<Self>, InitError> {
        reset(&registers)?;
        let mac = address(&registers)?;
        let mtu = wanted.mtu.unwrap_or(ETHERNET_MTU).clamp(MIN_MTU, JUMBO_MTU);
        let offloads = offloads(model, wanted);
        let vlan = wanted.vlan.filter(|_| offloads.contains(Offloads::VLAN));
        let (count, layout) = if offloads.contains(Offloads::RSS) {
            (QUEUES, Layout::Extended)
        } else {
            (1, Layout::Legacy)
        };
        let health = Health::of_link(registers.read(Register::STATUS) & status::LU != 0);
        let shared = Pairs::new(count, health);
        let (mut pairs, mut rings, mut used) = (Vec::new(), Vec::new(), Vec::new());
        let mut vectors = registers.vectors().into_iter();
        for number in 0..count {
            let (rx, tx) = (
                ring(&mut memory, layout.done())?,
                ring(&mut memory, descriptor::DONE)?,
            );
            let headers = memory(DmaBuffers::bytes(QUEUE), DmaBuffers::BYTES)
                .and_then(|memory| memory.into_buffers(QUEUE))
                .ok_or(InitError::NoMemory)?;
            let alarm = vectors
                .next()
                .zip(registers.cause(number))
                .map(|(vector, cause)| {
                    used.push(vector.number());
                    Alarm::new(vector, cause)
                });
            let tail = |queue: Queue| registers.tail(queue.number(number)).ok_or(InitError::Registers);
            rings.push([rx.base(), tx.base()]);
            pairs.push(E1000e {
                device: None,
                member: Member::new(&shared),
                tails: Tails {
                    rx: tail(Queue::RX)?,
                    tx: tail(Queue::TX)?,
                },
                alarm,
                rx: Rx::new((rx, layout), region, mtu, vlan),
                tx: Tx::new(tx, headers, vlan),
                mac,
                mtu,
                offloads,
            });
        }
        let setup = Setup {
            model,
            mtu,
            layout,
            tags: vlan.is_some(),
            promiscuous: false,
            rings,
            vectors: used,
            rss: None,
        };
        start(&registers, &setup);
        if let Some(first) = pairs.first_mut() {
            first.device = Some(Device {
                registers,
                setup,
                counters: Counters::default(),
            });
        }
        Ok(pairs)
    }
}

/// What the card does of what is wanted.
fn offloads(model: Model, wanted: &Wanted) -> Offloads {
    let mut offloads = wanted.offloads & OFFLOADS;
    if model != Model::I82574l || wanted.queues < QUEUES {
        offloads.remove(Offloads::RSS);
    }
    if wanted.vlan.is_none() {
        offloads.remove(Offloads::VLAN);
    }
    // Tagged segments have been cut by none of these cards yet.
    if !offloads.contains(Offloads::TX_CHECKSUM) || offloads.contains(Offloads::VLAN) {
        offloads.remove(Offloads::TSO);
    }
    offloads
}

/// Stops whatever the card is doing, lets what it has begun on the bus come to its end, and resets it, interrupts masked
/// (13.4.1, 14.3).
pub(super) fn reset(registers: &impl Registers) -> Result<(), InitError> {
    registers.write(Register::IMC, u32::MAX);
    registers.write(Register::RCTL, 0);
    registers.write(Register::TCTL, tctl::PSP);
    let control = registers.read(Register::CTRL);
    registers.wait();
    registers.write(Register::CTRL, control | ctrl::RST);
    for _ in 0..PATIENCE_MS {
        registers.wait();
        if registers.read(Register::CTRL) & ctrl::RST == 0 {
            registers.write(Register::IMC, u32::MAX);
            registers.read(Register::ICR);
            return Ok(());
        }
    }
    Err(InitError::NoReset)
}

/// The address that the card loads from its EEPROM after a reset (13.5.2, 13.5.3).
pub(super) fn address(registers: &impl Registers) -> Result<[u8; 6], InitError> {
    const GROUP: u8 = 1;
    for _ in 0..PATIENCE_MS {
        let high = registers.read(Register::RAH);
        if high & regs::ADDRESS_VALID != 0 {
            let [a, b, c, d] = registers.read(Register::RAL).to_le_bytes();
            let [e, f, ..] = high.to_le_bytes();
            let mac = [a, b, c, d, e, f];
            let is_station = a & GROUP == 0 && mac != [0; 6];
            return is_station.then_some(mac).ok_or(InitError::NoAddress);
        }
        registers.wait();
    }
    Err(InitError::NoAddress)
}

fn ring(
    memory: &mut impl FnMut(usize, usize) -> Option<DmaMemory>,
    done: u64,
) -> Result<DescriptorRing, InitError> {
    memory(DescriptorRing::bytes(QUEUE), DescriptorRing::ALIGN)
        .and_then(|memory| DescriptorRing::new(&memory, QUEUE, done))
        .ok_or(InitError::NoMemory)
}

/// Sets a card that was reset to work.
pub(super) fn start(registers: &impl Registers, setup: &Setup) {
    connect(registers, setup);
    route_interrupts(registers, setup);
    start_rx(registers, setup);
    start_tx(registers, setup);
}

/// Each receive queue interrupts by its vector, at once, when it is let in; then it has to be let in anew.
fn route_interrupts(registers: &impl Registers, setup: &Setup) {
    if setup.vectors.is_empty() {
        return;
    }
    let (mut routes, mut causes) = (0, 0);
    for (queue, &vector) in (0..).zip(&setup.vectors) {
        routes |= cause::by(queue, vector);
        causes |= cause::received(queue);
        registers.write(Register::throttle(vector), 0);
    }
    registers.write(Register::IVAR, routes);
    registers.write(Register::EIAC, causes);
    let control = registers.read(Register::CTRL_EXT);
    registers.write(Register::CTRL_EXT, control | regs::MESSAGES);
}

/// Lets the PHY agree on a link with its peer (14.3).
fn connect(registers: &impl Registers, setup: &Setup) {
    let tags = if setup.tags { ctrl::VME } else { 0 };
    let control = registers.read(Register::CTRL) & !(ctrl::FORCE | ctrl::VME);
    registers.write(Register::CTRL, control | ctrl::SLU | tags);
    if setup.tags {
        // As it is after a reset.
        registers.write(Register::VET, regs::TAG_TYPE);
    }
}

fn give(registers: &impl Registers, queue: Queue, base: GuestPhys) {
    #[allow(clippy::cast_possible_truncation, reason = "the low half and the high half")]
    let halves = [base.0 as u32, (base.0 >> 32) as u32];
    for (register, half) in queue.base().into_iter().zip(halves) {
        registers.write(register, half);
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most 64 KiB")]
    registers.write(queue.len(), DescriptorRing::bytes(QUEUE) as u32);
    registers.write(queue.head(), 0);
    registers.write(queue.tail(), 0);
}

/// 14.4: frames to the card's own address, multicasts and broadcasts, into buffers of 2 KiB (BSIZE 0), without their FCS, each
/// reported at once; long ones over several buffers. The queues are empty until their first tails.
fn start_rx(registers: &impl Registers, setup: &Setup) {
    for index in 0..Register::MULTICAST_WORDS {
        registers.write(Register::multicast(index), 0);
    }
    registers.write(Register::RDTR, 0);
    registers.write(Register::RADV, 0);
    if setup.model == Model::I82574l {
        // QEMU's card keeps over a reset what its last driver wanted.
        let layout = match setup.layout {
            Layout::Legacy => 0,
            Layout::Extended => regs::EXTENDED,
        };
        registers.write(Register::RFCTL, layout);
        registers.write(Register::MRQC, 0);
    }
    let hash = match setup.layout {
        Layout::Legacy => 0,
        Layout::Extended => regs::REPORT_HASH,
    };
    registers.write(Register::RXCSUM, regs::VERIFY_CHECKSUMS | hash);
    for (number, &[base, _]) in (0..).zip(&setup.rings) {
        let queue = Queue::RX.number(number);
        registers.write(queue.control(), dctl::GRAN | dctl::WTHRESH_1);
        give(registers, queue, base);
    }
    choose_queues(registers, setup);
    filter(registers, setup);
}

/// Receives from now on, and which frames (section 13.4.22).
pub(super) fn filter(registers: &impl Registers, setup: &Setup) {
    let long = if setup.mtu > ETHERNET_MTU { rctl::LPE } else { 0 };
    let all = if setup.promiscuous { rctl::UPE } else { 0 };
    registers.write(
        Register::RCTL,
        rctl::EN | rctl::MPE | rctl::BAM | rctl::SECRC | long | all,
    );
}

/// Key and table of the 82574L (its datasheet, section 7.1.11), if there are any yet; `true` if the card says that it has them.
/// Both are written while it chooses none, and so all frames come to the first queue for a moment.
pub(super) fn choose_queues(registers: &impl Registers, setup: &Setup) -> bool {
    let Some((key, table)) = &setup.rss else {
        return false;
    };
    let entries = table.map(|queue| if queue == 0 { 0 } else { regs::SECOND_QUEUE });
    let words = |bytes: &[u8], register: fn(usize) -> Register, all: &mut Vec<(Register, u32)>| {
        let (chunks, _) = bytes.as_chunks();
        all.extend(
            (0..)
                .zip(chunks)
                .map(|(place, chunk)| (register(place), u32::from_le_bytes(*chunk))),
        );
    };
    let mut all = Vec::with_capacity(Register::KEY_WORDS + Register::TABLE_WORDS + 1);
    words(key, Register::key, &mut all);
    words(&entries, Register::table, &mut all);
    all.push((Register::MRQC, regs::HASH_TCP));
    registers.write(Register::MRQC, 0);
    all.iter()
        .for_each(|&(register, value)| registers.write(register, value));
    all.iter()
        .all(|&(register, value)| registers.read(register) == value)
}

/// 14.5. With a write-back threshold of zero, a descriptor is reported as soon as it is done.
fn start_tx(registers: &impl Registers, setup: &Setup) {
    let thresholds = match setup.model {
        Model::I82540em => dctl::GRAN,
        Model::I82574l => dctl::GRAN | dctl::COUNT_DESC,
    };
    registers.write(Register::TIPG, GAP);
    for (number, &[_, base]) in (0..).zip(&setup.rings) {
        let queue = Queue::TX.number(number);
        registers.write(queue.control(), thresholds);
        give(registers, queue, base);
    }
    registers.write(Register::TCTL, tctl::EN | tctl::PSP | tctl::COLLISIONS);
}
