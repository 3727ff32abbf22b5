//! Reading and writing ring 3's memory. Ring 0 never follows a ring-3 address: it translates it, which is a bounds check
//! and an addition, and goes through the direct map.
//!
//! Other threads of the program may change the bytes meanwhile (on other cores) and the program may lie about them, so
//! values are copied once and then checked.

use super::memory::Memory;
use super::window::Protection;
use crate::mem::UserVirt;
use core::mem::MaybeUninit;
use ix_abi::app::{Endpoint, SgEntry};

/// Types of which every bit pattern is a legal value, without padding that could carry ring 0's data out.
///
/// # Safety
/// Implement it for nothing else.
pub unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for i32 {}
// SAFETY: as above.
unsafe impl Plain for u64 {}
// SAFETY: as above.
unsafe impl Plain for i64 {}
// SAFETY: arrays have no padding of their own.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
// SAFETY: two `u64`.
unsafe impl Plain for SgEntry {}
// SAFETY: `repr(C)`, integers and byte arrays only.
unsafe impl Plain for Endpoint {}

impl Memory {
    /// A copy of the value at `address`, which need not be aligned. `None`: not ring 3's memory.
    #[inline]
    pub(super) fn read<T: Plain>(&self, address: UserVirt) -> Option<T> {
        self.view().read(address)
    }

    /// Writes a value where ring 3 may itself write. `None`: it may not.
    pub(super) fn write<T: Plain>(&mut self, address: UserVirt, value: T) -> Option<()> {
        let len = size_of::<T>() as u64;
        let to = self.writable(address, len)?;
        // SAFETY: `writable` has found that many bytes of ring 3's memory.
        unsafe { to.cast::<T>().write_unaligned(value) };
        Some(())
    }

    /// Copies bytes from ring 3.
    pub(super) fn copy_in(&self, address: UserVirt, to: &mut [u8]) -> Option<()> {
        let from = self.pointer(address, to.len() as u64)?;
        // SAFETY: `pointer` has found that many bytes; ring 0's buffer is not ring 3's memory, so they do not overlap.
        unsafe { from.as_ptr().copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
        Some(())
    }

    /// Copies bytes to where ring 3 may itself write.
    pub(super) fn copy_out(&mut self, address: UserVirt, from: &[u8]) -> Option<()> {
        let to = self.writable(address, from.len() as u64)?;
        // SAFETY: `writable` has found that many bytes; ring 0's buffer is not ring 3's memory, so they do not overlap.
        unsafe { to.as_ptr().copy_from_nonoverlapping(from.as_ptr(), from.len()) };
        Some(())
    }

    /// The bytes before the first zero at `address`, if it comes within `N` bytes, in `buffer`.
    pub(super) fn read_string<'b, const N: usize>(
        &self,
        address: UserVirt,
        buffer: &'b mut MaybeUninit<[u8; N]>,
    ) -> Option<&'b [u8]> {
        let buffer = buffer.write([0; N]);
        for (place, offset) in buffer.iter_mut().zip(0..) {
            *place = self.read(UserVirt(address.0.checked_add(offset)?))?;
            if *place == 0 {
                let len = usize::try_from(offset).ok()?;
                return buffer.get(..len);
            }
        }
        None
    }

    /// Ring 3 may itself write there.
    pub(super) fn is_writable(&self, address: UserVirt, len: u64) -> bool {
        self.writable_pointer(address, len).is_some()
    }

    fn writable(&mut self, address: UserVirt, len: u64) -> Option<core::ptr::NonNull<u8>> {
        self.writable_pointer(address, len)
    }

    fn writable_pointer(&self, address: UserVirt, len: u64) -> Option<core::ptr::NonNull<u8>> {
        let pointer = self.pointer(address, len)?;
        let range = address.0..address.0 + len;
        (len == 0 || self.covers(&range, |p| p == Protection::ReadWrite)).then_some(pointer)
    }
}
