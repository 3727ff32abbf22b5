//! Ring 3's memory: the arena, where everything lies that may lie anywhere, and the window of a program with fixed
//! addresses. Here are the changes a program may make; reading and writing it is in [`super::access`].
//!
//! Addresses are linear over guest memory, so a mapping takes its memory at once, readable or not, and cannot move without
//! being copied. Fresh memory is zeroed when it is mapped.

use super::regions::Regions;
use super::view::View;
use super::window::{BLOCK, PAGE, Protection, Window};
use crate::mem::UserVirt;
use core::ops::Range;
use core::ptr::NonNull;

/// Why a change was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No room, or not mapped where it must be.
    NoMemory,
    /// Not an address or length that can be meant.
    Invalid,
    /// Something is mapped there.
    Exists,
}

/// A window and what is mapped in it.
#[derive(Debug)]
pub(super) struct Area {
    pub(super) window: Window,
    pub(super) regions: Regions,
}

impl Area {
    pub(super) fn new(window: Window) -> Self {
        let regions = Regions::new(window.range());
        Area { window, regions }
    }
}

/// All memory of a program.
#[derive(Debug)]
pub(super) struct Memory {
    arena: Area,
    fixed: Option<Area>,
    view: View,
    /// What `brk` has made: it starts at a page and ends at any byte.
    heap: Range<u64>,
    /// Makes the processor forget how a range was mapped.
    forget: fn(Range<u64>),
}

impl Memory {
    /// Nothing mapped. `forget` makes the processor forget how it had a range mapped.
    pub(super) fn new(arena: Window, fixed: Option<Window>, forget: fn(Range<u64>)) -> Self {
        let start = arena.range().start;
        let view = View {
            arena: arena.linear(),
            fixed: fixed.as_ref().map(Window::linear),
        };
        Memory {
            arena: Area::new(arena),
            fixed: fixed.map(Area::new),
            view,
            heap: start..start,
            forget,
        }
    }

    /// Where it lies.
    pub(super) fn view(&self) -> View {
        self.view
    }

    /// Where `len` bytes at `address` lie: they are ring 3's, mapped or not.
    #[inline]
    pub(super) fn pointer(&self, address: UserVirt, len: u64) -> Option<NonNull<u8>> {
        self.view.pointer(address, len)
    }

    /// The area `range` lies in.
    fn area(&self, range: &Range<u64>) -> Option<&Area> {
        [Some(&self.arena), self.fixed.as_ref()]
            .into_iter()
            .flatten()
            .find(|area| area.regions.is_inside(range))
    }

    fn area_mut(&mut self, range: &Range<u64>) -> Option<&mut Area> {
        let areas = [Some(&mut self.arena), self.fixed.as_mut()];
        areas
            .into_iter()
            .flatten()
            .find(|area| area.regions.is_inside(range))
    }

    /// `true` if all of `range` is mapped so that `allowed` accepts it.
    pub(super) fn covers(&self, range: &Range<u64>, allowed: impl Fn(Protection) -> bool) -> bool {
        self.area(range)
            .is_some_and(|area| area.regions.covers(range, allowed))
    }

    /// How the page at `address` is mapped, if it is.
    pub(super) fn protection_at(&self, address: u64) -> Option<Protection> {
        self.area(&(address..address))?.regions.at(address)
    }

    /// Bytes that could be mapped.
    pub(super) fn arena_bytes(&self) -> u64 {
        let range = self.arena.window.range();
        range.end - range.start
    }

    /// Bytes mapped.
    pub(super) fn mapped_bytes(&self) -> u64 {
        let fixed = self.fixed.as_ref().map_or(0, |area| area.regions.mapped_bytes());
        self.arena.regions.mapped_bytes() + fixed
    }

