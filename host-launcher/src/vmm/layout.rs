//! The guest-physical address space.
//!
//! | address | what |
//! |---|---|
//! | 0x1000 | what the loader tells the kernel: start info, memory map, module list, command line |
//! | 0xe_0000..0x10_0000 | ACPI tables |
//! | 0x10_0000 | the kernel image, where its ELF headers want it |
//! | 0xf0_0000 | the host area |
//! | top of low RAM | the app's file |
//! | 0xc000_0000 | end of low RAM; the rest is at 4 GiB |
//! | 0xd000_0000..0xe000_0000 | configuration space (ECAM) |
//! | 0xe000_0000..0xf000_0000 | memory BARs |
//! | 0xfee0_0000 | local APICs |

use std::ops::Range;

pub use super::pci::ECAM;

/// `hvm_start_info`.
pub const START_INFO: u64 = 0x1000;
/// The memory map.
pub const MEMORY_MAP: u64 = 0x1100;
/// The module list.
pub const MODULES: u64 = 0x1400;
/// The kernel's command line: up to a page, and the zero after it.
pub const COMMAND_LINE: u64 = 0x2000;

/// RAM below the hole that PCs have for adapters.
pub const CONVENTIONAL: Range<u64> = 0..0xa_0000;
/// ACPI tables, where a PC's firmware is.
pub const ACPI: Range<u64> = 0xe_0000..0x10_0000;
/// RAM above it, on which the kernel image lies.
pub const HIGH_MEMORY: u64 = 0x10_0000;
/// End of the host area, above which the app's file may lie.
pub const LOADED_END: u64 = 0x100_0000;

/// Where low RAM ends at the latest.
pub const LOW_RAM_END: u64 = 0xc000_0000;
/// Where the other RAM begins.
pub const HIGH_RAM: u64 = 1 << 32;

/// Registers of each CPU's interrupt controller.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// Three pages in which KVM on Intel keeps what it needs to run real mode.
pub const KVM_TSS: u32 = 0xfffb_d000;
/// A page in which it keeps a page table for the same.
pub const KVM_IDENTITY_MAP: u32 = 0xfffb_c000;

/// A piece of RAM: where the guest has it, and where it is in the memory file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamPiece {
    /// Guest-physical address.
    pub base: u64,
    /// Its size.
    pub bytes: u64,
    /// Offset in the file.
    pub offset: u64,
}

/// The pieces that `bytes` of RAM lie in: one, or two around the hole below 4 GiB.
#[must_use]
pub fn ram(bytes: u64) -> Vec<RamPiece> {
    let low = bytes.min(LOW_RAM_END);
    let pieces = [
        RamPiece {
            base: 0,
            bytes: low,
            offset: 0,
        },
        RamPiece {
            base: HIGH_RAM,
            bytes: bytes - low,
            offset: low,
        },
    ];
    pieces.into_iter().filter(|piece| piece.bytes != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::{ECAM, HIGH_RAM, LOW_RAM_END, ram};

    #[test]
    fn ram_makes_room_for_devices_and_loses_nothing() {
        for bytes in [64 << 20, 3 << 30, (3 << 30) + (1 << 20), 17 << 30] {
            let pieces = ram(bytes);
            assert_eq!(pieces.iter().map(|piece| piece.bytes).sum::<u64>(), bytes);
            let mut offset = 0;
            for piece in pieces {
                assert_eq!(piece.offset, offset);
                offset += piece.bytes;
                assert!(piece.base + piece.bytes <= LOW_RAM_END || piece.base >= HIGH_RAM);
            }
        }
        const { assert!(LOW_RAM_END <= ECAM.start) };
        assert_eq!(ram(256 << 20).len(), 1);
    }
}
