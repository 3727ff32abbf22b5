//! The page tables. There is one address space: kernel in the upper half, the app in the lower.

use super::frames::Frames;
use super::{GuestPhys, PAGE_BYTES, direct, size};
use bitflags::bitflags;
use ix_abi::app::layout::USER_END;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;

/// A large page.
pub const LARGE_PAGE_BYTES: u64 = 2 << 20;

bitflags! {
    /// What may be done with a mapping; reading always.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// It may be written.
        const WRITE = 1;
        /// It may be executed.
        const EXEC = 2;
        /// Ring 3 may.
        const USER = 4;
        /// Accesses go to the device, in order.
        const UNCACHED = 8;
    }
}

/// Why a mapping was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Writable and executable at once.
    WriteAndExecute,
    /// Ring 3 outside its half, ring 0 outside its own, or the end of the address space.
    WrongHalf,
    /// Addresses or length are not whole pages.
    Unaligned,
    /// A page of the range is mapped already.
    Occupancy,
    /// No memory for tables.
    OutOfMemory,
}

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

const ENTRIES: usize = 512;
/// First address of the upper half.
const UPPER_HALF: u64 = 0xffff_8000_0000_0000;
/// Beyond this many pages, dropping all translations is cheaper than each.
const FLUSH_ALL_PAGES: u64 = 64;

/// Maps `len` bytes at `virt` to `phys`, in large pages where both allow it. Nothing there may be mapped yet; if the
/// mapping cannot be completed, none of it is made.
///
/// # Errors
/// See [`MapError`].
pub fn map(frames: &mut Frames, virt: u64, phys: GuestPhys, len: u64, flags: Flags) -> Result<(), MapError> {
    let mut tables = Tables::current();
    let result = tables.map(frames, virt, phys, len, flags);
    flush(virt, len);
    result
}

/// Removes whatever is mapped in the `len` bytes at `virt`. `frames` serves when a large page must be split.
///
/// # Errors
/// See [`MapError`].
pub fn unmap(frames: &mut Frames, virt: u64, len: u64) -> Result<(), MapError> {
    let result = Tables::current().unmap(frames, virt, len);
    flush(virt, len);
    result
}

fn flush(virt: u64, len: u64) {
    if len / PAGE_BYTES > FLUSH_ALL_PAGES {
        tlb::flush_all();
    } else {
        (0..len)
            .step_by(size(PAGE_BYTES))
            .for_each(|offset| tlb::flush(VirtAddr::new(virt + offset)));
    }
}

/// Where the tables in use begin.
pub fn root() -> GuestPhys {
    Tables::current().root
}

/// A tree of tables.
pub(super) struct Tables {
    root: GuestPhys,
}

impl Tables {
    /// A new, empty tree.
    pub(super) fn new(frames: &mut Frames) -> Option<Self> {
        Some(Tables {
            root: frames.alloc(PAGE_BYTES, PAGE_BYTES)?,
        })
    }

    fn current() -> Self {
        Tables {
            root: GuestPhys(Cr3::read().0.start_address().as_u64()),
        }
    }

    /// Makes this tree the one the processor uses.
    ///
    /// # Safety
    /// It must map all of the kernel as the current one does.
    pub(super) unsafe fn activate(&self) {
        // SAFETY: a physical address of a page is in range; the caller answers for what it maps.
        unsafe { core::arch::asm!("mov cr3, {}", in(reg) self.root.0, options(nostack, preserves_flags)) };
    }

