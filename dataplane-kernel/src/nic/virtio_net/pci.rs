//! Finding a device's registers on PCI (virtio 1.2, sections 4.1.2 and 4.1.4): vendor-specific capabilities name parts
//! of its BARs.

use super::VirtioNet;
use super::init::{self, InitError};
use super::regs::{PciRegisters, Ranges};
use crate::hw::dma::DmaMemory;
use crate::hw::mmio::Mmio;
use crate::hw::pci::bar;
use crate::hw::pci::capability;
use crate::hw::pci::config::{Address, Command, ConfigSpace};
use crate::hw::pci::msix::Table;
use crate::hw::pci::scan::Function;
use crate::mem::{GuestPhys, frames::Frames, mbuf::Region};
use crate::nic::Wanted;
use alloc::vec::Vec;

const VENDOR: u16 = 0x1af4;

/// A network device: modern (0x1040 + 1), or transitional, which has the modern registers too.
const DEVICES: [u16; 2] = [0x1041, 0x1000];

const VENDOR_SPECIFIC: u8 = 0x09;

/// Offset in the capability of notifications of the distance between neighbouring queues' places (section 4.1.4.4).
const NOTIFY_MULTIPLIER: u8 = 16;

/// `cfg_type` of `struct virtio_pci_cap` (section 4.1.4).
mod kind {
    pub(super) const COMMON: u8 = 1;
    pub(super) const NOTIFY: u8 = 2;
    pub(super) const DEVICE: u8 = 4;
}

/// Largest BAR that is mapped. Real ones have a few pages, or a page per queue.
const MAX_BAR: u64 = 16 << 20;

/// A device at work whose registers are on PCI.
pub type PciVirtioNet = VirtioNet<PciRegisters>;

/// Brings the device at `at` up, with as many pairs of queues as are wanted if it has them, to receive into `region`; `all` are all functions there are. See [`VirtioNet::new`].
///
/// # Errors
/// [`InitError`].
pub fn open(
    config: &mut impl ConfigSpace,
    all: &[Function],
    at: Address,
    frames: &mut Frames,
    (region, entropy): (Region, u64),
    wanted: &Wanted,
) -> Result<Vec<PciVirtioNet>, InitError> {
    let mut registers = registers(config, all, at, wanted, |phys, len| Mmio::map(frames, phys, len))?;
    // Whatever somebody left it doing, it does not go on with it into our memory.
    init::reset(&mut registers)?;
    config.change_command(at, Command::BUS_MASTER, Command::empty());
    let pairs = VirtioNet::new(
        registers,
        region,
        |bytes, align| DmaMemory::alloc(frames, bytes, align),
        entropy,
        wanted,
    )?;
    if let Some(first) = pairs.first() {
        log::info!("virtio network device at {at}: {first}");
    }
    Ok(pairs)
}

/// Whether the function is a device for this driver.
pub fn is_ours(function: &Function) -> bool {
    function.endpoint && function.vendor == VENDOR && DEVICES.contains(&function.device)
}

/// Where a capability says that something lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    bar: u8,
    offset: u32,
    len: u32,
    /// Offset of the capability itself.
    capability: u8,
}

/// The first places there are of each kind (section 4.1.4.1).
#[derive(Debug, Default)]
struct Places {
    common: Option<Place>,
    notify: Option<Place>,
    device: Option<Place>,
}

