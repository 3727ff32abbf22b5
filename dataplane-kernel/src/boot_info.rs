//! What the loader tells: PVH's `hvm_start_info` (Xen, `xen/include/public/arch-x86/hvm/start_info.h`) with the memory
//! map, the module that is the app, and the command line.
#![allow(
    unsafe_code,
    reason = "the loader's tables are found by their physical addresses"
)]

use crate::acpi::{self, Processors};
use crate::mem::frames::Frames;
use crate::mem::ranges::Ranges;
use crate::mem::{GuestPhys, PAGE_BYTES, direct};
use crate::settings::Settings;
use core::fmt;
use core::ops::Range;

/// All the rest of the kernel starts with.
#[derive(Debug)]
pub struct BootInfo {
    /// Free physical memory.
    pub frames: Frames,
    /// The app's file, if there is one.
    pub module: Option<&'static [u8]>,
    /// The command line.
    pub settings: Settings,
}

const MAGIC: u32 = 0x336e_c578;
const TYPE_RAM: u32 = 1;

/// Where a PC's conventional memory ends.
const LOW_END: u64 = 0xa_0000;

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ModuleEntry {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MemoryMapEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// Why the loader's tables cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineError {
    /// They are not PVH's.
    Magic,
    /// They are older than memory maps (version 0), or the map is empty.
    NoMemoryMap,
}

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            MachineError::Magic => "the loader has not passed a PVH start info",
            MachineError::NoMemoryMap => "the loader has not passed a memory map",
        })
    }
}

/// The machine as the loader describes it.
#[derive(Debug)]
pub struct Machine {
    /// RAM.
    pub ram: Ranges,
    /// What the loader has put into RAM.
    taken: [Range<u64>; 5],
    module: Option<Range<u64>>,
    /// Its processors.
    pub processors: Processors,
    /// The command line; empty if there is none, or it is not text.
    pub command_line: &'static str,
}

impl Machine {
    /// Reads the tables.
    ///
    /// # Errors
    /// See [`MachineError`].
    ///
    /// # Safety
    /// `start_info` must be what a PVH loader has passed, with all it points to mapped, unchanged from now on.
    pub unsafe fn read(start_info: GuestPhys) -> Result<Machine, MachineError> {
        // SAFETY: the caller's promise; the tables consist of integers.
        let info = unsafe { direct(start_info).cast::<StartInfo>().read_unaligned() };
        if info.magic != MAGIC {
            return Err(MachineError::Magic);
        }
        if info.version == 0 || info.memory_map_entries == 0 {
            return Err(MachineError::NoMemoryMap);
        }
        // SAFETY: as above.
        let map = (0..info.memory_map_entries).map(|index| unsafe { table_entry(info.memory_map, index) });
        // SAFETY: as above.
        let module = (info.modules > 0).then(|| unsafe { table_entry::<ModuleEntry>(info.module_list, 0) });
        // SAFETY: as above.
        let command_line = unsafe { text(info.command_line) };
        let module = module.map(|module| module.address..module.address.saturating_add(module.size));
        let sized = |start: u64, bytes: usize| start..start.saturating_add(bytes as u64);
        let taken = [
            sized(start_info.0, size_of::<StartInfo>()),
            sized(
                info.memory_map,
                info.memory_map_entries as usize * size_of::<MemoryMapEntry>(),
            ),
            sized(info.module_list, info.modules as usize * size_of::<ModuleEntry>()),
            sized(info.command_line, command_line.len() + 1),
            module.clone().unwrap_or_default(),
        ];
        Ok(Machine {
            ram: usable(map),
            taken,
            module,
            // SAFETY: as above.
            processors: unsafe { acpi::processors(info.rsdp) },
            command_line,
        })
    }

    /// Ranges the loader has put something into.
    pub fn taken(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.taken.iter().filter(|range| !range.is_empty()).cloned()
    }

    /// A page below 1 MiB where the loader has put nothing; the first page is the firmware's.
    pub fn low_page(&self) -> Option<GuestPhys> {
        let mut pages = (1..LOW_END / PAGE_BYTES).map(|page| page * PAGE_BYTES..(page + 1) * PAGE_BYTES);
        let is_free = |page: &Range<u64>| {
            self.taken()
                .all(|taken| taken.end <= page.start || page.end <= taken.start)
        };
        pages
            .find(|page| self.ram.contains(page) && is_free(page))
            .map(|page| GuestPhys(page.start))
    }

    /// The first module's bytes, if there is a module and it lies in RAM.
    pub fn module(&self) -> Option<&'static [u8]> {
        let range = self
            .module
            .clone()
            .filter(|range| !range.is_empty() && self.ram.contains(range))?;
        let bytes = usize::try_from(range.end - range.start).ok()?;
        // SAFETY: RAM is in the direct map, and `taken` keeps the allocator away from the module.
        Some(unsafe { core::slice::from_raw_parts(direct(GuestPhys(range.start)), bytes) })
    }
}

