//! Where ring 3's memory lies: one or two linear windows over guest memory, fixed from the start. So every core may have a
//! copy, and checking a pointer takes a comparison and no lock.

use super::access::Plain;
use super::window::Linear;
use crate::mem::{GuestPhys, UserVirt, direct};
use core::ptr::NonNull;

/// The windows.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub(super) arena: Linear,
    /// Of a program with addresses of its own.
    pub(super) fixed: Option<Linear>,
}

impl View {
    /// Where `len` bytes of the app's memory at `address` lie, mapped or not. `None`: they are not, or not all, the app's.
    #[inline]
    pub fn translate(&self, address: UserVirt, len: u64) -> Option<GuestPhys> {
        match self.arena.translate(address, len) {
            Some(phys) => Some(phys),
            None => self.fixed.as_ref()?.translate(address, len),
        }
    }

    /// The same through the direct map.
    #[inline]
    pub(super) fn pointer(&self, address: UserVirt, len: u64) -> Option<NonNull<u8>> {
        NonNull::new(direct(self.translate(address, len)?))
    }

    /// A copy of the value at `address`, which need not be aligned. `None`: not the app's memory.
    #[inline]
    pub fn read<T: Plain>(&self, address: UserVirt) -> Option<T> {
        let from = self.pointer(address, size_of::<T>() as u64)?;
        // SAFETY: `pointer` has found that many bytes of ring 3's memory; any bit pattern will do.
        Some(unsafe { from.cast::<T>().read_unaligned() })
    }
}
