//! Memory: which there is, who has it, and where it is mapped.
#![allow(
    unsafe_code,
    reason = "this is the wall around physical memory and page tables"
)]

/// Physical memory.
pub mod frames;

/// A set of addresses.
pub mod ranges;

/// Page tables.
pub mod paging;

/// The kernel's heap.
pub mod heap;

/// Stacks of other cores.
pub mod stacks;

/// Queues between cores.
pub mod spsc;

/// Packet buffers.
pub mod mbuf;

/// The arrays of `run_io`.
pub mod io_area;

use crate::arch::image;
use crate::boot_info::Machine;
use crate::settings;
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use frames::Frames;
use heap::Heap;
use ix_abi::host::area::HOST_AREA_BYTES;
use paging::{Flags, MapError, Tables};

/// A guest-physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPhys(pub u64);

/// An address as ring 3 means it: not to be dereferenced by ring 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserVirt(pub u64);

/// The small page.
pub const PAGE_BYTES: u64 = 4096;

/// Where ring 0 finds physical address 0. In tests physical addresses are the host's own.
pub const DIRECT_MAP: u64 = if cfg!(test) { 0 } else { 0xffff_8000_0000_0000 };

/// The part of memory that becomes the heap, and the least it needs.
const HEAP_SHARE: u64 = 8;
const HEAP_MIN_BYTES: u64 = 16 << 20;

/// The first MiB is the firmware's: tables are read there, nothing else is done with it.
const FIRMWARE_BYTES: u64 = 1 << 20;

/// A number of bytes as the other of the two types that mean it: they are the same on every processor there is here.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "asserted below")]
pub const fn size(bytes: u64) -> usize {
    bytes as usize
}

const _: () = assert!(size_of::<usize>() == size_of::<u64>());

/// Where ring 0 reaches physical memory (or a mapped device). The pointer may be used as far as that is mapped.
#[inline(always)]
pub fn direct(phys: GuestPhys) -> *mut u8 {
    core::ptr::with_exposed_provenance_mut(size(DIRECT_MAP + phys.0))
}

/// Why a machine's memory will not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// Not enough for the kernel to start.
    TooLittle,
    /// The map contradicts itself.
    Map(MapError),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            MemoryError::TooLittle => f.write_str("there is too little memory"),
            MemoryError::Map(error) => write!(f, "memory cannot be mapped: {error:?}"),
        }
    }
}

/// Takes over memory: finds what is free, replaces the entry code's page tables by ones in which nothing is both
/// writable and executable, and gives the heap its share.
///
/// # Errors
/// See [`MemoryError`].
pub fn init(machine: &Machine, heap: &Heap) -> Result<Frames, MemoryError> {
    let mut frames = free_frames(machine);
    let tables = kernel_tables(&mut frames, machine)?;
    // SAFETY: the image and the direct map are where they were.
    unsafe { tables.activate() };
    let bytes = (machine.ram.total() / HEAP_SHARE).max(HEAP_MIN_BYTES);
    let base = frames
        .alloc_uncleared(bytes, paging::LARGE_PAGE_BYTES)
        .ok_or(MemoryError::TooLittle)?;
    let base = NonNull::new(direct(base)).ok_or(MemoryError::TooLittle)?;
    // SAFETY: the frames were free, and are not given back.
    let claimed = unsafe { heap::claim(heap, base, size(bytes)) };
    claimed.then_some(frames).ok_or(MemoryError::TooLittle)
}

fn free_frames(machine: &Machine) -> Frames {
    let mut frames = Frames::default();
    machine.ram.iter().for_each(|range| frames.add(range));
    machine.taken().for_each(|range| frames.remove(range));
    frames.remove(0..FIRMWARE_BYTES);
    if let Some(host) = settings::early_host(machine.command_line) {
        frames.remove(host.0..host.0.saturating_add(HOST_AREA_BYTES as u64));
    }
    let image = image::layout();
    frames.remove(physical(image.text.start)..physical(image.symbols.end));
    frames
}

fn physical(image_address: u64) -> u64 {
    image_address.wrapping_sub(image::IMAGE_BASE)
}

fn kernel_tables(frames: &mut Frames, machine: &Machine) -> Result<Tables, MemoryError> {
    let mut tables = Tables::new(frames).ok_or(MemoryError::TooLittle)?;
    map_image(&mut tables, frames).map_err(MemoryError::Map)?;
    let mut map = |range: Range<u64>, flags| {
        tables.map(
            frames,
            DIRECT_MAP + range.start,
            GuestPhys(range.start),
            range.end - range.start,
            flags,
        )
    };
    // Other cores start in a page of it.
    let low = machine
        .low_page()
        .map_or(0..0, |page| page.0..page.0 + PAGE_BYTES);
    for (range, flags) in [
        (0..low.start, Flags::empty()),
        (low.clone(), Flags::WRITE),
        (low.end..FIRMWARE_BYTES, Flags::empty()),
    ] {
        map(range, flags).map_err(MemoryError::Map)?;
    }
    let image = image::layout();
    let fixed = physical(image.text.start)..physical(image.data.start);
    for range in machine.ram.iter() {
        let range =
            range.start.next_multiple_of(PAGE_BYTES).max(FIRMWARE_BYTES)..range.end & !(PAGE_BYTES - 1);
        // What is constant in the image is constant here too.
        let parts = [
            (range.start..range.end.min(fixed.start), Flags::WRITE),
            (
                range.start.max(fixed.start)..range.end.min(fixed.end),
                Flags::empty(),
            ),
            (range.start.max(fixed.end)..range.end, Flags::WRITE),
        ];
        for (part, flags) in parts.into_iter().filter(|(part, _)| !part.is_empty()) {
            map(part, flags).map_err(MemoryError::Map)?;
        }
    }
    Ok(tables)
}

fn map_image(tables: &mut Tables, frames: &mut Frames) -> Result<(), MapError> {
    let image = image::layout();
    let parts = [
        (image.text, Flags::EXEC),
        (image.rodata, Flags::empty()),
        (image.data, Flags::WRITE),
        (image.symbols, Flags::empty()),
    ];
    for (part, flags) in parts {
        let bytes = (part.end - part.start).next_multiple_of(PAGE_BYTES);
        tables.map(frames, part.start, GuestPhys(physical(part.start)), bytes, flags)?;
    }
    image
        .guards
        .iter()
        .try_for_each(|&guard| tables.unmap(frames, guard, PAGE_BYTES))
}

/// Maps a device's registers into the direct map, uncached.
///
/// # Errors
/// See [`MapError`]; the registers may be mapped already.
pub fn map_device(frames: &mut Frames, phys: GuestPhys, bytes: u64) -> Result<*mut u8, MapError> {
    let first = phys.0 & !(PAGE_BYTES - 1);
    let end = phys
        .0
        .checked_add(bytes)
        .and_then(|end| end.checked_next_multiple_of(PAGE_BYTES));
    let len = end.ok_or(MapError::WrongHalf)? - first;
    let virt = DIRECT_MAP.checked_add(first).ok_or(MapError::WrongHalf)?;
    paging::map(
        frames,
        virt,
        GuestPhys(first),
        len,
        Flags::WRITE | Flags::UNCACHED,
    )?;
    Ok(direct(phys))
}
