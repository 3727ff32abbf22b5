//! Stacks of the cores that are started after the first, whose own are part of the image: for each core one for ring 0
//! and one per entry of the interrupt stack table, each above a page where nothing is.

use super::PAGE_BYTES;
use super::frames::Frames;
use super::paging::{self, Flags, MapError};
use crate::arch::smp::MAX_CORES;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where they lie.
const BASE: u64 = 0xffff_a000_0000_0000;
/// Address space of a core's.
const PER_CORE: u64 = 1 << 20;

/// Bytes of each: ring 0, then the traps. The linker script gives the first core's the same.
const SIZES: [u64; 5] = [256 << 10, 64 << 10, 64 << 10, 64 << 10, 64 << 10];

/// Cores that have theirs.
static CORES: AtomicU64 = AtomicU64::new(1);

/// The tops of a core's stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tops {
    /// Of ring 0.
    pub kernel: u64,
    /// Ordinary traps, double faults, NMIs, machine checks.
    pub traps: [u64; 4],
}

/// The stacks of a core, from its place on, in the order of [`SIZES`].
fn parts() -> impl Iterator<Item = Range<u64>> {
    let mut end = 0;
    SIZES.into_iter().map(move |bytes| {
        let start = end + PAGE_BYTES;
        end = start + bytes;
        start..end
    })
}

/// Takes the memory for the stacks of the next core, `core`, and maps them.
///
/// # Errors
/// See [`MapError`].
pub fn make(frames: &mut Frames, core: usize) -> Result<Tops, MapError> {
    assert!((1..MAX_CORES).contains(&core));
    let base = BASE + core as u64 * PER_CORE;
    let mut tops = [0; SIZES.len()];
    for (part, top) in parts().zip(&mut tops) {
        let bytes = part.end - part.start;
        let phys = frames.alloc(bytes, PAGE_BYTES).ok_or(MapError::OutOfMemory)?;
        paging::map(frames, base + part.start, phys, bytes, Flags::WRITE)?;
        *top = base + part.end;
    }
    CORES.store(core as u64 + 1, Ordering::Release);
    let [kernel, traps @ ..] = tops;
    Ok(Tops { kernel, traps })
}

/// Where in its core's part of the address space an address lies.
fn offset(address: u64) -> Option<u64> {
    let offset = address.checked_sub(BASE)?;
    let core = offset / PER_CORE;
    (core > 0 && core < CORES.load(Ordering::Acquire)).then_some(offset % PER_CORE)
}

/// `true` for addresses in one of the stacks.
pub fn contains(address: u64) -> bool {
    offset(address).is_some_and(|offset| parts().any(|part| part.contains(&offset)))
}

/// `true` for addresses in the pages below them.
pub fn is_guard(address: u64) -> bool {
    offset(address)
        .is_some_and(|offset| parts().any(|part| (part.start - PAGE_BYTES..part.start).contains(&offset)))
}

#[cfg(test)]
mod tests {
    use super::{BASE, CORES, PAGE_BYTES, PER_CORE, contains, is_guard, parts};
    use core::sync::atomic::Ordering;

    #[test]
    fn stacks_and_their_guards_are_told_apart() {
        assert!(parts().last().is_some_and(|last| last.end <= PER_CORE));
        CORES.store(2, Ordering::Release);
        let base = BASE + PER_CORE;
        for part in parts() {
            let (start, end) = (base + part.start, base + part.end);
            assert!(contains(start) && contains(end - 1) && !contains(start - 1));
            assert!(is_guard(start - 1) && is_guard(start - PAGE_BYTES) && !is_guard(start));
        }
        for foreign in [0, BASE, BASE + PAGE_BYTES, base + PER_CORE + PAGE_BYTES, u64::MAX] {
            assert!(!contains(foreign) && !is_guard(foreign), "{foreign:#x}");
        }
    }
}
