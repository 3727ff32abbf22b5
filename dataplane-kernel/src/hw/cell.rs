//! Volatile places in registers and in memory shared with a device. What is read from one may be anything: it is the
//! reader's to check.

use core::ptr::NonNull;

/// Types any bit pattern of which is a value, without padding, that one or two moves read and write.
///
/// # Safety
/// The type must be exactly that.
pub unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: integers.
unsafe impl Plain for u16 {}
// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for u64 {}
// SAFETY: integers, and no padding between them.
unsafe impl Plain for [u64; 2] {}

/// One place. A copy is the same place, which is there for ever.
#[derive(Clone, Debug)]
pub struct Cell<T>(NonNull<T>);

// SAFETY: a place that is valid for as long as the cell exists is so on every core, and volatile accesses of several are those of
// several bus masters, which registers and shared memory are made for.
unsafe impl<T: Plain> Send for Cell<T> {}

impl<T: Plain> Cell<T> {
    /// # Safety
    /// `place` must be aligned, and valid for reads and writes for as long as the cell exists; nothing in the kernel
    /// may hold a reference to it.
    pub(super) unsafe fn new(place: NonNull<T>) -> Self {
        Cell(place)
    }

    /// Reads it, once.
    #[inline(always)]
    pub fn read(&self) -> T {
        // SAFETY: `new`.
        unsafe { self.0.read_volatile() }
    }

    /// Writes it, once.
    #[inline(always)]
    pub fn write(&self, value: T) {
        // SAFETY: `new`.
        unsafe { self.0.write_volatile(value) }
    }
}

/// An array, as long as a power of two, whose indices wrap: every index is a legal one, without a branch.
#[derive(Debug)]
pub struct Ring<T> {
    first: NonNull<T>,
    mask: u16,
}

// SAFETY: as for `Cell`.
unsafe impl<T: Plain> Send for Ring<T> {}

impl<T: Plain> Ring<T> {
    /// # Safety
    /// As for [`Cell::new`], for all of `len` elements; `len` must be a power of two.
    pub(super) unsafe fn new(first: NonNull<T>, len: u16) -> Self {
        Ring {
            first,
            mask: len.wrapping_sub(1),
        }
    }

    /// Reads the element at `index` modulo the length.
    #[inline(always)]
    pub fn read(&self, index: u16) -> T {
        // SAFETY: `new`; the mask keeps the index inside.
        unsafe { self.first.add(usize::from(index & self.mask)).read_volatile() }
    }

    /// Writes the element at `index` modulo the length.
    #[inline(always)]
    pub fn write(&self, index: u16, value: T) {
        // SAFETY: `new`; the mask keeps the index inside.
        unsafe {
            self.first
                .add(usize::from(index & self.mask))
                .write_volatile(value)
        }
    }
}

impl Ring<[u64; 2]> {
    /// Writes the words of the element at `index` modulo the length, one after the other. (As one volatile write they
    /// would pass through the stack.)
    #[inline(always)]
    pub fn write_words(&self, index: u16, first: u64, second: u64) {
        // SAFETY: `new`; the mask keeps the index inside, and an element is two words.
        unsafe {
            let words = self.first.add(usize::from(index & self.mask)).cast::<u64>();
            words.write_volatile(first);
            words.add(1).write_volatile(second);
        }
    }

    /// Writes the first word only.
    #[inline(always)]
    pub fn write_first_word(&self, index: u16, first: u64) {
        // SAFETY: as in `write_words`.
        unsafe {
            self.first
                .add(usize::from(index & self.mask))
                .cast::<u64>()
                .write_volatile(first)
        }
    }
}
