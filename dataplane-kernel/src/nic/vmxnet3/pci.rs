//! Finding a device's registers on PCI: those of its queues are in BAR 0, the others in BAR 1.

use super::Vmxnet3;
use super::init::{self, InitError};
use super::regs::{self, PciRegisters};
use crate::hw::dma::DmaMemory;
use crate::hw::mmio::Mmio;
use crate::hw::pci::bar;
use crate::hw::pci::config::{Address, Command, ConfigSpace};
use crate::hw::pci::scan::Function;
use crate::mem::{GuestPhys, frames::Frames, mbuf::Region};
use crate::nic::Wanted;
use alloc::vec::Vec;

const VENDOR: u16 = 0x15ad;
const DEVICE: u16 = 0x07b0;

/// A device at work whose registers are on PCI.
pub type PciVmxnet3 = Vmxnet3<PciRegisters>;

/// Whether the function is one for this driver.
pub fn is_ours(function: &Function) -> bool {
    function.endpoint && (function.vendor, function.device) == (VENDOR, DEVICE)
}

/// Brings the device at `at` up, to receive into `region`; `all` are all functions there are. See [`Vmxnet3::new`].
///
/// # Errors
/// [`InitError`].
pub fn open(
    config: &mut impl ConfigSpace,
    all: &[Function],
    at: Address,
    frames: &mut Frames,
    region: Region,
    wanted: &Wanted,
) -> Result<Vec<PciVmxnet3>, InitError> {
    let registers = registers(config, all, at, |phys, len| Mmio::map(frames, phys, len))?;
    // Whatever somebody left it doing, it does not go on with it into our memory.
    init::reset(&registers)?;
    config.change_command(at, Command::BUS_MASTER, Command::empty());
    let memory = |bytes, align| DmaMemory::alloc(frames, bytes, align);
    let nic = Vmxnet3::new(registers, region, memory, wanted)?;
    log::info!("vmxnet3 network card at {at}: {nic}");
    Ok(Vec::from([nic]))
}

/// Switches the function's memory on, keeps it from ours, and finds its registers; `map` makes memory of the device
/// reachable (physical address, length).
fn registers<C: ConfigSpace>(
    config: &mut C,
    all: &[Function],
    at: Address,
    mut map: impl FnMut(GuestPhys, u64) -> Option<Mmio>,
) -> Result<PciRegisters, InitError> {
    let mut range = |number| {
        let bar = bar::find(config, all, at, number).filter(|bar| bar.len >= regs::BYTES);
        bar.and_then(|bar| map(bar.base, regs::BYTES))
    };
    let ranges = [range(0), range(1)];
    config.change_command(at, Command::MEMORY | Command::INTX_DISABLE, Command::BUS_MASTER);
    let [Some(queues), Some(device)] = ranges else {
        return Err(InitError::Registers);
    };
    PciRegisters::new(&queues, &device).ok_or(InitError::Registers)
}

#[cfg(test)]
mod tests {
    use super::{InitError, is_ours, registers};
    use crate::hw::mmio;
    use crate::hw::pci::config::{Command, ConfigSpace};
    use crate::hw::pci::fake::{FakeConfig, at};
    use crate::hw::pci::scan::scan;

    fn find(bars: [(u32, u32); 2]) -> Result<(), InitError> {
        let mut config = FakeConfig::default();
        let function = config.endpoint(at(0, 3, 0), 0x15ad, 0x07b0);
        for (number, (base, mask)) in (0..).zip(bars) {
            function.set_bar(number, base, mask);
        }
        config.change_command(at(0, 3, 0), Command::BUS_MASTER, Command::empty());
        let all = scan(&mut config);
        let found = registers(&mut config, &all, at(0, 3, 0), |_, len| {
            Some(mmio::testing::registers(usize::try_from(len).unwrap()))
        });
        let command = Command::from_bits_truncate(config.read(at(0, 3, 0), 4));
        assert_eq!(command, Command::MEMORY | Command::INTX_DISABLE);
        found.map(|_| ())
    }

    #[test]
    fn registers_are_found_in_two_bars_that_are_large_enough_and_in_memory() {
        let (first, second) = ((0xfe00_0000, 0xffff_f000), (0xfe00_1000, 0xffff_f000));
        assert_eq!(find([first, second]), Ok(()));
        for bad in [(0xfe00_2000, 0xffff_f800), (0xc001, 0xffff_ffc1), (0, 0)] {
            assert_eq!(find([bad, second]), Err(InitError::Registers));
            assert_eq!(find([first, bad]), Err(InitError::Registers));
        }
    }

    #[test]
    fn the_device_is_told_by_its_numbers() {
        let mut config = FakeConfig::default();
        config.endpoint(at(0, 1, 0), 0x15ad, 0x07b0);
        config.endpoint(at(0, 2, 0), 0x15ad, 0x0720);
        let ours: std::vec::Vec<_> = scan(&mut config).iter().map(is_ours).collect();
        assert_eq!(ours, [true, false]);
    }
}