/// # Safety
/// `table` must be the physical address of a mapped table of `T`, made of integers, with an entry `index`.
unsafe fn table_entry<T: Copy>(table: u64, index: u32) -> T {
    // SAFETY: the caller's promise.
    unsafe {
        direct(GuestPhys(table))
            .cast::<T>()
            .add(index as usize)
            .read_unaligned()
    }
}

/// # Safety
/// `start` must be 0 or the physical address of a mapped string that ends with a zero byte and does not change.
unsafe fn text(start: u64) -> &'static str {
    if start == 0 {
        return "";
    }
    let first = direct(GuestPhys(start));
    let mut len = 0;
    // SAFETY: the caller's promise: every byte up to the zero is there.
    while unsafe { first.add(len).read() } != 0 {
        len += 1;
    }
    // SAFETY: the bytes just looked at.
    let bytes = unsafe { core::slice::from_raw_parts(first, len) };
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// The RAM of a map. What another entry claims is not RAM.
fn usable(map: impl Iterator<Item = MemoryMapEntry> + Clone) -> Ranges {
    let range = |entry: &MemoryMapEntry| entry.address..entry.address.saturating_add(entry.size);
    let mut ram = Ranges::default();
    map.clone()
        .filter(|entry| entry.kind == TYPE_RAM)
        .for_each(|entry| ram.add(range(&entry)));
    map.filter(|entry| entry.kind != TYPE_RAM)
        .for_each(|entry| ram.remove(range(&entry)));
    ram
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, Machine, MachineError, MemoryMapEntry, ModuleEntry, StartInfo};
    use crate::mem::GuestPhys;

    fn address<T>(of: &'static T) -> u64 {
        core::ptr::from_ref(of).expose_provenance() as u64
    }

    fn leak<T: 'static>(value: T) -> u64 {
        address(std::boxed::Box::leak(std::boxed::Box::new(value)))
    }

    fn start_info(map: &[(u64, u64, u32)], module: u64, command_line: &'static [u8]) -> StartInfo {
        let entry = |&(address, size, kind): &_| MemoryMapEntry {
            address,
            size,
            kind,
            reserved: 0,
        };
        let map: std::vec::Vec<_> = map.iter().map(entry).collect();
        let entries = u32::try_from(map.len()).unwrap();
        StartInfo {
            magic: MAGIC,
            version: 1,
            flags: 0,
            modules: 1,
            module_list: leak(ModuleEntry {
                address: module,
                size: 4,
                command_line: 0,
                reserved: 0,
            }),
            command_line: command_line.as_ptr().expose_provenance() as u64,
            rsdp: 0,
            memory_map: map.leak().as_ptr().expose_provenance() as u64,
            memory_map_entries: entries,
            reserved: 0,
        }
    }

    fn read(info: StartInfo) -> Result<Machine, MachineError> {
        // SAFETY: made of leaked memory above.
        unsafe { Machine::read(GuestPhys(leak(info))) }
    }

    #[test]
    fn a_map_is_read_and_reservations_win() {
        let module = leak(*b"\x7fELF");
        let map = [
            (0, 0x9_fc00, 1),
            (0x10_0000, 0x1000_0000, 1),
            (0xf0_0000, 0x1000, 2),
            (module, 4096, 1),
        ];
        let machine = read(start_info(&map, module, b"log=debug\0")).unwrap();
        assert_eq!(machine.ram.total(), 0x9_fc00 + 0x1000_0000 - 0x1000 + 4096);
        assert!(!machine.ram.contains(&(0xf0_0000..0xf0_0001)));
        assert_eq!(machine.command_line, "log=debug");
        assert_eq!(machine.module(), Some(&b"\x7fELF"[..]));
        assert!(machine.taken().any(|range| range == (module..module + 4)));
        assert_eq!(machine.low_page(), Some(GuestPhys(0x1000)));
    }

    #[test]
    fn a_module_outside_ram_is_none() {
        let machine = read(start_info(&[(0, 0x1000, 1)], 0xffe, b"\0")).unwrap();
        assert_eq!(machine.module(), None);
        let machine = read(start_info(&[(0, 0x1000, 1)], u64::MAX, b"\xff\0")).unwrap();
        assert_eq!(machine.module(), None);
        assert_eq!(machine.command_line, "");
    }

    #[test]
    fn other_loaders_are_refused() {
        let good = start_info(&[(0, 0x1000, 1)], 0, b"\0");
        assert_eq!(
            read(StartInfo { magic: 1, ..good }).unwrap_err(),
            MachineError::Magic
        );
        assert_eq!(
            read(StartInfo { version: 0, ..good }).unwrap_err(),
            MachineError::NoMemoryMap
        );
        assert_eq!(
            read(StartInfo {
                memory_map_entries: 0,
                ..good
            })
            .unwrap_err(),
            MachineError::NoMemoryMap
        );
    }
}
