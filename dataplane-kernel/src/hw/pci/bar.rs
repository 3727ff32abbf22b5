//! Where the registers of a function lie (PCI Local Bus 3.0, section 6.2.5.1).

use super::config::{Address, Command, ConfigSpace, register};
use super::scan::Function;
use crate::mem::GuestPhys;
use core::ops::Range;

/// BARs of an ordinary function.
pub const COUNT: u8 = 6;

const IO: u32 = 1;
const KIND: u32 = 6;
const KIND_64: u32 = 4;
const MEMORY_FLAGS: u32 = 0xf;

/// A range of memory that a function answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its number; one of 64 bits takes the next number too.
    pub index: u8,
    /// Where it lies; zero if it was not placed.
    pub base: GuestPhys,
    /// Its size in bytes, a power of two.
    pub len: u64,
    wide: bool,
}

fn offset(index: u8) -> u8 {
    register::BAR0 + 4 * index
}

/// Reads memory BAR `index`. `None` if it is not there, lies in I/O space, or is the second half of another.
pub fn read(config: &mut impl ConfigSpace, at: Address, index: u8) -> Option<Bar> {
    let mut wanted = None;
    for_each(config, at, |_, bar| {
        if bar.index == index {
            wanted = Some(bar);
        }
    });
    wanted
}

/// Reads memory BAR `index`, and places it if nobody has.
pub fn find(config: &mut impl ConfigSpace, all: &[Function], at: Address, index: u8) -> Option<Bar> {
    let bar = read(config, at, index)?;
    if bar.base.0 == 0 {
        place(config, all, at, bar)
    } else {
        Some(bar)
    }
}

/// Calls `each` with every memory BAR.
fn for_each<C: ConfigSpace>(config: &mut C, at: Address, mut each: impl FnMut(&mut C, Bar)) {
    let mut index = 0;
    while index < COUNT {
        let low = config.read(at, offset(index));
        let wide = low & IO == 0 && low & KIND == KIND_64 && index + 1 < COUNT;
        if low & IO == 0
            && let Some(bar) = measure(config, at, index, wide)
        {
            each(config, bar);
        }
        index += if wide { 2 } else { 1 };
    }
}

/// Writes ones and sees which stick, while the function does not decode.
fn measure(config: &mut impl ConfigSpace, at: Address, index: u8, wide: bool) -> Option<Bar> {
    let command = config.change_command(at, Command::empty(), Command::IO | Command::MEMORY);
    let (low, low_mask) = probe(config, at, offset(index));
    let (high, high_mask) = if wide {
        probe(config, at, offset(index + 1))
    } else {
        (0, u32::MAX)
    };
    config.change_command(at, command, Command::empty());
    let low_mask = low_mask & !MEMORY_FLAGS;
    if low_mask == 0 && !(wide && high_mask != 0) {
        return None;
    }
    let mask = u64::from(high_mask) << 32 | u64::from(low_mask);
    let base = u64::from(high) << 32 | u64::from(low & !MEMORY_FLAGS);
    Some(Bar {
        index,
        base: GuestPhys(base),
        len: mask & mask.wrapping_neg(),
        wide,
    })
}

/// A register's value, and which of its bits can be set.
fn probe(config: &mut impl ConfigSpace, at: Address, offset: u8) -> (u32, u32) {
    let value = config.read(at, offset);
    config.write(at, offset, u32::MAX);
    let mask = config.read(at, offset);
    config.write(at, offset, value);
    (value, mask)
}

/// Where BARs go that nobody has placed: below 4 GiB, above any RAM there, below the interrupt controllers.
pub const WINDOW: Range<u64> = 0xe000_0000..0xf000_0000;

/// Places a BAR that has no place, behind all that the functions of the root bus have in [`WINDOW`]. `None` if it is
/// behind a bridge, or there is no room.
pub fn place(config: &mut impl ConfigSpace, all: &[Function], at: Address, bar: Bar) -> Option<Bar> {
    if at.bus != 0 {
        return None;
    }
    let mut start = WINDOW.start;
    for function in all.iter().filter(|function| function.endpoint) {
        for_each(config, function.at, |_, other| {
            if WINDOW.contains(&other.base.0) {
                start = start.max(other.base.0.saturating_add(other.len));
            }
        });
    }
    let base = start.checked_next_multiple_of(bar.len)?;
    let end = base.checked_add(bar.len)?;
    let low = u32::try_from(base).ok().filter(|_| end <= WINDOW.end)?;
    config.write(at, offset(bar.index), low);
    if bar.wide {
        config.write(at, offset(bar.index + 1), 0);
    }
    Some(Bar {
        base: GuestPhys(base),
        ..bar
    })
}

#[cfg(test)]
mod tests {
    use super::{WINDOW, place, read};
    use crate::hw::pci::config::{Command, ConfigSpace};
    use crate::hw::pci::fake::{FakeConfig, at};
    use crate::hw::pci::scan::scan;

    #[test]
    fn bars_are_measured_and_left_as_they_were() {
        let mut config = FakeConfig::default();
        let nic = config.endpoint(at(0, 2, 0), 0x1af4, 0x1041);
        nic.set_bar(0, 0xc001, 0xffff_ffe1);
        nic.set_bar(1, 0xfebd_1000, 0xffff_f000);
        nic.set_bar(4, 0x8000_000c, 0xffff_c00c);
        nic.set_bar(5, 0x9, 0xffff_ffff);
        config.change_command(at(0, 2, 0), Command::MEMORY, Command::empty());

        let bar = read(&mut config, at(0, 2, 0), 4).unwrap();
        assert_eq!((bar.base.0, bar.len), (0x9_8000_0000, 0x4000));
        let bar = read(&mut config, at(0, 2, 0), 1).unwrap();
        assert_eq!((bar.base.0, bar.len), (0xfebd_1000, 0x1000));
        for index in [0, 2, 3, 5, 6, 255] {
            assert_eq!(read(&mut config, at(0, 2, 0), index), None, "BAR {index}");
        }
        assert_eq!(config.read(at(0, 2, 0), 0x14), 0xfebd_1000);
        assert_eq!(config.read(at(0, 2, 0), 0x20), 0x8000_000c);
        assert_eq!(config.read(at(0, 2, 0), 0x24), 0x9);
        assert_eq!(config.read(at(0, 2, 0), 0x04) & 0xffff, Command::MEMORY.bits());
    }

    #[test]
    fn a_bar_without_a_place_gets_one_behind_the_others() {
        let mut config = FakeConfig::default();
        config
            .endpoint(at(0, 1, 0), 0x8086, 1)
            .set_bar(0, 0xe000_1000, 0xffff_f000);
        let nic = config.endpoint(at(0, 2, 0), 0x1af4, 0x1041);
        nic.set_bar(4, 0x0000_000c, 0xffff_c00c);
        nic.set_bar(5, 0, 0xffff_ffff);

        let all = scan(&mut config);
        let unplaced = read(&mut config, at(0, 2, 0), 4).unwrap();
        let placed = place(&mut config, &all, at(0, 2, 0), unplaced).unwrap();
        assert_eq!(placed.base.0, 0xe000_4000);
        assert_eq!(read(&mut config, at(0, 2, 0), 4), Some(placed));

        let huge = super::Bar {
            len: WINDOW.end - WINDOW.start,
            ..placed
        };
        assert_eq!(place(&mut config, &all, at(0, 2, 0), huge), None);
        assert_eq!(place(&mut config, &all, at(1, 2, 0), unplaced), None);
    }
}
