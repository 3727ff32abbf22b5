//! PVH's `hvm_start_info` (Xen, `xen/include/public/arch-x86/hvm/start_info.h`) with memory map, module list and command
//! line.

use super::Loaded;
use crate::vmm::Blueprint;
use crate::vmm::layout::{
    ACPI, COMMAND_LINE, CONVENTIONAL, ECAM, HIGH_MEMORY, MEMORY_MAP, MODULES, START_INFO, ram,
};
use linux_loader::loader::elf::start_info::{
    XEN_HVM_MEMMAP_TYPE_ACPI, XEN_HVM_MEMMAP_TYPE_RAM, XEN_HVM_MEMMAP_TYPE_RESERVED,
    XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use vm_memory::ByteValued;

/// The version with a memory map.
const VERSION: u32 = 1;

/// Longest command line: a page, without the zero at its end.
pub(super) const MAX_COMMAND_LINE: usize = 4095;

/// Each table's address and bytes.
pub(super) fn pieces(blueprint: &Blueprint, loaded: &Loaded, rsdp: u64) -> Vec<(u64, Vec<u8>)> {
    let map = memory_map(blueprint.memory.bytes);
    let module = hvm_modlist_entry {
        paddr: loaded.app.start,
        size: loaded.app.end - loaded.app.start,
        ..Default::default()
    };
    let info = hvm_start_info {
        magic: XEN_HVM_START_MAGIC_VALUE,
        version: VERSION,
        nr_modules: 1,
        modlist_paddr: MODULES,
        cmdline_paddr: COMMAND_LINE,
        rsdp_paddr: rsdp,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: u32::try_from(map.len()).unwrap_or(0),
        ..Default::default()
    };
    let command_line = [blueprint.cmdline.as_bytes(), &[0]].concat();
    vec![
        (START_INFO, info.as_slice().to_vec()),
        (
            MEMORY_MAP,
            map.iter().flat_map(|entry| entry.as_slice().to_vec()).collect(),
        ),
        (MODULES, module.as_slice().to_vec()),
        (COMMAND_LINE, command_line),
    ]
}

fn memory_map(bytes: u64) -> Vec<hvm_memmap_table_entry> {
    let entry = |start: u64, end: u64, type_: u32| hvm_memmap_table_entry {
        addr: start,
        size: end - start,
        type_,
        reserved: 0,
    };
    let mut map = vec![
        entry(CONVENTIONAL.start, CONVENTIONAL.end, XEN_HVM_MEMMAP_TYPE_RAM),
        entry(ACPI.start, ACPI.end, XEN_HVM_MEMMAP_TYPE_ACPI),
        entry(ECAM.start, ECAM.end, XEN_HVM_MEMMAP_TYPE_RESERVED),
    ];
    map.extend(ram(bytes).into_iter().map(|piece| {
        let start = piece.base.max(HIGH_MEMORY);
        entry(start, piece.base + piece.bytes, XEN_HVM_MEMMAP_TYPE_RAM)
    }));
    map
}

#[cfg(test)]
mod tests {
    use super::{MEMORY_MAP, MODULES, pieces};
    use crate::sys::PageKind;
    use crate::vmm::boot::Loaded;
    use crate::vmm::{Blueprint, Memory, Wires};

    fn blueprint(bytes: u64) -> Blueprint {
        Blueprint {
            memory: Memory {
                fd: 3,
                bytes,
                pages: PageKind::Transparent,
            },
            cpus: vec![None],
            devices: Vec::new(),
            kernel: "/k".into(),
            app: "/a".into(),
            cmdline: "log=warn -- echo".to_owned(),
            wires: Wires {
                log: 4,
                doorbell: 5,
                area: 6,
            },
        }
    }

    const LOADED: Loaded = Loaded {
        entry: 0x10_0000,
        app: 0x3ff_e000..0x3ff_f388,
    };

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn the_tables_are_those_of_the_protocol() {
        let pieces = pieces(&blueprint(64 << 20), &LOADED, 0xe_0000);
        let (_, info) = &pieces[0];
        assert_eq!(info.len(), 56);
        assert_eq!(info[..16], *b"\x78\xc5\x6e\x33\x01\0\0\0\0\0\0\0\x01\0\0\0");
        assert_eq!((word(info, 16), word(info, 24)), (MODULES, 0x2000));
        assert_eq!(
            (word(info, 32), word(info, 40), word(info, 48)),
            (0xe_0000, MEMORY_MAP, 4)
        );
        let module = &pieces[2].1;
        assert_eq!((word(module, 0), word(module, 8)), (0x3ff_e000, 5000));
        assert_eq!(pieces[3].1, b"log=warn -- echo\0");
    }

    #[test]
    fn tables_do_not_overlap_and_the_map_names_all_ram() {
        for bytes in [64 << 20, 8 << 30] {
            let mut pieces = pieces(&blueprint(bytes), &LOADED, 0);
            let map = pieces[1].1.clone();
            pieces.sort_by_key(|(address, _)| *address);
            for pair in pieces.windows(2) {
                assert!(pair[0].0 + pair[0].1.len() as u64 <= pair[1].0);
            }
            let ram = map.chunks(24).filter(|entry| entry[16] == 1);
            let named: u64 = ram.clone().map(|entry| word(entry, 8)).sum();
            assert_eq!(
                named,
                bytes - 0x6_0000,
                "all but what PCs have between 640 KiB and 1 MiB"
            );
            for entry in ram {
                let (start, end) = (word(entry, 0), word(entry, 0) + word(entry, 8));
                assert!(end <= 0xa_0000 || (start >= 0x10_0000 && end <= 0xc000_0000) || start >= 1 << 32);
            }
        }
    }
}
