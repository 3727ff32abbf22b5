//! Interrupts as messages (MSI-X; PCI Local Bus 3.0, section 6.8.2): a table in one of a function's BARs says for each vector
//! what the function writes, and where.

use super::capability;
use super::config::{Address, ConfigSpace};
use crate::arch::smp;
use crate::arch::syscall_entry::this_core;
use crate::hw::cell::Cell;
use crate::hw::mmio::Mmio;
use alloc::vec::Vec;

const CAPABILITY: u8 = 0x11;

/// Offsets in the capability: where the table is.
const TABLE: u8 = 4;
/// Of that, the number of the BAR.
const BAR: u32 = 7;

/// Of the capability's first register, whose upper half is Message Control: the number of entries less one, no vector whatever
/// its entry says, and that the function uses them.
const SIZE_SHIFT: u32 = 16;
const SIZE: u32 = 0x7ff;
const MASK_ALL: u32 = 1 << 30;
const ENABLE: u32 = 1 << 31;

const ENTRY_BYTES: u32 = 16;

/// Vector Control: the vector sends nothing.
const MASKED: u32 = 1;

/// Where a function's table is, as its capability says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    capability: u8,
    entries: u16,
    /// The BAR in which it is.
    pub bar: u8,
    /// Its first byte there.
    pub offset: u32,
}

impl Table {
    /// Reads the capability of a function; `None` if it has none.
    pub fn find(config: &mut impl ConfigSpace, at: Address) -> Option<Self> {
        let mut found = None;
        capability::for_each(config, at, CAPABILITY, |config, capability| {
            let Some(table) = capability.checked_add(TABLE) else {
                return;
            };
            let (control, place) = (config.read(at, capability), config.read(at, table));
            #[allow(clippy::cast_possible_truncation, reason = "11 bits, 3 bits")]
            found.get_or_insert(Table {
                capability,
                entries: (control >> SIZE_SHIFT & SIZE) as u16 + 1,
                bar: (place & BAR) as u8,
                offset: place & !BAR,
            });
        });
        found
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u32 {
        ENTRY_BYTES * u32::from(self.entries)
    }

    /// Switches the vectors of the function on, all masked. `memory` is where the table is.
    pub fn switch_on(&self, config: &mut impl ConfigSpace, at: Address, memory: &Mmio) -> Vec<Vector> {
        let control = config.read(at, self.capability);
        config.write(at, self.capability, control | ENABLE | MASK_ALL);
        let vectors: Vec<_> = (0..self.entries)
            .filter_map(|number| Vector::new(memory, number))
            .collect();
        vectors.iter().for_each(|vector| vector.control.write(MASKED));
        config.write(at, self.capability, (control | ENABLE) & !MASK_ALL);
        vectors
    }
}

/// An interrupt of a function's, which any processor can be given.
#[derive(Debug)]
pub struct Vector {
    number: u16,
    address: [Cell<u32>; 2],
    data: Cell<u32>,
    control: Cell<u32>,
    /// The processor it interrupts.
    aim: Option<usize>,
}

impl Vector {
    fn new(memory: &Mmio, number: u16) -> Option<Self> {
        let entry = ENTRY_BYTES as usize * usize::from(number);
        let cell = |offset| memory.cell(entry + offset);
        Some(Vector {
            number,
            address: [cell(0)?, cell(4)?],
            data: cell(8)?,
            control: cell(12)?,
            aim: None,
        })
    }

    /// Its number, by which the function knows it.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// From now on it interrupts the processor that calls: ends its sleep, or asks for attention in ring 3. `false` if no message
    /// reaches it.
    pub fn aim_here(&mut self) -> bool {
        let processor = this_core();
        if self.aim == Some(processor) {
            return true;
        }
        let Some(message) = smp::message_to(processor) else {
            return false;
        };
        // An entry that is not masked must not be changed. What is to be sent meanwhile is sent afterwards.
        self.control.write(MASKED);
        let [low, high] = &self.address;
        low.write(message.address);
        high.write(0);
        self.data.write(message.data);
        self.control.write(0);
        self.aim = Some(processor);
        true
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Table, Vector};
    use crate::hw::mmio::{Mmio, testing};
    use crate::hw::pci::fake::{FakeConfig, at};
    use std::vec::Vec;

