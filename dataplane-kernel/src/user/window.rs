//! A linear piece of ring 3's address space: virtual address = start + (physical address - base). Checking a pointer is a
//! comparison; and since it is linear, its page tables are flat arrays that exist in full from the start, so that changing
//! a protection never allocates and never fails.
//!
//! Blocks of 2 MiB whose pages are all protected alike are mapped by one large page (Intel SDM 3, section 4.5).

use crate::mem::{GuestPhys, UserVirt, direct};
use core::ops::Range;
use core::ptr::NonNull;

/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;

/// Bytes that one page table maps, and a large page.
pub(super) const BLOCK: u64 = 2 << 20;

const GIB: u64 = 1 << 30;
/// Entries of a table of any level.
const ENTRIES: u64 = 512;
const PAGES_PER_BLOCK: usize = 512;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Accessed and dirty, set beforehand so that the processor has no need to.
const TOUCHED: u64 = 1 << 5 | 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const TABLE: u64 = PRESENT | WRITABLE | USER | TOUCHED;

/// What ring 3 may do with a page. Writable code cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// Nothing: any access faults.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

impl Protection {
    const fn bits(self) -> u64 {
        match self {
            Protection::None => 0,
            Protection::Read => PRESENT | USER | TOUCHED | NO_EXECUTE,
            Protection::ReadWrite => PRESENT | USER | TOUCHED | NO_EXECUTE | WRITABLE,
            Protection::ReadExecute => PRESENT | USER | TOUCHED,
        }
    }
}

/// Contiguous guest memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ram {
    /// Guest-physical address.
    pub(super) phys: GuestPhys,
    /// Bytes.
    pub(super) len: u64,
}

/// Addresses that are linear over guest memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    start: u64,
    ram: Ram,
}

impl Linear {
    /// Where `len` bytes at `address` lie, if all of them lie here.
    #[inline]
    #[must_use]
    pub(super) fn translate(&self, address: UserVirt, len: u64) -> Option<GuestPhys> {
        let offset = address.0.wrapping_sub(self.start);
        let inside = offset < self.ram.len && len <= self.ram.len - offset;
        inside.then(|| GuestPhys(self.ram.phys.0 + offset))
    }
}

/// A linear window and its page tables.
#[derive(Debug)]
pub(super) struct Window {
    start: u64,
    ram: Ram,
    /// One entry per page, from `start` on.
    pages: &'static mut [u64],
    /// One entry per block of the 1 GiB pieces that the window touches; `first_block` is the window's first.
    blocks: &'static mut [u64],
    first_block: usize,
    pages_phys: u64,
}

/// Where a window's tables hang in the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// Slot of the top-level table.
    pub(super) slot: usize,
    /// Its entry.
    pub(super) entry: u64,
}

/// Bytes of page tables for a window at `start` of `len` bytes.
pub(super) const fn table_bytes(start: u64, len: u64) -> u64 {
    (1 + gibs(start, len) + len.div_ceil(BLOCK)) * PAGE
}

const fn gibs(start: u64, len: u64) -> u64 {
    (start + len).div_ceil(GIB) - start / GIB
}

