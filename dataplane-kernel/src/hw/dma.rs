//! Memory shared with a device. It is taken at start and never given back, so what points into it is always valid,
//! and a device that was told of it can do no harm outside.

use super::cell::{Cell, Plain, Ring};
use crate::mem::{self, GuestPhys, frames::Frames};
use core::ptr::NonNull;

/// Physically contiguous memory that a device may read and write at any time.
#[derive(Debug)]
pub struct DmaMemory {
    base: NonNull<u8>,
    phys: GuestPhys,
    len: usize,
}

// SAFETY: the memory is its own, and mapped for all cores.
unsafe impl Send for DmaMemory {}

impl DmaMemory {
    /// Takes zeroed memory; `None` when there is none left.
    pub fn alloc(frames: &mut Frames, bytes: usize, align: usize) -> Option<Self> {
        let phys = frames.alloc(bytes as u64, align as u64)?;
        let base = NonNull::new(mem::direct(phys))?;
        // SAFETY: the allocator has just given the memory to nobody else, and the direct map holds all of it for ever.
        Some(unsafe { DmaMemory::new(base, phys, bytes) })
    }

    /// # Safety
    /// `base` must be the start of `len` bytes that are mapped for ever, referred to by nobody else, and at `phys` for
    /// the device.
    pub unsafe fn new(base: NonNull<u8>, phys: GuestPhys, len: usize) -> Self {
        DmaMemory { base, phys, len }
    }

    /// Where a device finds the byte at `offset`.
    #[inline]
    pub fn phys(&self, offset: usize) -> GuestPhys {
        GuestPhys(self.phys.0 + offset as u64)
    }

    /// The place at `offset`; `None` if it is not inside, or not aligned.
    pub fn cell<T: Plain>(&self, offset: usize) -> Option<Cell<T>> {
        let place = self.place::<T>(offset, 1)?;
        // SAFETY: inside, aligned, for ever; `into_buffers` consumes the memory, so nobody has references into it.
        Some(unsafe { Cell::new(place) })
    }

    /// The ring of `len` elements that starts at `offset`; `None` if it is not inside, not aligned, or `len` is no power
    /// of two.
    pub fn ring<T: Plain>(&self, offset: usize, len: u16) -> Option<Ring<T>> {
        let place = self.place::<T>(offset, len.into())?;
        // SAFETY: as in `cell`, for all elements.
        len.is_power_of_two().then(|| unsafe { Ring::new(place, len) })
    }

    fn place<T>(&self, offset: usize, count: usize) -> Option<NonNull<T>> {
        let end = count.checked_mul(size_of::<T>())?.checked_add(offset)?;
        let address = self.base.addr().get().checked_add(offset)?;
        if end > self.len || address % align_of::<T>() != 0 {
            return None;
        }
        // SAFETY: inside the memory.
        Some(unsafe { self.base.add(offset) }.cast())
    }

    /// The memory as buffers that the device only reads. `None` if it does not hold `count`, or that is no power of two.
    pub fn into_buffers(self, count: u16) -> Option<DmaBuffers> {
        let fits = DmaBuffers::bytes(count) <= self.len;
        (fits && count.is_power_of_two()).then(|| DmaBuffers {
            base: self.base,
            phys: self.phys,
            mask: count - 1,
        })
    }
}

/// Equal buffers for what a device is to send, in a ring: indices wrap. What is longer than a buffer goes on in those behind
/// it, and behind the last there are as many more as that takes.
#[derive(Debug)]
pub struct DmaBuffers {
    base: NonNull<u8>,
    phys: GuestPhys,
    mask: u16,
}

// SAFETY: as for `DmaMemory`, whose memory it is.
unsafe impl Send for DmaBuffers {}

impl DmaBuffers {
    /// Bytes of each.
    pub const BYTES: usize = 2048;

    /// Buffers that the longest frame goes over.
    pub const RUN: u16 = 5;

    /// Bytes of memory for `count`.
    pub const fn bytes(count: u16) -> usize {
        (count as usize + Self::RUN as usize - 1) * Self::BYTES
    }

    /// The buffer at `index` modulo their number, and the bytes of those behind it.
    #[inline(always)]
    pub fn run(&mut self, index: u16) -> &mut [u8; Self::BYTES * Self::RUN as usize] {
        let offset = self.offset(index);
        // SAFETY: as in `buffer`: behind the last buffer there is memory for a run.
        unsafe { self.base.add(offset).cast().as_mut() }
    }

    /// The buffer at `index` modulo their number.
    #[inline(always)]
    pub fn buffer(&mut self, index: u16) -> &mut [u8; Self::BYTES] {
        let offset = self.offset(index);
        // SAFETY: the mask keeps it inside memory that is ours for ever; `&mut self` makes the reference the only one.
        // The device is only ever told to read this memory.
        unsafe { self.base.add(offset).cast().as_mut() }
    }

    /// Where a device finds the buffer at `index` modulo their number.
    #[inline(always)]
    pub fn phys(&self, index: u16) -> GuestPhys {
        GuestPhys(self.phys.0 + self.offset(index) as u64)
    }

    #[inline(always)]
    fn offset(&self, index: u16) -> usize {
        usize::from(index & self.mask) * Self::BYTES
    }
}

/// Memory for tests, in which a device's address is the address itself, and a device's accesses to it.
#[cfg(test)]
pub(crate) mod testing {
    use super::{DmaMemory, GuestPhys, NonNull, mem};
    use std::alloc::{Layout, alloc_zeroed};
    use std::cell::RefCell;
    use std::vec::Vec;

    std::thread_local! {
        static TAKEN: RefCell<Vec<(u64, usize)>> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn memory(bytes: usize, align: usize) -> DmaMemory {
        let layout = Layout::from_size_align(bytes, align).unwrap();
        // SAFETY: not of size zero in any test.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        let phys = base.as_ptr().expose_provenance() as u64;
        TAKEN.with_borrow_mut(|taken| taken.push((phys, bytes)));
        // SAFETY: fresh, and leaked.
        unsafe { DmaMemory::new(base, GuestPhys(phys), bytes) }
    }

    fn pointer(phys: u64, len: usize) -> *mut u8 {
        let inside = |&(base, size): &(u64, usize)| phys >= base && phys + len as u64 <= base + size as u64;
        TAKEN.with_borrow(|taken| {
            assert!(
                taken.iter().any(inside),
                "a device access outside what it was given"
            )
        });
        mem::direct(GuestPhys(phys))
    }

    pub(crate) fn device_read(phys: u64, len: usize) -> Vec<u8> {
        let from = pointer(phys, len);
        // SAFETY: inside memory taken by this thread and leaked.
        (0..len).map(|i| unsafe { from.add(i).read_volatile() }).collect()
    }

    pub(crate) fn device_write(phys: u64, bytes: &[u8]) {
        let to = pointer(phys, bytes.len());
        for (i, &byte) in bytes.iter().enumerate() {
            // SAFETY: inside memory taken by this thread and leaked.
            unsafe { to.add(i).write_volatile(byte) };
        }
    }
}
