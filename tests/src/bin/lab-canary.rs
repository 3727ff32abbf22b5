//! Memory that nobody may touch: says at which physical address it lies, and on SIGTERM whether it is as it was.

use anyhow::{Context, Result, bail, ensure};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::signal::{SigSet, Signal};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;
/// What is in the memory; a page holds a whole number of them.
const WORD: &[u8] = b"canary! ";
/// Room to find neighbours in.
const PAGES: usize = 4096;
/// So many pages in a row are wanted.
const RUN: usize = 64;

fn main() -> Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    let memory = black_box(WORD.repeat(PAGES * PAGE / WORD.len()));
    mlockall(MlockAllFlags::MCL_CURRENT)?;
    let start = memory.as_ptr().addr().next_multiple_of(PAGE);
    let (first, physical) = contiguous(start, PAGES - 1)?;
    println!("canary at {physical:#x}");
    signals.wait()?;
    ensure!(
        frame(start + first * PAGE)? * PAGE as u64 == physical,
        "the kernel has moved the memory"
    );
    let mut words = black_box(&memory).chunks(WORD.len());
    if let Some(place) = words.position(|word| word != WORD) {
        bail!("word {place} has changed");
    }
    println!("unharmed");
    Ok(())
}

/// The first of [`RUN`] pages that are neighbours in physical memory too, and its physical address.
fn contiguous(start: usize, pages: usize) -> Result<(usize, u64)> {
    let frames: Vec<u64> = (0..pages)
        .map(|page| frame(start + page * PAGE))
        .collect::<Result<_>>()?;
    let first = frames
        .windows(RUN)
        .position(|run| run.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let first = first.context("no pages are neighbours")?;
    Ok((first, frames[first] * PAGE as u64))
}

/// The physical page at a virtual address (pagemap.rst in the kernel's documentation).
fn frame(address: usize) -> Result<u64> {
    let mut entry = [0; 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, (address / PAGE * 8) as u64)?;
    let entry = u64::from_le_bytes(entry);
    ensure!(entry >> 63 == 1, "a page is not in memory");
    let frame = entry & ((1 << 55) - 1);
    ensure!(frame != 0, "only root may know where memory lies");
    Ok(frame)
}