impl Window {
    /// Lays out a window at `start` over `ram`, with nothing mapped. `tables` is zeroed memory for its page tables.
    ///
    /// `None` if the tables are too small, or the addresses are not multiples of 2 MiB in one 512 GiB slot.
    ///
    /// # Safety
    /// `ram` and `tables` must be in the direct map and the window's alone, for ever.
    pub(super) unsafe fn new(start: u64, ram: Ram, tables: Ram) -> Option<(Self, Root)> {
        let slot_bytes = GIB * ENTRIES;
        let aligned =
            start.is_multiple_of(BLOCK) && ram.phys.0.is_multiple_of(BLOCK) && ram.len.is_multiple_of(PAGE);
        let one_slot = ram.len != 0 && start / slot_bytes == (start + ram.len - 1) / slot_bytes;
        if !aligned || !one_slot || tables.len < table_bytes(start, ram.len) {
            return None;
        }
        let count = |n: u64| usize::try_from(n).ok();
        let (gibs, tables_count) = (gibs(start, ram.len), ram.len.div_ceil(BLOCK));
        // SAFETY: the length was compared above; the memory is aligned to pages, zeroed, and ours.
        let (top, blocks, pages) = unsafe {
            let words: NonNull<u64> = NonNull::new(direct(tables.phys))?.cast();
            let slice = |page: u64, pages: u64| -> Option<&'static mut [u64]> {
                let first = words.add(count(page * ENTRIES)?);
                Some(NonNull::slice_from_raw_parts(first, count(pages * ENTRIES)?).as_mut())
            };
            (slice(0, 1)?, slice(1, gibs)?, slice(1 + gibs, tables_count)?)
        };
        let blocks_phys = tables.phys.0 + PAGE;
        let pages_phys = blocks_phys + gibs * PAGE;
        let first_gib = count(start / GIB % ENTRIES)?;
        for (entry, page) in top.iter_mut().skip(first_gib).zip(0..gibs) {
            *entry = (blocks_phys + page * PAGE) | TABLE;
        }
        let first_block = count(start % GIB / BLOCK)?;
        for (entry, table) in blocks.iter_mut().skip(first_block).zip(0..tables_count) {
            *entry = (pages_phys + table * PAGE) | TABLE;
        }
        let root = Root {
            slot: count(start / slot_bytes % ENTRIES)?,
            entry: tables.phys.0 | TABLE,
        };
        Some((
            Window {
                start,
                ram,
                pages,
                blocks,
                first_block,
                pages_phys,
            },
            root,
        ))
    }

    /// Addresses of the window.
    #[must_use]
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start + self.ram.len
    }

    /// Its addresses, without the page tables.
    pub(super) fn linear(&self) -> Linear {
        Linear {
            start: self.start,
            ram: self.ram,
        }
    }

    /// Sets the protection of `range`, whole pages inside the window (what is outside is ignored). Returns `true` if a page
    /// was mapped before, so that the processor may remember it.
    pub(super) fn protect(&mut self, range: Range<u64>, protection: Protection) -> bool {
        let page = |address: u64| {
            let inside = address.clamp(self.start, self.start + self.ram.len) - self.start;
            usize::try_from(inside / PAGE).unwrap_or(usize::MAX)
        };
        let (first, end) = (page(range.start), page(range.end));
        let bits = protection.bits();
        let mut was_mapped = false;
        let mut phys = self.ram.phys.0 + first as u64 * PAGE;
        for entry in self.pages.get_mut(first..end).unwrap_or_default() {
            was_mapped |= *entry & PRESENT != 0;
            *entry = if bits == 0 { 0 } else { phys | bits };
            phys += PAGE;
        }
        if first < end {
            self.update_blocks(first, end, bits);
        }
        was_mapped
    }

    /// Maps blocks inside the pages `first..end`, which are protected alike now, by large pages, and those at the edges by
    /// their page tables.
    fn update_blocks(&mut self, first: usize, end: usize, bits: u64) {
        let per_block = PAGES_PER_BLOCK;
        for block in first / per_block..end.div_ceil(per_block) {
            let covered = first <= block * per_block && (block + 1) * per_block <= end;
            let block_u64 = block as u64;
            let entry = if covered && bits != 0 {
                (self.ram.phys.0 + block_u64 * BLOCK) | bits | LARGE
            } else {
                (self.pages_phys + block_u64 * PAGE) | TABLE
            };
            if let Some(place) = self.blocks.get_mut(self.first_block + block) {
                *place = entry;
            }
        }
    }
}

/// Windows over memory of the host, whose addresses are the physical ones in tests.
#[cfg(test)]
pub(super) mod testing {
    use super::{BLOCK, GuestPhys, Ram, Root, Window, direct, table_bytes};
    use std::alloc::{Layout, alloc_zeroed};

    fn ram(len: u64) -> Ram {
        let layout =
            Layout::from_size_align(usize::try_from(len).unwrap(), usize::try_from(BLOCK).unwrap()).unwrap();
        // SAFETY: the length is not 0; the memory is never given back.
        let memory = unsafe { alloc_zeroed(layout) };
        Ram {
            phys: GuestPhys(memory.expose_provenance() as u64),
            len,
        }
    }

