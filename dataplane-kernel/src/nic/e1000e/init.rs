//! Bringing a card up (SDM, chapter 14).

use super::regs::{self, Queue, Register, Registers, ctrl, dctl, rctl, status, tctl};
use super::ring::DescriptorRing;
use super::rx::Rx;
use super::tx::Tx;
use super::{Counters, E1000e, Model};
use crate::hw::dma::{DmaBuffers, DmaMemory};
use crate::mem::mbuf::Region;
use crate::nic::{ETHERNET_MTU, JUMBO_MTU, MIN_MTU, Offloads, Wanted};
use core::fmt;

/// Descriptors of each queue.
pub(super) const QUEUE: u16 = 512;

/// What these cards can do.
const OFFLOADS: Offloads = Offloads::RX_CHECKSUM
    .union(Offloads::TX_CHECKSUM)
    .union(Offloads::TSO);

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
    /// Takes a card from reset to work. Receive buffers will lie in `region`; memory for the queues (bytes, alignment)
    /// comes from `memory`. Of what the card can do, what is `wanted` is used.
    ///
    /// # Errors
    /// [`InitError`]; the card is left idle.
    pub fn new(
        registers: R,
        model: Model,
        region: Region,
        mut memory: impl FnMut(usize, usize) -> Option<DmaMemory>,
        wanted: &Wanted,
    ) -> Result<Self, InitError> {
        reset(&registers)?;
        let mac = address(&registers)?;
        let rx = ring(&mut memory)?;
        let tx = ring(&mut memory)?;
        let mut offloads = wanted.offloads & OFFLOADS;
        if !offloads.contains(Offloads::TX_CHECKSUM) {
            offloads.remove(Offloads::TSO);
        }
        let mtu = wanted.mtu.unwrap_or(ETHERNET_MTU).clamp(MIN_MTU, JUMBO_MTU);
        let headers = memory(DmaBuffers::bytes(QUEUE), DmaBuffers::BYTES)
            .and_then(|memory| memory.into_buffers(QUEUE))
            .ok_or(InitError::NoMemory)?;
        connect(&registers);
        start_rx(&registers, &rx, model, mtu);
        start_tx(&registers, &tx, model);
        Ok(E1000e {
            link_up: registers.read(Register::STATUS) & status::LU != 0,
            registers,
            model,
            rx: Rx::new(rx, region, mtu),
            tx: Tx::new(tx, headers),
            mac,
            mtu,
            offloads,
            failed: false,
            counters: Counters::default(),
        })
    }
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
fn address(registers: &impl Registers) -> Result<[u8; 6], InitError> {
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

fn ring(memory: &mut impl FnMut(usize, usize) -> Option<DmaMemory>) -> Result<DescriptorRing, InitError> {
    memory(DescriptorRing::bytes(QUEUE), DescriptorRing::ALIGN)
        .and_then(|memory| DescriptorRing::new(&memory, QUEUE))
        .ok_or(InitError::NoMemory)
}

/// Lets the PHY agree on a link with its peer (14.3), without VLAN tags.
fn connect(registers: &impl Registers) {
    let control = registers.read(Register::CTRL) & !(ctrl::FORCE | ctrl::VME);
    registers.write(Register::CTRL, control | ctrl::SLU);
}

fn give(registers: &impl Registers, queue: Queue, ring: &DescriptorRing) {
    let base = ring.base().0;
    #[allow(clippy::cast_possible_truncation, reason = "the low half and the high half")]
    let halves = [base as u32, (base >> 32) as u32];
    for (register, half) in queue.base().into_iter().zip(halves) {
        registers.write(register, half);
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most 64 KiB")]
    registers.write(queue.len(), DescriptorRing::bytes(ring.size()) as u32);
    registers.write(queue.head(), 0);
    registers.write(queue.tail(), 0);
}

/// 14.4: frames to the card's own address, multicasts and broadcasts, into buffers of 2 KiB (BSIZE 0), without their FCS, each
/// reported at once; long ones over several buffers. The queue is empty until the first tail.
fn start_rx(registers: &impl Registers, ring: &DescriptorRing, model: Model, mtu: u16) {
    for index in 0..Register::MULTICAST_WORDS {
        registers.write(Register::multicast(index), 0);
    }
    registers.write(Register::RDTR, 0);
    registers.write(Register::RADV, 0);
    registers.write(Register::RXDCTL, dctl::GRAN | dctl::WTHRESH_1);
    if model == Model::I82574l {
        // Legacy descriptors, all in the first queue. So it is after a reset, but QEMU's card keeps what its last driver
        // wanted, and Linux' wants the extended ones.
        registers.write(Register::RFCTL, 0);
        registers.write(Register::MRQC, 0);
    }
    registers.write(Register::RXCSUM, regs::VERIFY_CHECKSUMS);
    give(registers, Queue::RX, ring);
    let long = if mtu > ETHERNET_MTU { rctl::LPE } else { 0 };
    registers.write(
        Register::RCTL,
        rctl::EN | rctl::MPE | rctl::BAM | rctl::SECRC | long,
    );
}

/// 14.5. With a write-back threshold of zero, a descriptor is reported as soon as it is done.
fn start_tx(registers: &impl Registers, ring: &DescriptorRing, model: Model) {
    let thresholds = match model {
        Model::I82540em => dctl::GRAN,
        Model::I82574l => dctl::GRAN | dctl::COUNT_DESC,
    };
    registers.write(Register::TXDCTL, thresholds);
    registers.write(Register::TIPG, GAP);
    give(registers, Queue::TX, ring);
    registers.write(Register::TCTL, tctl::EN | tctl::PSP | tctl::COLLISIONS);
}