    /// As the function [`map`], without telling the processor.
    pub(super) fn map(
        &mut self,
        frames: &mut Frames,
        virt: u64,
        phys: GuestPhys,
        len: u64,
        flags: Flags,
    ) -> Result<(), MapError> {
        check(virt, len, flags)?;
        if !phys.0.is_multiple_of(PAGE_BYTES) {
            return Err(MapError::Unaligned);
        }
        let mut done = 0;
        while done < len {
            match self.map_page(frames, virt + done, phys.0 + done, len - done, flags) {
                Ok(bytes) => done += bytes,
                Err(error) => {
                    self.unmap(frames, virt, done)?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Maps the next page, the largest that `left` bytes allow; how many bytes that was.
    fn map_page(
        &mut self,
        frames: &mut Frames,
        virt: u64,
        phys: u64,
        left: u64,
        flags: Flags,
    ) -> Result<u64, MapError> {
        let directory = self.descend(frames, virt)?;
        let large = (virt | phys).is_multiple_of(LARGE_PAGE_BYTES) && left >= LARGE_PAGE_BYTES;
        if large && directory.get() == 0 {
            directory.set(phys | bits(flags) | LARGE);
            return Ok(LARGE_PAGE_BYTES);
        }
        if directory.get() & LARGE != 0 {
            return Err(MapError::Occupancy);
        }
        let entry = directory.table_or_new(frames, virt)?.entry(virt, 1);
        if entry.get() != 0 {
            return Err(MapError::Occupancy);
        }
        entry.set(phys | bits(flags));
        Ok(PAGE_BYTES)
    }

    /// As the function [`unmap`], without telling the processor.
    pub(super) fn unmap(&mut self, frames: &mut Frames, virt: u64, len: u64) -> Result<(), MapError> {
        check(virt, len, Flags::empty())?;
        let mut done = 0;
        while done < len {
            let at = virt + done;
            let directory = self.descend(frames, at)?;
            let whole = at.is_multiple_of(LARGE_PAGE_BYTES) && len - done >= LARGE_PAGE_BYTES;
            if directory.get() == 0 {
                done += LARGE_PAGE_BYTES - at % LARGE_PAGE_BYTES;
            } else if directory.get() & LARGE != 0 && whole {
                directory.set(0);
                done += LARGE_PAGE_BYTES;
            } else {
                if directory.get() & LARGE != 0 {
                    directory.split(frames, at)?;
                }
                directory.table().entry(at, 1).set(0);
                done += PAGE_BYTES;
            }
        }
        Ok(())
    }

    /// The entry of `virt` in the second level, with the tables above it made as needed.
    fn descend(&mut self, frames: &mut Frames, virt: u64) -> Result<Entry, MapError> {
        let pointers = Table(self.root).entry(virt, 4).table_or_new(frames, virt)?;
        Ok(pointers.entry(virt, 3).table_or_new(frames, virt)?.entry(virt, 2))
    }
}

/// A table of 512 entries.
#[derive(Clone, Copy)]
struct Table(GuestPhys);

impl Table {
    /// The entry of `virt` in this table of `level`, 4 being the root.
    fn entry(self, virt: u64, level: u32) -> Entry {
        let index = size(virt >> (12 + 9 * (level - 1))) % ENTRIES;
        // SAFETY: a table is a page of the direct map, which holds this many entries.
        Entry(unsafe { direct(self.0).cast::<u64>().add(index) })
    }
}

/// A place in a table. The processor reads it at any time, and sets its accessed and dirty bits.
#[derive(Clone, Copy)]
struct Entry(*mut u64);

impl Entry {
    fn get(self) -> u64 {
        // SAFETY: made by `Table::entry`.
        unsafe { self.0.read_volatile() }
    }

    fn set(self, value: u64) {
        // SAFETY: made by `Table::entry`.
        unsafe { self.0.write_volatile(value) }
    }

    fn table(self) -> Table {
        Table(GuestPhys(self.get() & ADDRESS))
    }

    fn table_or_new(self, frames: &mut Frames, virt: u64) -> Result<Table, MapError> {
        if self.get() == 0 {
            let table = frames
                .alloc(PAGE_BYTES, PAGE_BYTES)
                .ok_or(MapError::OutOfMemory)?;
            self.point_to(table, virt);
        }
        Ok(self.table())
    }

    /// Rights are decided in the leaves.
    fn point_to(self, table: GuestPhys, virt: u64) {
        let user = if virt < USER_END { USER } else { 0 };
        self.set(table.0 | PRESENT | WRITABLE | user);
    }

    /// Replaces a large page by a table of small ones that say the same.
    fn split(self, frames: &mut Frames, virt: u64) -> Result<(), MapError> {
        let table = frames
            .alloc(PAGE_BYTES, PAGE_BYTES)
            .ok_or(MapError::OutOfMemory)?;
        let first = self.get() & !LARGE;
        let base = virt & !(LARGE_PAGE_BYTES - 1);
        for offset in (0..LARGE_PAGE_BYTES).step_by(size(PAGE_BYTES)) {
            Table(table).entry(base + offset, 1).set(first + offset);
        }
        self.point_to(table, virt);
        Ok(())
    }
}

fn check(virt: u64, len: u64, flags: Flags) -> Result<(), MapError> {
    if flags.contains(Flags::WRITE | Flags::EXEC) {
        return Err(MapError::WriteAndExecute);
    }
    if !(virt | len).is_multiple_of(PAGE_BYTES) {
        return Err(MapError::Unaligned);
    }
    // The last page of the address space is never mapped, so ends do not wrap.
    let end = virt.checked_add(len).ok_or(MapError::WrongHalf)?;
    let inside = if virt < USER_END {
        end <= USER_END
    } else {
        virt >= UPPER_HALF
    };
    let user = flags.contains(Flags::USER) && virt >= USER_END;
    if inside && !user {
        Ok(())
    } else {
        Err(MapError::WrongHalf)
    }
}

fn bits(flags: Flags) -> u64 {
    let mut bits = PRESENT;
    for (flag, bit) in [
        (Flags::WRITE, WRITABLE),
        (Flags::USER, USER),
        (Flags::UNCACHED, UNCACHED),
    ] {
        bits |= if flags.contains(flag) { bit } else { 0 };
    }
    if flags.contains(Flags::EXEC) {
        bits
    } else {
        bits | NO_EXECUTE
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Entry, Flags, Frames, GuestPhys, LARGE_PAGE_BYTES, MapError, NO_EXECUTE, PAGE_BYTES, Table, Tables,
    };
    use super::{LARGE, PRESENT, USER, WRITABLE, size};
    use std::alloc::{Layout, alloc_zeroed};

    /// An app address that large pages fit.
    const AT: u64 = 0x1000_0000_0000;
    const PHYS: u64 = 0x4000_0000;

    /// Tables in the host's memory, which is identical with physical memory here.
    fn tables(pages: u64) -> (Tables, Frames) {
        let bytes = pages * PAGE_BYTES;
        let layout = Layout::from_size_align(size(bytes), size(PAGE_BYTES)).unwrap();
        // SAFETY: not of size zero; leaked.
        let start = unsafe { alloc_zeroed(layout) }.expose_provenance() as u64;
        let mut frames = Frames::default();
        frames.add(start..start + bytes);
        (Tables::new(&mut frames).unwrap(), frames)
    }

    /// The entry that decides about `virt`, and the rights collected on the way.
    fn walk(tables: &Tables, virt: u64) -> Option<(u64, u64)> {
        let (mut table, mut rights) = (Table(tables.root), u64::MAX);
        for level in [4, 3, 2, 1] {
            let entry: Entry = table.entry(virt, level);
            let value = entry.get();
            if value & PRESENT == 0 {
                return None;
            }
            rights &= value;
            if level == 1 || value & LARGE != 0 {
                return Some((value, rights & (WRITABLE | USER) | value & NO_EXECUTE));
            }
            table = entry.table();
        }
        None
    }

    #[test]
    fn large_pages_serve_the_middle() {
        let (mut tables, mut frames) = tables(16);
        let (virt, phys) = (
            AT + LARGE_PAGE_BYTES - PAGE_BYTES,
            GuestPhys(PHYS + LARGE_PAGE_BYTES - PAGE_BYTES),
        );
        let len = LARGE_PAGE_BYTES + 2 * PAGE_BYTES;
        tables
            .map(&mut frames, virt, phys, len, Flags::USER | Flags::WRITE)
            .unwrap();
        assert_eq!(walk(&tables, virt - 1), None);
        assert_eq!(walk(&tables, virt).unwrap().0 & LARGE, 0);
        let (large, rights) = walk(&tables, virt + PAGE_BYTES).unwrap();
        assert_ne!(large & LARGE, 0);
        assert_eq!(large & super::ADDRESS, PHYS + LARGE_PAGE_BYTES);
        assert_eq!(rights, USER | WRITABLE | NO_EXECUTE);
        assert!(walk(&tables, virt + len - PAGE_BYTES).is_some());
        assert_eq!(walk(&tables, virt + len), None);
    }

    #[test]
    fn unmapping_a_part_splits_a_large_page() {
        let (mut tables, mut frames) = tables(16);
        let (user, len) = (Flags::USER | Flags::WRITE, 3 * LARGE_PAGE_BYTES);
        tables.map(&mut frames, AT, GuestPhys(PHYS), len, user).unwrap();
        let part = AT + 7 * PAGE_BYTES;
        tables.unmap(&mut frames, part, PAGE_BYTES).unwrap();
        assert_eq!(walk(&tables, part), None);
        for neighbour in [part - PAGE_BYTES, part + PAGE_BYTES] {
            let (entry, rights) = walk(&tables, neighbour).unwrap();
            assert_eq!(entry & super::ADDRESS, PHYS + (neighbour - AT));
            assert_eq!(rights, USER | WRITABLE | NO_EXECUTE);
        }
        tables.unmap(&mut frames, part, len + LARGE_PAGE_BYTES).unwrap();
        assert!(walk(&tables, part - PAGE_BYTES).is_some());
        for gone in [
            part + PAGE_BYTES,
            AT + LARGE_PAGE_BYTES,
            AT + 2 * LARGE_PAGE_BYTES,
        ] {
            assert_eq!(walk(&tables, gone), None);
        }
        let again = tables.map(
            &mut frames,
            AT + LARGE_PAGE_BYTES,
            GuestPhys(PHYS),
            PAGE_BYTES,
            Flags::USER | Flags::EXEC,
        );
        assert_eq!(
            (again, walk(&tables, AT + LARGE_PAGE_BYTES).unwrap().1),
            (Ok(()), USER)
        );
    }

    #[test]
    fn what_must_not_be_is_refused() {
        let (mut tables, mut frames) = tables(16);
        let mut map = |virt, len, flags| tables.map(&mut frames, virt, GuestPhys(PHYS), len, flags);
        assert_eq!(
            map(AT, PAGE_BYTES, Flags::WRITE | Flags::EXEC),
            Err(MapError::WriteAndExecute)
        );
        assert_eq!(map(AT, 1, Flags::USER), Err(MapError::Unaligned));
        assert_eq!(
            map(0x7fff_ffff_f000, 2 * PAGE_BYTES, Flags::USER),
            Err(MapError::WrongHalf)
        );
        assert_eq!(
            map(0x8000_0000_0000, PAGE_BYTES, Flags::empty()),
            Err(MapError::WrongHalf)
        );
        assert_eq!(
            map(0xffff_8000_0000_0000, PAGE_BYTES, Flags::USER),
            Err(MapError::WrongHalf)
        );
        assert_eq!(
            map(0xffff_ffff_ffff_f000, PAGE_BYTES, Flags::empty()),
            Err(MapError::WrongHalf)
        );
        assert_eq!(map(AT, !0xfff, Flags::USER), Err(MapError::WrongHalf));
        assert_eq!(map(AT, PAGE_BYTES, Flags::USER), Ok(()));
        assert_eq!(map(AT, PAGE_BYTES, Flags::USER), Err(MapError::Occupancy));
        assert_eq!(
            map(AT - PAGE_BYTES, 2 * PAGE_BYTES, Flags::USER),
            Err(MapError::Occupancy)
        );
        assert_eq!(walk(&tables, AT - PAGE_BYTES), None, "a failed mapping is undone");
        assert!(walk(&tables, AT).is_some());
    }

    #[test]
    fn running_out_of_tables_is_an_error() {
        let (mut tables, mut frames) = tables(3);
        let result = tables.map(&mut frames, AT, GuestPhys(PHYS), PAGE_BYTES, Flags::USER);
        assert_eq!(result, Err(MapError::OutOfMemory));
    }
}