    /// Maps `len` bytes of zeros where there is room, at `hint` if that is free.
    pub(super) fn map(&mut self, hint: u64, len: u64, protection: Protection) -> Result<u64, Refused> {
        let len = whole_pages(len)?;
        let hinted = range(hint, len)
            .ok()
            .filter(|r| hint != 0 && self.arena.regions.is_free(r))
            .map(|r| r.start);
        let start = hinted
            .or_else(|| self.arena.regions.find(len, alignment(len)))
            .ok_or(Refused::NoMemory)?;
        self.place(start..start + len, protection)?;
        Ok(start)
    }

    /// Maps `len` bytes of zeros at `address`, in place of what is mapped there if `replace` says so.
    pub(super) fn map_at(
        &mut self,
        address: u64,
        len: u64,
        protection: Protection,
        replace: Replace,
    ) -> Result<u64, Refused> {
        let range = range(address, whole_pages(len)?)?;
        let area = self.area(&range).ok_or(Refused::NoMemory)?;
        if replace == Replace::No && !area.regions.is_free(&range) {
            return Err(Refused::Exists);
        }
        self.unmap(address, len)?;
        self.place(range, protection)?;
        Ok(address)
    }

    /// Maps a free range: zeros.
    fn place(&mut self, range: Range<u64>, protection: Protection) -> Result<(), Refused> {
        let area = self.area_mut(&range).ok_or(Refused::NoMemory)?;
        if !area.regions.has_room() {
            return Err(Refused::NoMemory);
        }
        area.regions.insert(range.clone(), protection);
        self.clear(&range);
        self.set_protection(range, protection);
        Ok(())
    }

    fn set_protection(&mut self, range: Range<u64>, protection: Protection) {
        let Some(area) = self.area_mut(&range) else { return };
        if area.window.protect(range.clone(), protection) {
            (self.forget)(range);
        }
    }

    /// Unmaps whatever is mapped of `len` bytes at `address`.
    pub(super) fn unmap(&mut self, address: u64, len: u64) -> Result<(), Refused> {
        let range = range(address, whole_pages(len)?)?;
        let Some(area) = self.area_mut(&range) else {
            return Ok(());
        };
        if !area.regions.has_room() {
            return Err(Refused::NoMemory);
        }
        for piece in area.regions.remove(&range) {
            self.set_protection(piece, Protection::None);
        }
        Ok(())
    }

    /// Changes how `len` bytes at `address`, all mapped, are protected.
    pub(super) fn protect(&mut self, address: u64, len: u64, protection: Protection) -> Result<(), Refused> {
        if len == 0 {
            return Ok(());
        }
        let range = range(address, whole_pages(len)?)?;
        let area = self.area_mut(&range).ok_or(Refused::NoMemory)?;
        if !area.regions.covers(&range, |_| true) || !area.regions.has_room() {
            return Err(Refused::NoMemory);
        }
        area.regions.protect(range.clone(), protection);
        self.set_protection(range, protection);
        Ok(())
    }

    /// Makes the pages of a range zero again, as a program that gives them back expects. All must be mapped, none of them
    /// such that it could not write zeros itself, some time.
    pub(super) fn discard(&mut self, address: u64, len: u64) -> Result<(), Refused> {
        if len == 0 {
            return Ok(());
        }
        let range = range(address, whole_pages(len)?)?;
        if !self.covers(&range, |_| true) {
            return Err(Refused::NoMemory);
        }
        if !self.covers(&range, |p| matches!(p, Protection::ReadWrite | Protection::None)) {
            return Err(Refused::Invalid);
        }
        self.clear(&range);
        Ok(())
    }

    /// Changes the size of the mapping at `address`; returns where it is then. It grows in place if it can.
    pub(super) fn resize(
        &mut self,
        address: u64,
        old_len: u64,
        new_len: u64,
        moving: Moving,
    ) -> Result<u64, Refused> {
        let (old_len, new_len) = (whole_pages(old_len)?, whole_pages(new_len)?);
        let old = range(address, old_len)?;
        let protection = self.protection_at(address).ok_or(Refused::Invalid)?;
        if !self.covers(&old, |p| p == protection) || self.area(&old).is_none() {
            return Err(Refused::Invalid);
        }
        if new_len <= old_len {
            if new_len < old_len {
                self.unmap(address + new_len, old_len - new_len)?;
            }
            return Ok(address);
        }
        let grown = range(address, new_len)?;
        let addition = old.end..grown.end;
        if self
            .area(&grown)
            .is_some_and(|area| area.regions.is_free(&addition))
        {
            self.place(addition, protection)?;
            return Ok(address);
        }
        if moving == Moving::No {
            return Err(Refused::NoMemory);
        }
        self.relocate(old, new_len, protection)
    }

