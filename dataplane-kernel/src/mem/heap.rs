//! The kernel's heap: what is sized at start, or off the data path.

use core::ptr::NonNull;
use talc::{ErrOnOom, Span, Talc, Talck};

/// The global allocator. Ring 0 is never interrupted, so its lock is never waited for on one core.
pub type Heap = Talck<spin::Mutex<()>, ErrOnOom>;

/// A heap without memory, for the `static` that is the global allocator.
pub const fn new() -> Heap {
    Talc::new(ErrOnOom).lock()
}

/// Gives the heap its memory; `false` if that is too little to begin with.
///
/// # Safety
/// The `bytes` at `base` must be mapped, writable and nobody else's for ever.
pub(super) unsafe fn claim(heap: &Heap, base: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's promise is what `claim` asks for.
    unsafe { heap.lock().claim(Span::from_base_size(base.as_ptr(), bytes)) }.is_ok()
}
