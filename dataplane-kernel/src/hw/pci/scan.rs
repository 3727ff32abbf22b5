//! All functions there are: the root bus, and what lies behind bridges that firmware has given bus numbers.

use super::config::{Address, ConfigSpace, register};
use alloc::vec::Vec;

/// A function that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where.
    pub at: Address,
    /// Who made it.
    pub vendor: u16,
    /// What the maker calls it.
    pub device: u16,
    /// An ordinary function, with six BARs (header type 0).
    pub endpoint: bool,
}

const MULTIFUNCTION: u8 = 0x80;
const BRIDGE: u8 = 1;

/// Lists them, by address on each bus.
pub fn scan(config: &mut impl ConfigSpace) -> Vec<Function> {
    let mut found = Vec::new();
    // Buses listed so far, as a bitmap: a bridge that leads back is not followed.
    let mut seen = [false; 256];
    seen[0] = true;
    let mut buses = alloc::vec![0];
    while let Some(bus) = buses.pop() {
        for device in 0..32 {
            scan_device(
                config,
                Address {
                    bus,
                    device,
                    function: 0,
                },
                &mut |config, at, function, header| {
                    found.push(function);
                    if header == BRIDGE {
                        let [_, secondary, ..] = config.read(at, register::BUS_NUMBERS).to_le_bytes();
                        if !core::mem::replace(&mut seen[usize::from(secondary)], true) {
                            buses.push(secondary);
                        }
                    }
                },
            );
        }
    }
    found
}

fn scan_device<C: ConfigSpace>(
    config: &mut C,
    first: Address,
    found: &mut impl FnMut(&mut C, Address, Function, u8),
) {
    let mut functions = 1;
    let mut index = 0;
    while index < functions {
        let at = Address {
            function: index,
            ..first
        };
        index += 1;
        let [v0, v1, d0, d1] = config.read(at, register::ID).to_le_bytes();
        let vendor = u16::from_le_bytes([v0, v1]);
        if vendor == u16::MAX {
            continue;
        }
        let header_type = config.read_byte(at, register::HEADER_TYPE + 2);
        if at.function == 0 && header_type & MULTIFUNCTION != 0 {
            functions = 8;
        }
        let header = header_type & !MULTIFUNCTION;
        let device = u16::from_le_bytes([d0, d1]);
        found(
            config,
            at,
            Function {
                at,
                vendor,
                device,
                endpoint: header == 0,
            },
            header,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::scan;
    use crate::hw::pci::fake::{FakeConfig, at};

    #[test]
    fn functions_behind_bridges_are_found_and_loops_end() {
        let mut config = FakeConfig::default();
        config.endpoint(at(0, 0, 0), 0x8086, 0x29c0);
        config.endpoint(at(0, 31, 0), 0x8086, 0x2918).header_type = 0x80;
        config.endpoint(at(0, 31, 3), 0x8086, 0x2930);
        config.bridge(at(0, 4, 0), 5);
        config.endpoint(at(5, 0, 0), 0x1af4, 0x1041);
        config.bridge(at(5, 1, 0), 0);
        config.endpoint(at(9, 0, 0), 0x1af4, 0x1041);

        let found = scan(&mut config);
        let found: std::vec::Vec<_> = found
            .iter()
            .map(|function| std::format!("{}", function.at))
            .collect();
        assert_eq!(
            found,
            ["00:00.0", "00:04.0", "00:1f.0", "00:1f.3", "05:00.0", "05:01.0"]
        );
    }
}