    fn relocate(&mut self, old: Range<u64>, new_len: u64, protection: Protection) -> Result<u64, Refused> {
        let start = self
            .arena
            .regions
            .find_growing(new_len, alignment(new_len))
            .ok_or(Refused::NoMemory)?;
        self.place(start..start + new_len, protection)?;
        let len = old.end - old.start;
        let from = self.pointer(UserVirt(old.start), len).ok_or(Refused::Invalid)?;
        let to = self.pointer(UserVirt(start), len).ok_or(Refused::Invalid)?;
        let count = usize::try_from(len).map_err(|_| Refused::Invalid)?;
        // SAFETY: both are ring 3's memory of that length, and the new place was free, so they do not overlap.
        unsafe { to.copy_from_nonoverlapping(from, count) };
        self.unmap(old.start, len)?;
        Ok(start)
    }

    /// Sets where the heap starts: empty, at the first page from `address` on.
    pub(super) fn start_heap(&mut self, address: u64) {
        let start = address.next_multiple_of(PAGE);
        self.heap = start..start;
    }

    /// `brk`: moves the end of the heap to `wanted` if that can be; returns where it is then.
    pub(super) fn set_heap_end(&mut self, wanted: u64) -> u64 {
        let Range { start, end } = self.heap;
        if wanted < start || wanted > self.arena.window.range().end {
            return end;
        }
        let (mapped, needed) = (end.next_multiple_of(PAGE), wanted.next_multiple_of(PAGE));
        let done = if needed > mapped {
            let free = self.arena.regions.is_free(&(mapped..needed));
            free && self.place(mapped..needed, Protection::ReadWrite).is_ok()
        } else {
            needed == mapped || self.unmap(needed, mapped - needed).is_ok()
        };
        if done {
            self.heap.end = wanted;
        }
        self.heap.end
    }

    /// Zeros a range of ring 3's memory.
    fn clear(&mut self, range: &Range<u64>) {
        let len = range.end - range.start;
        let Some(pointer) = self.pointer(UserVirt(range.start), len) else {
            return;
        };
        // SAFETY: `pointer` has found `len` bytes of ring 3's memory there, so `len` is the size of an object.
        unsafe { pointer.write_bytes(0, usize::try_from(len).unwrap_or(0)) };
    }
}

/// What a mapping at a given address does to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    /// Takes its place.
    Yes,
    /// Is refused.
    No,
}

/// May a mapping that does not fit any more be moved?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moving {
    /// It may.
    Yes,
    /// It must stay.
    No,
}

/// `len` rounded up to whole pages; not zero.
fn whole_pages(len: u64) -> Result<u64, Refused> {
    match len.checked_next_multiple_of(PAGE) {
        Some(0) => Err(Refused::Invalid),
        Some(rounded) => Ok(rounded),
        None => Err(Refused::NoMemory),
    }
}

/// A range that starts on a page.
fn range(address: u64, len: u64) -> Result<Range<u64>, Refused> {
    if !address.is_multiple_of(PAGE) {
        return Err(Refused::Invalid);
    }
    Ok(address..address.checked_add(len).ok_or(Refused::NoMemory)?)
}

