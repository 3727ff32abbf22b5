//! Order of accesses to memory shared with a device that reads and writes it like another processor (virtio 1.2,
//! section 2.7.13). On x86 the first two only hold back the compiler; the third costs an `mfence`.

use core::sync::atomic::{Ordering, fence};

/// What was read before is read before what comes after: between a ring's index and its entries.
#[inline(always)]
pub fn read() {
    fence(Ordering::Acquire);
}

/// What was written before is visible before what comes after: between a ring's entries and its index.
#[inline(always)]
pub fn write() {
    fence(Ordering::Release);
}

/// What was written before is visible before anything is read after: between an index and the device's answer
/// whether it wants to be told.
#[inline(always)]
pub fn full() {
    fence(Ordering::SeqCst);
}
