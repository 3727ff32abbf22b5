//! Turns a checked `Image` into memory and a first thread.

use super::image::{Image, LoadError, Placement};
use super::memory::{Memory, Refused, Replace};
use super::random::Random;
use super::stack::{Start, aux};
use super::window::{BLOCK, PAGE, Protection, Ram, Root, Window, table_bytes};
use crate::arch::context::Context;
use crate::arch::{control, shootdown};
use crate::mem::frames::Frames;
use crate::mem::{self, GuestPhys, UserVirt};
use alloc::vec::Vec;
use core::arch::x86_64::__cpuid;
use core::ops::Range;
use ix_abi::app::layout;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;

/// A program to load.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its ELF file.
    pub file: &'static [u8],
    /// Arguments; the first is its name.
    pub args: &'a [&'a [u8]],
    /// Environment, each `NAME=value`.
    pub env: &'a [&'a [u8]],
}

/// What [`load`] makes.
pub(super) struct Loaded {
    pub(super) memory: Memory,
    pub(super) context: Context,
    pub(super) stack_bytes: u64,
    /// What was added to the file's addresses.
    pub(super) bias: u64,
}

/// Size of the first thread's stack, when the arena is large enough for it to be a [`STACK_SHARE`]th.
const STACK_BYTES: u64 = 8 << 20;
const STACK_SHARE: u64 = 16;

/// Below the first mapping of the arena: nothing, so that small offsets from its start fault.
const FIRST_OFFSET: u64 = 64 << 10;

/// Program header size.
const HEADER_BYTES: u64 = 56;

/// Bit of AT_HWCAP2: ring 3 may use `wrfsbase` and its like.
const HWCAP2_FSGSBASE: u64 = 1 << 1;

/// Room beyond the XSAVE area in a signal frame, as Linux counts it.
const SIGNAL_FRAME_BYTES: u64 = 1024;

/// glibc reserves 64 MiB of address space for each thread's malloc arena, relying on memory being taken when it is
/// touched. Here a reservation takes memory at once, so it is refused, and glibc would then map each small allocation of
/// such a thread apart. With one arena for all threads it does not try.
const TUNABLES: &[u8] = b"GLIBC_TUNABLES=";
const ONE_MALLOC_ARENA: &[u8] = b"GLIBC_TUNABLES=glibc.malloc.arena_max=1";

/// Loads a program: takes its memory, maps it, and prepares the first thread.
pub(super) fn load(
    program: &Program<'_>,
    frames: &mut Frames,
    random: &mut Random,
) -> Result<Loaded, LoadError> {
    let image = Image::parse(program.file)?;
    let fixed = match image.placement {
        Placement::Fixed => Some(fixed_window(frames, image.span())?),
        Placement::Anywhere => None,
    };
    let arena = arena_window(frames)?;
    let arena_range = arena.range();
    let mut memory = Memory::new(arena, fixed, forget);
    let first = arena_range.start + FIRST_OFFSET;
    let bias = match image.placement {
        Placement::Fixed => 0,
        Placement::Anywhere => {
            let base = image.span().start & !(image.align - 1);
            first.next_multiple_of(image.align).wrapping_sub(base)
        }
    };
    map_segments(&mut memory, &image, bias)?;
    memory.start_heap(match image.placement {
        Placement::Fixed => first,
        // A page between the two, so that running off the image does not end in the heap.
        Placement::Anywhere => placed(image.span().end, bias) + PAGE,
    });
    let stack_bytes = STACK_BYTES.min(memory.arena_bytes() / STACK_SHARE) & !(PAGE - 1);
    let top = map_stack(&mut memory, stack_bytes)?;
    let stack = start_stack(program, &image, bias, random, top, stack_bytes)?;
    let rsp = top - stack.len() as u64;
    memory
        .copy_out(UserVirt(rsp), &stack)
        .ok_or(LoadError::ArgumentsTooLong)?;
    log::info!(
        "{} KiB arena, image at {:#x}, entry {:#x}, stack {:#x}",
        (arena_range.end - arena_range.start) >> 10,
        placed(image.span().start, bias),
        placed(image.entry, bias),
        rsp
    );
    Ok(Loaded {
        memory,
        context: Context::new(placed(image.entry, bias), rsp),
        stack_bytes,
        bias,
    })
}

/// Where an address of the file's lies. A bias may be negative, and addresses that no segment holds (of the program
/// headers, say) may be anything.
fn placed(address: u64, bias: u64) -> u64 {
    address.wrapping_add(bias)
}

fn map_segments(memory: &mut Memory, image: &Image<'_>, bias: u64) -> Result<(), LoadError> {
    for segment in &image.segments {
        let (start, len) = (
            placed(segment.pages.start, bias),
            segment.pages.end - segment.pages.start,
        );
        let out_of_memory = |_: Refused| LoadError::OutOfMemory { wanted_bytes: len };
        memory
            .map_at(start, len, Protection::ReadWrite, Replace::No)
            .map_err(out_of_memory)?;
        let out_of_range = LoadError::OutOfRange {
            address: segment.address,
        };
        memory
            .copy_out(UserVirt(placed(segment.address, bias)), segment.data)
            .ok_or(out_of_range)?;
        memory
            .protect(start, len, segment.protection)
            .map_err(out_of_memory)?;
    }
    Ok(())
}