/// Large mappings start where a large page can.
fn alignment(len: u64) -> u64 {
    if len >= BLOCK { BLOCK } else { PAGE }
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::window::testing::window;
    use super::Memory;
    use ix_abi::app::layout::ARENA;

    /// An arena of `len` bytes and a small window at 4 MiB.
    pub(in super::super) fn memory(len: u64) -> Memory {
        Memory::new(window(ARENA, len).0, Some(window(0x40_0000, 0x10_0000).0), |_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::memory;
    use super::{Memory, Moving, PAGE, Protection, Refused, Replace};
    use crate::mem::UserVirt;
    use Protection::{None as Nothing, Read, ReadExecute, ReadWrite};
    use ix_abi::app::layout::ARENA;
    use std::vec::Vec;

    const MIB: u64 = 1 << 20;

    fn filled(memory: &mut Memory, address: u64, len: u64, byte: u8) {
        memory
            .copy_out(UserVirt(address), &std::vec![byte; usize::try_from(len).unwrap()])
            .unwrap();
    }

    fn is_all(memory: &Memory, address: u64, len: u64, byte: u8) -> bool {
        let mut bytes = std::vec![!byte; usize::try_from(len).unwrap()];
        memory.copy_in(UserVirt(address), &mut bytes).unwrap();
        bytes.iter().all(|&b| b == byte)
    }

    #[test]
    fn fresh_memory_is_zero_however_often_it_was_used() {
        let mut memory = memory(4 * MIB);
        for _ in 0..20 {
            let address = memory.map(0, 3 * MIB, ReadWrite).unwrap();
            assert!(is_all(&memory, address, 3 * MIB, 0));
            filled(&mut memory, address + MIB, 2 * PAGE, 7);
            memory.unmap(address, 3 * MIB).unwrap();
        }
        assert_eq!(memory.mapped_bytes(), 0);
    }

    #[test]
    fn a_full_arena_refuses_and_recovers() {
        let mut memory = memory(4 * MIB);
        let held: Vec<_> = core::iter::from_fn(|| memory.map(0, 300_000, ReadWrite).ok()).collect();
        assert!(held.len() as u64 > 4 * MIB / 303_104 - 1);
        assert_eq!(memory.map(0, MIB, Nothing), Err(Refused::NoMemory));
        assert_eq!(memory.map(0, u64::MAX, Nothing), Err(Refused::NoMemory));
        assert_eq!(memory.map(0, 0, Nothing), Err(Refused::Invalid));
        held.iter()
            .for_each(|&address| memory.unmap(address, 300_000).unwrap());
        assert!(memory.map(0, 4 * MIB, ReadWrite).is_ok());
    }

    #[test]
    fn hints_and_fixed_places_are_kept() {
        let mut memory = memory(4 * MIB);
        let hint = ARENA + MIB;
        assert_eq!(memory.map(hint, PAGE, ReadWrite), Ok(hint));
        assert_ne!(memory.map(hint, PAGE, ReadWrite), Ok(hint));
        assert_eq!(memory.map_at(hint, PAGE, Read, Replace::No), Err(Refused::Exists));
        filled(&mut memory, hint, PAGE, 7);
        assert_eq!(memory.map_at(hint, PAGE, Read, Replace::Yes), Ok(hint));
        assert!(is_all(&memory, hint, PAGE, 0));
        assert_eq!(memory.copy_out(UserVirt(hint), b"x"), None, "it is read-only now");
        assert_eq!(
            memory.map_at(0x40_0000, PAGE, ReadWrite, Replace::Yes),
            Ok(0x40_0000)
        );
        for nowhere in [0, 0x1000, ARENA - PAGE, ARENA + 4 * MIB, u64::MAX - PAGE + 1] {
            assert!(memory.map_at(nowhere, PAGE, Read, Replace::Yes).is_err());
        }
        assert_eq!(
            memory.map_at(hint + 1, PAGE, Read, Replace::Yes),
            Err(Refused::Invalid)
        );
    }

    #[test]
    fn growth_stays_in_place_or_moves_with_its_bytes() {
        let mut memory = memory(16 * MIB);
        let first = memory.map(0, MIB, ReadWrite).unwrap();
        filled(&mut memory, first, MIB, 9);
        assert_eq!(
            memory.resize(first, MIB, 2 * MIB, Moving::No),
            Err(Refused::NoMemory),
            "the top is above"
        );
        let moved = memory.resize(first, MIB, 2 * MIB, Moving::Yes).unwrap();
        assert!(is_all(&memory, moved, MIB, 9) && is_all(&memory, moved + MIB, MIB, 0));
        assert_eq!(
            memory.resize(moved, 2 * MIB, 5 * MIB, Moving::No),
            Ok(moved),
            "it moved to where it can grow"
        );
        assert_eq!(memory.resize(moved, 5 * MIB, PAGE, Moving::No), Ok(moved));
        assert_eq!(memory.mapped_bytes(), PAGE);
        assert_eq!(
            memory.resize(moved, 2 * PAGE, PAGE, Moving::Yes),
            Err(Refused::Invalid),
            "not all mapped"
        );
        assert_eq!(
            memory.resize(moved, PAGE, 64 * MIB, Moving::Yes),
            Err(Refused::NoMemory)
        );
        assert!(is_all(&memory, moved, PAGE, 9), "refused, it is where it was");
    }

    #[test]
    fn the_heap_grows_until_something_is_in_its_way() {
        let mut memory = memory(4 * MIB);
        memory.start_heap(ARENA + 100);
        let start = memory.set_heap_end(0);
        assert_eq!(start, ARENA + PAGE);
        assert_eq!(memory.set_heap_end(start + 5000), start + 5000);
        filled(&mut memory, start, 5000, 1);
        memory.map_at(start + MIB, PAGE, ReadWrite, Replace::No).unwrap();
        assert_eq!(memory.set_heap_end(start + MIB), start + MIB);
        assert_eq!(memory.set_heap_end(start + MIB + 1), start + MIB);
        assert_eq!(memory.set_heap_end(u64::MAX), start + MIB);
        assert_eq!(memory.set_heap_end(start), start);
        assert_eq!(memory.mapped_bytes(), PAGE);
        memory.set_heap_end(start + 5000);
        assert!(is_all(&memory, start, 5000, 0));
    }

    #[test]
    fn protection_decides_what_the_kernel_writes_for_ring_3() {
        let mut memory = memory(4 * MIB);
        let address = memory.map(0, 3 * PAGE, ReadWrite).unwrap();
        memory.protect(address + PAGE, PAGE, ReadExecute).unwrap();
        assert_eq!(memory.write(UserVirt(address), 1u64), Some(()));
        assert_eq!(
            memory.write(UserVirt(address + PAGE - 4), 1u64),
            None,
            "half of it is code"
        );
        assert_eq!(memory.write(UserVirt(address + PAGE), 1u32), None);
        assert_eq!(
            memory.protect(address, 4 * PAGE, Read),
            Err(Refused::NoMemory),
            "the last is not mapped"
        );
        assert_eq!(
            memory.discard(address, 3 * PAGE),
            Err(Refused::Invalid),
            "code is not zeroed"
        );
        assert_eq!(memory.discard(address, PAGE), Ok(()));
        assert!(is_all(&memory, address, PAGE, 0));
        assert_eq!(memory.copy_in(UserVirt(ARENA - 1), &mut [0; 2]), None);
        assert_eq!(memory.read::<u64>(UserVirt(u64::MAX - 3)), None);
    }

    #[test]
    fn strings_end_within_their_bound() {
        let mut memory = memory(4 * MIB);
        let end = ARENA + 4 * MIB;
        memory.map_at(end - PAGE, PAGE, ReadWrite, Replace::No).unwrap();
        memory.copy_out(UserVirt(end - 6), b"abc\0zz").unwrap();
        let read = |address| {
            let mut buffer = core::mem::MaybeUninit::uninit();
            memory
                .read_string::<4>(UserVirt(address), &mut buffer)
                .map(<[u8]>::to_vec)
        };
        assert_eq!(read(end - 6).as_deref(), Some(b"abc".as_slice()));
        assert_eq!(read(end - 2), None, "runs off the end");
    }
}
