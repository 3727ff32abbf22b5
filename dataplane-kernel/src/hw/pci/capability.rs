//! The list of capabilities (PCI Local Bus 3.0, section 6.7). A list that loops or leads out of its place ends.

use super::config::{Address, ConfigSpace, register};

/// Most capabilities that fit behind the header, which ends at 0x40.
const MAX_CAPABILITIES: u32 = (256 - 64) / 4;

/// First legal offset.
const FIRST: u8 = 0x40;

/// Status bit: there is a list.
const HAS_LIST: u32 = 1 << 20;

/// Calls `each` with the offset of every capability of kind `id`, in order.
pub fn for_each<C: ConfigSpace>(config: &mut C, at: Address, id: u8, mut each: impl FnMut(&mut C, u8)) {
    if config.read(at, register::COMMAND) & HAS_LIST == 0 {
        return;
    }
    let mut offset = config.read_byte(at, register::CAPABILITIES);
    for _ in 0..MAX_CAPABILITIES {
        offset &= !3;
        if offset < FIRST {
            return;
        }
        let [kind, next, ..] = config.read(at, offset).to_le_bytes();
        if kind == id {
            each(config, offset);
        }
        offset = next;
    }
}

#[cfg(test)]
mod tests {
    use super::for_each;
    use crate::hw::pci::fake::{FakeConfig, at};

    #[test]
    fn a_list_that_loops_ends() {
        let mut config = FakeConfig::default();
        let function = config.endpoint(at(0, 1, 0), 0x1af4, 0x1041);
        function.set_capabilities(0x40, &[(0x40, 9, 0x50), (0x50, 5, 0x41)]);
        let mut seen = 0;
        for_each(&mut config, at(0, 1, 0), 9, |_, offset| {
            assert_eq!(offset, 0x40);
            seen += 1;
        });
        assert!((1..=48).contains(&seen));
    }

    #[test]
    fn a_list_into_the_header_or_without_its_status_bit_is_empty() {
        let mut config = FakeConfig::default();
        config
            .endpoint(at(0, 1, 0), 0x1af4, 0x1041)
            .set_capabilities(0x10, &[(0x10, 9, 0)]);
        config.endpoint(at(0, 2, 0), 0x1af4, 0x1041).set_word(0x34, 0x40);
        for device in [1, 2, 3] {
            for_each(&mut config, at(0, device, 0), 9, |_, offset| {
                panic!("a capability at {offset:#x}")
            });
        }
    }
}
