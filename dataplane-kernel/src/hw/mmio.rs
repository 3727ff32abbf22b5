//! Device registers in memory.

use super::cell::{Cell, Plain};
use crate::mem::{self, GuestPhys, frames::Frames};
use core::ptr::NonNull;

/// A mapped range of registers.
#[derive(Debug)]
pub struct Mmio {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: registers are mapped for all cores, for ever.
unsafe impl Send for Mmio {}

impl Mmio {
    /// Maps registers; `None` if that is not possible, or they are mapped already.
    pub fn map(frames: &mut Frames, phys: GuestPhys, bytes: u64) -> Option<Self> {
        let len = usize::try_from(bytes).ok()?;
        let base = NonNull::new(mem::map_device(frames, phys, bytes).ok()?)?;
        // SAFETY: mapped just now, uncached, and never unmapped.
        Some(unsafe { Mmio::new(base, len) })
    }

    /// # Safety
    /// `base` must be the start of `len` bytes of device registers, mapped uncached and writable for ever.
    pub unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        Mmio { base, len }
    }

    /// The register at `offset`; `None` if it is not inside, or not aligned.
    pub fn cell<T: Plain>(&self, offset: usize) -> Option<Cell<T>> {
        let end = offset.checked_add(size_of::<T>())?;
        let place = self.base.addr().get().checked_add(offset)?;
        if end > self.len || place % align_of::<T>() != 0 {
            return None;
        }
        // SAFETY: inside the mapping and aligned, as just checked; registers are only reached through cells.
        Some(unsafe { Cell::new(self.base.add(offset).cast()) })
    }

    /// The part of `len` bytes from `offset`; `None` if that is not inside.
    pub fn part(&self, offset: usize, len: usize) -> Option<Mmio> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: inside this mapping.
        let base = unsafe { self.base.add(offset) };
        Some(Mmio { base, len })
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Mmio;

    /// Memory in the place of registers.
    pub(crate) fn registers(bytes: usize) -> Mmio {
        let memory = crate::hw::dma::testing::memory(bytes, 4096);
        let base = core::ptr::NonNull::new(crate::mem::direct(memory.phys(0))).unwrap();
        // SAFETY: leaked memory of that size.
        unsafe { Mmio::new(base, bytes) }
    }
}
