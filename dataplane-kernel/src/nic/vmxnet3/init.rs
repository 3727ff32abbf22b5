//! Bringing a device up.

use super::Vmxnet3;
use super::descriptor::{RX_GENERATION, TX_GENERATION};
use super::device::Device;
use super::regs::{GONE, LINK_UP, Producer, REVISION_1, Register, Registers, command};
use super::ring::{self, CommandRing, CompletionRing};
use super::rx::{Expected, Rx};
use super::shared::{self, Setup, SharedArea};
use super::tx::Tx;
use crate::hw::dma::{DmaBuffers, DmaMemory};
use crate::mem::mbuf::{BUFFER_BYTES, Region};
use crate::nic::pairs::{Member, Pairs};
use crate::nic::{ETHERNET_MTU, Health, JUMBO_MTU, MAX_PARTS, MIN_MTU, Offloads, Wanted};
use core::fmt;

/// Descriptors to transmit, and of buffers in which frames start.
pub(super) const QUEUE: u16 = 512;

/// Descriptors of buffers in which long frames go on; where there are none, the least that the device takes.
pub(super) const BODIES: u16 = 1024;
const NO_BODIES: u16 = 32;

/// What the device can do. Of received frames, QEMU's hashes none and knows one queue (so does this driver).
const OFFLOADS: Offloads = Offloads::RX_CHECKSUM
    .union(Offloads::TX_CHECKSUM)
    .union(Offloads::TSO)
    .union(Offloads::LRO)
    .union(Offloads::VLAN);

/// Why a device could not be brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitError {
    /// It has no registers where they should be.
    Registers,
    /// It is not there any more.
    Gone,
    /// It does not know revision 1 of its interface.
    Revision,
    /// It has no address for one station.
    NoAddress,
    /// Out of memory for the queues.
    NoMemory,
    /// It does not start; what it says.
    Refused(u32),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            InitError::Registers => "no registers in the card's BAR 0 and BAR 1",
            InitError::Gone => "the card is gone",
            InitError::Revision => "the card does not know revision 1 of its interface",
            InitError::NoAddress => "the card has no valid address",
            InitError::NoMemory => "out of memory for the queues",
            InitError::Refused(status) => return write!(f, "the card does not start: {status:#x}"),
        })
    }
}

impl core::error::Error for InitError {}

impl<R: Registers> Vmxnet3<R> {
    /// Takes a device from reset to work; it has one queue of each kind. Receive buffers will lie in `region`; memory for the
    /// queues (bytes, alignment) comes from `memory`. Of what the device can do, what is `wanted` is used.
    ///
    /// # Errors
    /// [`InitError`]; the device is left idle.
    pub fn new(
        registers: R,
        region: Region,
        mut memory: impl FnMut(usize, usize) -> Option<DmaMemory>,
        wanted: &Wanted,
    ) -> Result<Self, InitError> {
        reset(&registers)?;
        let mac = address(&registers)?;
        let mtu = wanted.mtu.unwrap_or(ETHERNET_MTU).clamp(MIN_MTU, JUMBO_MTU);
        let offloads = offloads(wanted);
        let vlan = wanted.vlan.filter(|_| offloads.contains(Offloads::VLAN));
        let parts = most_parts(mtu, offloads);
        let bodies = if parts > 1 { BODIES } else { NO_BODIES };
        let mut memory = |bytes, align| memory(bytes, align).ok_or(InitError::NoMemory);
        let tx_ring = commands(&mut memory, QUEUE, TX_GENERATION)?;
        let tx_done = completions(&mut memory, QUEUE)?;
        let heads = commands(&mut memory, QUEUE, RX_GENERATION)?;
        let bodies = commands(&mut memory, bodies, RX_GENERATION)?;
        // There is room for all that can be reported.
        let rx_done = completions(&mut memory, (heads.size() + bodies.size()).next_power_of_two())?;
        let headers = memory(DmaBuffers::bytes(QUEUE), DmaBuffers::BYTES)?.into_buffers(QUEUE);
        let area = SharedArea::new(memory(shared::BYTES, shared::BYTES)?).ok_or(InitError::NoMemory)?;
        let setup = Setup {
            mac,
            mtu,
            offloads,
            promiscuous: false,
            parts,
            tx: [(tx_ring.base(), tx_ring.size()), (tx_done.base(), tx_done.size())],
            rx: [
                (heads.base(), heads.size()),
                (bodies.base(), bodies.size()),
                (rx_done.base(), rx_done.size()),
            ],
        };
        let expected = Expected {
            parts,
            vlan,
            verifies: offloads.contains(Offloads::RX_CHECKSUM),
        };
        let doorbell = |producer| registers.doorbell(producer).ok_or(InitError::Registers);
        let (tx_doorbell, rx_doorbells) = (
            doorbell(Producer::TX)?,
            [doorbell(Producer::RX[0])?, doorbell(Producer::RX[1])?],
        );
        let wants_rx_doorbell = area.wants_doorbell().ok_or(InitError::NoMemory)?;
        let mut device = Device::new(registers, area, setup);
        device.start()?;
        let health = Health::of_link(link_up(&device.registers));
        Ok(Vmxnet3 {
            member: Member::new(&Pairs::new(1, health)),
            tx_doorbell,
            rx_doorbells,
            wants_rx_doorbell,
            rx: Rx::new([heads, bodies], rx_done, region, expected),
            tx: Tx::new(tx_ring, tx_done, headers.ok_or(InitError::NoMemory)?, vlan),
            device,
        })
    }
}