/// Switches the function's memory on and finds its registers; `map` makes memory of the device reachable (physical address,
/// length), at most once per BAR. `all` are all functions there are. It may interrupt from then on, if that is `wanted`.
fn registers<C: ConfigSpace>(
    config: &mut C,
    all: &[Function],
    at: Address,
    wanted: &Wanted,
    mut map: impl FnMut(GuestPhys, u64) -> Option<Mmio>,
) -> Result<PciRegisters, InitError> {
    let Places {
        common: Some(common),
        notify: Some(notify),
        device: Some(device),
    } = places(config, at)
    else {
        return Err(InitError::Registers);
    };
    let notify_multiplier = config.read(at, notify.capability.saturating_add(NOTIFY_MULTIPLIER));
    let table = Table::find(config, at).filter(|_| wanted.alarm);
    let mut bars = [const { None }; bar::COUNT as usize];
    let mut find = |bar: u8, offset: u32, len: u32| {
        let mapped = bars.get_mut(usize::from(bar))?;
        if mapped.is_none() {
            *mapped = map_bar(config, all, at, bar, &mut map);
        }
        mapped
            .as_ref()?
            .part(usize::try_from(offset).ok()?, usize::try_from(len).ok()?)
    };
    let mut find_place = |place: Place| find(place.bar, place.offset, place.len);
    let (common, notify, config_range) = (find_place(common), find_place(notify), find_place(device));
    let table_range = table.and_then(|table| find(table.bar, table.offset, table.bytes()));
    config.change_command(at, Command::MEMORY | Command::INTX_DISABLE, Command::empty());
    let table = table.zip(table_range);
    let vectors = table.map_or_else(Vec::new, |(table, range)| table.switch_on(config, at, &range));
    let ranges = common.zip(notify).zip(config_range);
    ranges
        .and_then(|((common, notify), config)| {
            PciRegisters::new(Ranges {
                common,
                notify,
                notify_multiplier,
                config,
                vectors,
            })
        })
        .ok_or(InitError::Registers)
}

fn places<C: ConfigSpace>(config: &mut C, at: Address) -> Places {
    let mut places = Places::default();
    capability::for_each(config, at, VENDOR_SPECIFIC, |config, offset| {
        let Some((kind, place)) = read_place(config, at, offset) else {
            return;
        };
        let wanted = match kind {
            kind::COMMON => &mut places.common,
            kind::NOTIFY => &mut places.notify,
            kind::DEVICE => &mut places.device,
            _ => return,
        };
        wanted.get_or_insert(place);
    });
    places
}

/// Reads `struct virtio_pci_cap`; `None` if it leads out of configuration space, or names a BAR that is not in memory.
fn read_place(config: &mut impl ConfigSpace, at: Address, capability: u8) -> Option<(u8, Place)> {
    capability.checked_add(NOTIFY_MULTIPLIER + 3)?;
    let [_, _, _, kind] = config.read(at, capability).to_le_bytes();
    let [bar, ..] = config.read(at, capability + 4).to_le_bytes();
    let offset = config.read(at, capability + 8);
    let len = config.read(at, capability + 12);
    bar::read(config, at, bar)?;
    Some((
        kind,
        Place {
            bar,
            offset,
            len,
            capability,
        },
    ))
}

fn map_bar(
    config: &mut impl ConfigSpace,
    all: &[Function],
    at: Address,
    index: u8,
    map: &mut impl FnMut(GuestPhys, u64) -> Option<Mmio>,
) -> Option<Mmio> {
    let bar = bar::find(config, all, at, index)?;
    if bar.len > MAX_BAR {
        return None;
    }
    map(bar.base, bar.len)
}

#[cfg(test)]
mod tests {
    use super::super::regs::Registers;
    use super::{InitError, Wanted, registers};
    use crate::hw::mmio;
    use crate::hw::pci::config::{Command, ConfigSpace};
    use crate::hw::pci::fake::{FakeConfig, FakeFunction, at};
    use crate::hw::pci::scan::scan;

    /// (offset, kind, BAR, offset in the BAR, length); of [`MSIX`] the length is in vectors.
    type Capability = (u8, u8, u8, u32, u32);

    /// Not a kind of virtio's.
    const MSIX: u8 = 0xff;

    const GOOD: [Capability; 3] = [
        (0x40, 1, 4, 0, 0x38),
        (0x54, 2, 4, 0x3000, 0x1000),
        (0x70, 4, 4, 0x2000, 0x40),
    ];

    fn describe(function: &mut FakeFunction, list: &[Capability]) {
        let next = |i: usize| list.get(i + 1).map_or(0, |capability| capability.0);
        let id = |kind| if kind == MSIX { 0x11 } else { 9 };
        let links: std::vec::Vec<_> = (0..)
            .zip(list)
            .map(|(i, capability)| (capability.0, id(capability.1), next(i)))
            .collect();
        function.set_capabilities(0x40, &links);
        for &(offset, kind, bar, start, len) in list {
            if kind == MSIX {
                function.set_word(offset, (len - 1) << 16 | function.word(offset));
                function.set_word(offset + 4, start | u32::from(bar));
                continue;
            }
            function.set_word(offset, u32::from(kind) << 24 | function.word(offset));
            function.set_word(offset + 4, bar.into());
            function.set_word(offset + 8, start);
            function.set_word(offset + 12, len);
        }
    }