/// A stack with a page below it that faults; returns its top.
fn map_stack(memory: &mut Memory, bytes: u64) -> Result<u64, LoadError> {
    let out_of_memory = |_: Refused| LoadError::OutOfMemory { wanted_bytes: bytes };
    let guard = memory
        .map(0, bytes + PAGE, Protection::None)
        .map_err(out_of_memory)?;
    memory
        .protect(guard + PAGE, bytes, Protection::ReadWrite)
        .map_err(out_of_memory)?;
    Ok(guard + PAGE + bytes)
}

fn start_stack(
    program: &Program<'_>,
    image: &Image<'_>,
    bias: u64,
    random: &mut Random,
    top: u64,
    stack_bytes: u64,
) -> Result<Vec<u8>, LoadError> {
    let mut env = program.env.to_vec();
    if !env.iter().any(|var| var.starts_with(TUNABLES)) {
        env.push(ONE_MALLOC_ARENA);
    }
    let headers = if image.headers == 0 {
        0
    } else {
        placed(image.headers, bias)
    };
    let hwcap2 = if control::has_fsgsbase() {
        HWCAP2_FSGSBASE
    } else {
        0
    };
    let numbers = [
        (aux::PHDR, headers),
        (aux::PHENT, HEADER_BYTES),
        (aux::PHNUM, image.header_count),
        (aux::PAGESZ, PAGE),
        (aux::BASE, 0),
        (aux::FLAGS, 0),
        (aux::ENTRY, placed(image.entry, bias)),
        (aux::UID, USER_ID),
        (aux::EUID, USER_ID),
        (aux::GID, USER_ID),
        (aux::EGID, USER_ID),
        (aux::SECURE, 0),
        (aux::HWCAP, u64::from(__cpuid(1).edx)),
        (aux::HWCAP2, hwcap2),
        (aux::CLKTCK, 100),
        (
            aux::MINSIGSTKSZ,
            control::xsave_bytes() as u64 + SIGNAL_FRAME_BYTES,
        ),
    ];
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let start = Start {
        args: program.args,
        env: &env,
        numbers: &numbers,
        random: bytes,
    };
    start.image(top, usize::try_from(stack_bytes / 4).unwrap_or(0))
}

/// User and group a program believes to be; nothing here depends on it.
pub(super) const USER_ID: u64 = 1000;

/// The arena: the largest range of free memory there is.
fn arena_window(frames: &mut Frames) -> Result<Window, LoadError> {
    let most = frames.largest_free().min(ARENA_MAX_BYTES);
    let tables = take(frames, table_bytes(layout::ARENA, most), PAGE, Clear::Yes)?;
    let mut len = frames.largest_free().min(ARENA_MAX_BYTES) & !(BLOCK - 1);
    // Where the range starts decides how much of it is lost to alignment.
    while len > 0 {
        if let Ok(ram) = take(frames, len, BLOCK, Clear::No) {
            return hang(layout::ARENA, ram, tables);
        }
        len -= BLOCK;
    }
    Err(LoadError::OutOfMemory { wanted_bytes: BLOCK })
}

/// One slot of the top-level table.
const ARENA_MAX_BYTES: u64 = 512 << 30;

/// A window for a program that lies at its own addresses.
fn fixed_window(frames: &mut Frames, span: Range<u64>) -> Result<Window, LoadError> {
    let start = span.start & !(BLOCK - 1);
    let len = span.end - start;
    let tables = take(frames, table_bytes(start, len), PAGE, Clear::Yes)?;
    let ram = take(frames, len, BLOCK, Clear::No)?;
    hang(start, ram, tables)
}

#[derive(PartialEq, Eq)]
enum Clear {
    Yes,
    No,
}

fn take(frames: &mut Frames, len: u64, align: u64, clear: Clear) -> Result<Ram, LoadError> {
    let phys = match clear {
        Clear::Yes => frames.alloc(len, align),
        Clear::No => frames.alloc_uncleared(len, align),
    };
    Ok(Ram {
        phys: phys.ok_or(LoadError::OutOfMemory { wanted_bytes: len })?,
        len,
    })
}

/// Makes a window and hangs its page tables into the address space.
fn hang(start: u64, ram: Ram, tables: Ram) -> Result<Window, LoadError> {
    let wanted_bytes = ram.len;
    // SAFETY: both were just taken from the allocator, which hands nothing out twice.
    let window = unsafe { Window::new(start, ram, tables) };
    let (window, Root { slot, entry }) = window.ok_or(LoadError::OutOfMemory { wanted_bytes })?;
    let (top, _) = Cr3::read();
    let top = mem::direct(GuestPhys(top.start_address().as_u64())).cast::<u64>();
    // SAFETY: the top-level table is a page of the direct map, and `slot` below 256, in ring 3's half; the entry names the
    // window's own tables, which map ring 3's memory alone. The slot was empty, so the processor remembers nothing of it.
    unsafe { top.add(slot).write_volatile(entry) };
    Ok(window)
}

/// Beyond this many pages, dropping all translations is cheaper than each.
const FORGET_ALL_PAGES: u64 = 64;

/// Makes all cores forget how they had a range of ring 3's half mapped. The lock that the memory is behind sees to it that
/// no two cores do this at once.
fn forget(range: Range<u64>) {
    if (range.end - range.start) / PAGE > FORGET_ALL_PAGES {
        tlb::flush_all();
    } else {
        let pages = (0..)
            .map(|page| range.start + page * PAGE)
            .take_while(|&page| page < range.end);
        pages.for_each(|page| tlb::flush(VirtAddr::new_truncate(page)));
    }
    shootdown::everywhere();
}
