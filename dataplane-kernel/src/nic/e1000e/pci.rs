//! Finding a card's registers on PCI: they are all in BAR 0 (SDM, section 4.1).

use super::init::{self, InitError};
use super::regs::{self, PciRegisters};
use super::{E1000e, Model};
use crate::hw::dma::DmaMemory;
use crate::hw::mmio::Mmio;
use crate::hw::pci::bar;
use crate::hw::pci::config::{Address, Command, ConfigSpace};
use crate::hw::pci::msix::Table;
use crate::hw::pci::scan::Function;
use crate::mem::{GuestPhys, frames::Frames, mbuf::Region};
use crate::nic::Wanted;
use alloc::vec::Vec;

const VENDOR: u16 = 0x8086;

/// A card at work whose registers are on PCI.
pub type PciE1000e = E1000e<PciRegisters>;

/// Which card the function is, if it is one for this driver.
pub fn model(function: &Function) -> Option<Model> {
    match (function.endpoint, function.vendor, function.device) {
        (true, VENDOR, 0x100e) => Some(Model::I82540em),
        (true, VENDOR, 0x10d3) => Some(Model::I82574l),
        _ => None,
    }
}

/// Brings the card at `at` up, to receive into `region`; `all` are all functions there are. See [`E1000e::new`].
///
/// # Errors
/// [`InitError`].
pub fn open(
    config: &mut impl ConfigSpace,
    all: &[Function],
    (at, model): (Address, Model),
    frames: &mut Frames,
    region: Region,
    wanted: &Wanted,
) -> Result<Vec<PciE1000e>, InitError> {
    let registers = registers(config, all, at, wanted, |phys, len| Mmio::map(frames, phys, len))?;
    // Whatever somebody left it doing, it does not go on with it into our memory.
    init::reset(&registers)?;
    config.change_command(at, Command::BUS_MASTER, Command::empty());
    let memory = |bytes, align| DmaMemory::alloc(frames, bytes, align);
    let pairs = E1000e::new(registers, model, region, memory, wanted)?;
    if let Some(first) = pairs.first() {
        log::info!("network card at {at}: {first}");
    }
    Ok(pairs)
}

/// Switches the function's memory on, keeps it from ours, and finds its registers; `map` makes memory of the device
/// reachable (physical address, length). It may interrupt from then on, if that is `wanted`.
fn registers<C: ConfigSpace>(
    config: &mut C,
    all: &[Function],
    at: Address,
    wanted: &Wanted,
    mut map: impl FnMut(GuestPhys, u64) -> Option<Mmio>,
) -> Result<PciRegisters, InitError> {
    let bar = bar::find(config, all, at, 0).filter(|bar| bar.len >= regs::BYTES);
    let range = bar.and_then(|bar| map(bar.base, regs::BYTES));
    let table = Table::find(config, at).filter(|_| wanted.alarm);
    // In a BAR of its own: that of the registers has no room for it.
    let table_bar = table.and_then(|table| bar::find(config, all, at, table.bar));
    let table_range = table_bar
        .filter(|bar| bar.index != 0)
        .and_then(|bar| map(bar.base, bar.len));
    config.change_command(at, Command::MEMORY | Command::INTX_DISABLE, Command::BUS_MASTER);
    let vectors = table.zip(table_range).and_then(|(table, range)| {
        let (offset, len) = (
            usize::try_from(table.offset).ok()?,
            usize::try_from(table.bytes()).ok()?,
        );
        Some(table.switch_on(config, at, &range.part(offset, len)?))
    });
    range
        .and_then(|range| PciRegisters::new(range, vectors.unwrap_or_default()))
        .ok_or(InitError::Registers)
}

#[cfg(test)]
mod tests {
    use super::super::regs::Registers;
    use super::{InitError, Model, Wanted, model, registers};
    use crate::hw::mmio;
    use crate::hw::pci::config::{Command, ConfigSpace};
    use crate::hw::pci::fake::{FakeConfig, at};
    use crate::hw::pci::scan::scan;

    fn find(base: u32, mask: u32) -> Result<(), InitError> {
        let mut config = FakeConfig::default();
        config
            .endpoint(at(0, 3, 0), 0x8086, 0x10d3)
            .set_bar(0, base, mask);
        config.change_command(at(0, 3, 0), Command::BUS_MASTER, Command::empty());
        let all = scan(&mut config);
        let wanted = &Wanted::default();
        let found = registers(&mut config, &all, at(0, 3, 0), wanted, |_, len| {
            Some(mmio::testing::registers(usize::try_from(len).unwrap()))
        });
        let command = Command::from_bits_truncate(config.read(at(0, 3, 0), 4));
        assert_eq!(command, Command::MEMORY | Command::INTX_DISABLE);
        found.map(|_| ())
    }

    #[test]
    fn registers_are_found_in_a_bar_that_is_large_enough_and_in_memory() {
        assert_eq!(find(0xfe00_0000, 0xfffe_0000), Ok(()));
        assert_eq!(find(0, 0xfffe_0000), Ok(()), "a BAR that nobody has placed");
        assert_eq!(find(0xfe00_0000, 0xffff_0000), Err(InitError::Registers));
        assert_eq!(find(0xc001, 0xffff_ffc1), Err(InitError::Registers));
        assert_eq!(find(0, 0), Err(InitError::Registers));
    }

    #[test]
    fn there_are_interrupts_where_the_card_has_them_and_they_are_wanted() {
        for (bar, offset, alarm, expected) in [
            (3, 0, true, 5),
            (3, 0x3fc0, true, 0),
            (0, 0, true, 0),
            (3, 0, false, 0),
        ] {
            let mut config = FakeConfig::default();
            let function = config.endpoint(at(0, 3, 0), 0x8086, 0x10d3);
            function.set_bar(0, 0xfe00_0000, 0xfffe_0000);
            function.set_bar(3, 0xfe10_0000, 0xffff_c000);
            function.set_word(0xa0, 4 << 16);
            function.set_word(0xa4, offset | bar);
            function.set_capabilities(0xa0, &[(0xa0, 0x11, 0)]);
            let all = scan(&mut config);
            let wanted = Wanted {
                alarm,
                ..Wanted::default()
            };
            let found = registers(&mut config, &all, at(0, 3, 0), &wanted, |_, len| {
                Some(mmio::testing::registers(usize::try_from(len).unwrap()))
            });
            assert_eq!(found.unwrap().vectors().len(), expected, "{bar} {offset:#x}");
        }
    }

    #[test]
    fn cards_are_told_by_their_numbers() {
        let mut config = FakeConfig::default();
        for (device, id) in [(1, 0x10d3), (2, 0x100e), (3, 0x1533)] {
            config.endpoint(at(0, device, 0), 0x8086, id);
        }
        config.endpoint(at(0, 4, 0), 0x1af4, 0x100e);
        let models: std::vec::Vec<_> = scan(&mut config).iter().map(model).collect();
        assert_eq!(models, [Some(Model::I82574l), Some(Model::I82540em), None, None]);
    }
}