    pub(in super::super) fn window(start: u64, len: u64) -> (Window, Root) {
        // SAFETY: fresh memory, never given back.
        unsafe { Window::new(start, ram(len), ram(table_bytes(start, len))) }.unwrap()
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "usize has 64 bits where this runs"
    )]
    /// What the processor makes of an address: the entry that maps it, and where it leads.
    pub(super) fn walk(root: Root, address: u64) -> Option<(u64, u64)> {
        let mut entry = root.entry;
        for shift in [30, 21, 12] {
            let table = direct(GuestPhys(entry & 0x000f_ffff_ffff_f000)).cast::<u64>();
            // SAFETY: the windows' tables are mapped, and have 512 entries.
            entry = unsafe { table.add((address >> shift) as usize % 512).read() };
            if entry & super::PRESENT == 0 {
                return None;
            }
            if shift == 12 || entry & super::LARGE != 0 {
                let base = entry & 0x000f_ffff_ffff_f000;
                return Some((entry, base + address % (1 << shift)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{walk, window};
    use super::{BLOCK, LARGE, NO_EXECUTE, PAGE, Protection, USER, WRITABLE};
    use crate::mem::UserVirt;
    use ix_abi::app::layout::ARENA;

    #[test]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "usize has 64 bits where this runs"
    )]
    fn the_processor_finds_what_was_protected_and_nothing_else() {
        let len = 3 * BLOCK + 5 * PAGE;
        for start in [ARENA, 0x40_0000, 0x3fe0_0000 + (5 << 30)] {
            let (mut window, root) = window(start, len);
            let phys = window.linear().translate(UserVirt(start), len).unwrap().0;
            let bits = [
                (Protection::Read, NO_EXECUTE),
                (Protection::ReadWrite, NO_EXECUTE | WRITABLE),
                (Protection::ReadExecute, 0),
            ];
            let mut model = std::vec![Protection::None; usize::try_from(len / PAGE).unwrap()];
            let mut state = start | 1;
            for round in 0..300 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let first = (state >> 33) as usize % model.len();
                let end = if round % 3 == 0 {
                    model.len()
                } else {
                    first + (state >> 50) as usize % (model.len() - first)
                };
                let protection =
                    [Protection::None, bits[0].0, bits[1].0, bits[2].0][(state >> 60) as usize % 4];
                let mapped = model[first..end].iter().any(|&p| p != Protection::None);
                let range = start + first as u64 * PAGE..start + end as u64 * PAGE;
                assert_eq!(window.protect(range, protection), mapped);
                model[first..end].fill(protection);
                for (page, protection) in model
                    .iter()
                    .enumerate()
                    .step_by(7)
                    .chain(model.iter().enumerate().rev().take(9))
                {
                    let address = start + page as u64 * PAGE + 5;
                    let found =
                        walk(root, address).map(|(entry, to)| (entry & (WRITABLE | NO_EXECUTE | USER), to));
                    let wanted = bits.iter().find(|(p, _)| p == protection);
                    assert_eq!(
                        found,
                        wanted.map(|(_, bits)| (bits | USER, phys + page as u64 * PAGE + 5))
                    );
                }
            }
            assert_eq!(walk(root, start + len), None);
        }
    }

    #[test]
    fn whole_blocks_are_large_pages_until_a_page_differs() {
        let (mut window, root) = window(ARENA, 2 * BLOCK);
        let is_large = |address| walk(root, address).is_some_and(|(entry, _)| entry & LARGE != 0);
        window.protect(ARENA..ARENA + 2 * BLOCK, Protection::ReadWrite);
        assert!(is_large(ARENA) && is_large(ARENA + BLOCK));
        window.protect(ARENA + BLOCK + PAGE..ARENA + BLOCK + 2 * PAGE, Protection::None);
        assert!(is_large(ARENA) && !is_large(ARENA + BLOCK));
        assert_eq!(walk(root, ARENA + BLOCK + PAGE), None);
    }

    #[test]
    fn only_what_lies_inside_translates() {
        let (window, _) = window(ARENA, BLOCK);
        let ok = |address, len| window.linear().translate(UserVirt(address), len).is_some();
        assert!(ok(ARENA, 0) && ok(ARENA, BLOCK) && ok(ARENA + BLOCK - 1, 1));
        assert!(!ok(ARENA, BLOCK + 1) && !ok(ARENA + BLOCK, 0) && !ok(ARENA - 1, 1) && !ok(ARENA - 1, 2));
        assert!(!ok(ARENA + 1, u64::MAX) && !ok(u64::MAX, 2) && !ok(0, 1) && !ok(1 << 63, 1));
    }
}