    fn find(list: &[Capability], base: u32) -> Result<u32, InitError> {
        find_wanting(list, base, &Wanted::default()).map(|(maps, _)| maps)
    }

    /// How many BARs were mapped, and how many interrupts there are.
    fn find_wanting(list: &[Capability], base: u32, wanted: &Wanted) -> Result<(u32, usize), InitError> {
        let mut config = FakeConfig::default();
        let function = config.endpoint(at(0, 3, 0), 0x1af4, 0x1041);
        function.set_bar(1, 0xfe10_0000, 0xffff_f000);
        function.set_bar(4, base | 0xc, 0xffff_c00c);
        function.set_bar(5, 0, u32::MAX);
        function.set_bar(0, 0xc001, 0xffff_ffe1);
        describe(function, list);
        let all = scan(&mut config);
        let mut maps = 0;
        let found = registers(&mut config, &all, at(0, 3, 0), wanted, |_, len| {
            maps += 1;
            Some(mmio::testing::registers(usize::try_from(len).unwrap()))
        });
        let command = Command::from_bits_truncate(config.read(at(0, 3, 0), 4));
        assert!(found.is_err() || command == Command::MEMORY | Command::INTX_DISABLE);
        found.map(|mut registers| (maps, registers.vectors().len()))
    }

    #[test]
    fn registers_are_found_and_their_bar_is_mapped_once() {
        assert_eq!(find(&GOOD, 0xfe00_0000), Ok(1));
        assert_eq!(find(&GOOD, 0), Ok(1), "a BAR that nobody has placed");
    }

    #[test]
    fn the_first_that_is_in_memory_is_taken() {
        let in_ports = (0xb0, 2, 0, 0, 4);
        let list = [
            (0x40, 9, 9, 0, 0),
            in_ports,
            GOOD[1],
            (0x70, 4, 4, 0x2000, 0x40),
            (0x84, 1, 4, 0, 0x38),
        ];
        assert_eq!(find(&list, 0xfe00_0000), Ok(1));
    }

    #[test]
    fn there_are_interrupts_where_they_are_wanted() {
        let wanted = Wanted {
            alarm: true,
            ..Wanted::default()
        };
        assert_eq!(find_wanting(&GOOD, 0xfe00_0000, &wanted), Ok((1, 0)));
        for (bar, offset, maps, vectors) in [(1, 0, 2, 3), (4, 0x3800, 1, 3), (4, 0x4000, 1, 0), (3, 0, 1, 0)]
        {
            let with_table = [GOOD[0], GOOD[1], GOOD[2], (0x90, MSIX, bar, offset, 3)];
            assert_eq!(
                find_wanting(&with_table, 0xfe00_0000, &wanted),
                Ok((maps, vectors)),
                "{bar}"
            );
            assert_eq!(find(&with_table, 0xfe00_0000), Ok(1), "nobody wants them");
        }
    }

    #[test]
    fn capabilities_that_lead_nowhere_are_an_error() {
        assert_eq!(find(&GOOD[..2], 0xfe00_0000), Err(InitError::Registers));
        for (which, wrong) in [
            (0, (0x40, 1, 4, 0, 0x10)),
            (0, (0x40, 1, 4, 2, 0x38)),
            (0, (0x40, 1, 0, 0, 0x38)),
            (0, (0x40, 1, 6, 0, 0x38)),
            (1, (0x54, 2, 4, 0x3000, 0x1001)),
            (1, (0x54, 2, 4, u32::MAX, u32::MAX)),
            (2, (0x70, 3, 4, 0x2000, 0x40)),
            (2, (0xf0, 4, 4, 0x2000, 0x40)),
        ] {
            let mut list = GOOD;
            list[which] = wrong;
            assert_eq!(find(&list, 0xfe00_0000), Err(InitError::Registers), "{wrong:x?}");
        }
    }
}