/// What the device does of what is wanted.
fn offloads(wanted: &Wanted) -> Offloads {
    let mut offloads = wanted.offloads & OFFLOADS;
    if wanted.vlan.is_none() {
        offloads.remove(Offloads::VLAN);
    }
    // Tagged segments have been cut by no card yet.
    if !offloads.contains(Offloads::TX_CHECKSUM) || offloads.contains(Offloads::VLAN) {
        offloads.remove(Offloads::TSO);
    }
    if !offloads.contains(Offloads::RX_CHECKSUM) {
        offloads.remove(Offloads::LRO);
    }
    offloads
}

/// Most buffers of a frame that may be received.
fn most_parts(mtu: u16, offloads: Offloads) -> u16 {
    /// Headers of Ethernet and of IEEE 802.1Q.
    const HEADERS: usize = 18;
    let parts = if offloads.contains(Offloads::LRO) {
        MAX_PARTS
    } else {
        (usize::from(mtu) + HEADERS).div_ceil(BUFFER_BYTES)
    };
    u16::try_from(parts).unwrap_or(u16::MAX)
}

fn commands(
    memory: &mut impl FnMut(usize, usize) -> Result<DmaMemory, InitError>,
    size: u16,
    generation: u64,
) -> Result<CommandRing, InitError> {
    let memory = memory(ring::bytes(size), ring::ALIGN)?;
    CommandRing::new(&memory, size, generation).ok_or(InitError::NoMemory)
}

fn completions(
    memory: &mut impl FnMut(usize, usize) -> Result<DmaMemory, InitError>,
    size: u16,
) -> Result<CompletionRing, InitError> {
    let memory = memory(ring::bytes(size), ring::ALIGN)?;
    CompletionRing::new(&memory, size).ok_or(InitError::NoMemory)
}

/// Stops whatever the device is doing, and has it forget what it was told.
pub(super) fn reset(registers: &impl Registers) -> Result<(), InitError> {
    registers.write(Register::CMD, command::QUIESCE);
    registers.write(Register::CMD, command::RESET);
    if registers.read(Register::VRRS) == GONE {
        return Err(InitError::Gone);
    }
    Ok(())
}

/// The address it was made with.
fn address(registers: &impl Registers) -> Result<[u8; 6], InitError> {
    const GROUP: u8 = 1;
    let ask = |command| {
        registers.write(Register::CMD, command);
        registers.read(Register::CMD).to_le_bytes()
    };
    let [a, b, c, d] = ask(command::GET_PERM_MAC_LO);
    let [e, f, ..] = ask(command::GET_PERM_MAC_HI);
    let mac = [a, b, c, d, e, f];
    let is_station = a & GROUP == 0 && mac != [0; 6];
    is_station.then_some(mac).ok_or(InitError::NoAddress)
}

pub(super) fn link_up(registers: &impl Registers) -> bool {
    registers.write(Register::CMD, command::GET_LINK);
    registers.read(Register::CMD) & LINK_UP != 0
}

/// Sets a device that was reset to work.
pub(super) fn start(registers: &impl Registers, area: &SharedArea, setup: &Setup) -> Result<(), InitError> {
    for register in [Register::VRRS, Register::UVRS] {
        if registers.read(register) & REVISION_1 == 0 {
            return Err(InitError::Revision);
        }
        registers.write(register, REVISION_1);
    }
    area.describe(setup);
    #[allow(clippy::cast_possible_truncation, reason = "the low half and the high half")]
    let [low, high] = [area.at().0 as u32, (area.at().0 >> 32) as u32];
    registers.write(Register::DSAL, low);
    registers.write(Register::DSAH, high);
    let [a, b, c, d, e, f] = setup.mac;
    registers.write(Register::MACL, u32::from_le_bytes([a, b, c, d]));
    registers.write(Register::MACH, u32::from_le_bytes([e, f, 0, 0]));
    registers.write(Register::CMD, command::ACTIVATE);
    match registers.read(Register::CMD) {
        0 => {}
        status => return Err(InitError::Refused(status)),
    }
    registers.write(Register::CMD, command::UPDATE_VLAN_FILTERS);
    registers.write(Register::CMD, command::UPDATE_RX_MODE);
    Ok(())
}