    /// The vectors of a function, and its table.
    pub(crate) fn vectors(count: u16) -> (Vec<Vector>, Mmio) {
        let mut config = FakeConfig::default();
        config.endpoint(at(0, 1, 0), 0x1af4, 0x1041);
        let table = Table {
            capability: 0x40,
            entries: count,
            bar: 1,
            offset: 0,
        };
        let memory = testing::registers(16 * usize::from(count));
        (table.switch_on(&mut config, at(0, 1, 0), &memory), memory)
    }

    /// What a vector sends, and where; `None`: it is masked.
    pub(crate) fn message(memory: &Mmio, number: u16) -> Option<(u64, u32)> {
        let word = |offset| {
            let cell = memory.cell::<u32>(16 * usize::from(number) + offset);
            cell.unwrap().read()
        };
        let address = u64::from(word(4)) << 32 | u64::from(word(0));
        (word(12) & 1 == 0).then(|| (address, word(8)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, testing};
    use crate::arch::syscall_entry::testing::CORE;
    use crate::hw::mmio;
    use crate::hw::pci::config::ConfigSpace;
    use crate::hw::pci::fake::{FakeConfig, at};

    const HERE: crate::hw::pci::config::Address = crate::hw::pci::config::Address {
        bus: 0,
        device: 3,
        function: 0,
    };

    fn function(capability: u8) -> FakeConfig {
        let mut config = FakeConfig::default();
        let function = config.endpoint(at(0, 3, 0), 0x8086, 0x10d3);
        function.set_word(capability, 0x0004_0000);
        function.set_word(capability.wrapping_add(4), 0x2003);
        function.set_capabilities(0x40, &[(0x40, 1, capability), (capability, 0x11, 0)]);
        config
    }

    #[test]
    fn a_table_is_where_the_capability_says() {
        let table = Table::find(&mut function(0xa0), HERE).unwrap();
        assert_eq!((table.bar, table.offset, table.bytes()), (3, 0x2000, 80));
        let mut none = FakeConfig::default();
        none.endpoint(at(0, 3, 0), 0x8086, 0x100e);
        assert_eq!(Table::find(&mut none, HERE), None);
    }

    #[test]
    fn a_capability_at_the_end_of_configuration_space_leads_nowhere() {
        assert_eq!(Table::find(&mut function(0xfc), HERE), None);
    }

    #[test]
    fn vectors_are_masked_until_they_have_an_aim() {
        let mut config = function(0xa0);
        let table = Table::find(&mut config, HERE).unwrap();
        let memory = mmio::testing::registers(80);
        let vectors = table.switch_on(&mut config, HERE, &memory);
        assert_eq!(vectors.len(), 5);
        assert_eq!(
            config.read(HERE, 0xa0),
            0x8004_0011,
            "enabled, not masked as a whole"
        );
        for (number, mut vector) in (0..).zip(vectors) {
            assert_eq!(vector.number(), number);
            assert_eq!(testing::message(&memory, number), None);
            for (core, address) in [(7, 0xfee0_7000), (2, 0xfee0_2000)] {
                CORE.set(core);
                assert!(vector.aim_here());
                assert_eq!(testing::message(&memory, number), Some((address, 0x41)));
            }
        }
    }

    #[test]
    fn a_table_that_is_longer_than_its_place_has_as_many_vectors_as_fit() {
        let mut config = function(0xa0);
        let table = Table::find(&mut config, HERE).unwrap();
        let memory = mmio::testing::registers(40);
        assert_eq!(table.switch_on(&mut config, HERE, &memory).len(), 2);
    }

    #[test]
    fn a_processor_that_no_message_reaches_is_not_aimed_at() {
        let (mut vectors, memory) = testing::vectors(1);
        CORE.set(255);
        assert!(!vectors[0].aim_here());
        assert_eq!(testing::message(&memory, 0), None);
    }
}
