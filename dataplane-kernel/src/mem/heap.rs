//! The kernel's heap: what is sized at start, or off the data path.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use talc::{ErrOnOom, Span, Talc, Talck};

/// Bytes of a line of the cache.
const LINE_BYTES: usize = 64;

/// The global allocator. Blocks are whole lines of the cache: what a core writes is in no line with what another has.
#[allow(missing_debug_implementations, reason = "what it consists of has none")]
pub struct Heap {
    /// Ring 0 is never interrupted, so its lock is never waited for on one core.
    blocks: Talck<spin::Mutex<()>, ErrOnOom>,
}

impl Heap {
    /// A heap without memory, for the `static` that is the global allocator.
    #[must_use]
    pub const fn new() -> Self {
        Heap {
            blocks: Talc::new(ErrOnOom).lock(),
        }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

/// What is taken for a block; `None` if it is larger than anything can be.
fn in_lines(layout: Layout) -> Option<Layout> {
    Some(layout.align_to(LINE_BYTES).ok()?.pad_to_align())
}

// SAFETY: the blocks are those of `Talck`, with the layout that `in_lines` makes of the same one each time, and it is never
// less than was asked for.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match in_lines(layout) {
            // SAFETY: the layout has a size if the caller's has.
            Some(layout) => unsafe { self.blocks.alloc(layout) },
            None => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(layout) = in_lines(layout) {
            // SAFETY: `alloc` has given the block for this layout.
            unsafe { self.blocks.dealloc(block, layout) }
        }
    }
}

/// Gives the heap its memory; `false` if that is too little to begin with.
///
/// # Safety
/// The `bytes` at `base` must be mapped, writable and nobody else's for ever.
pub(super) unsafe fn claim(heap: &Heap, base: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the caller's promise is what `claim` asks for.
    unsafe {
        heap.blocks
            .lock()
            .claim(Span::from_base_size(base.as_ptr(), bytes))
    }
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Heap, LINE_BYTES, claim};
    use core::alloc::{GlobalAlloc, Layout};
    use core::ptr::NonNull;
    use std::boxed::Box;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn no_two_blocks_share_a_line_of_the_cache() {
        let memory = Box::leak(vec![0_u8; 1 << 20].into_boxed_slice());
        let heap = Heap::new();
        // SAFETY: leaked just now, and given to nobody else.
        assert!(unsafe { claim(&heap, NonNull::from(&mut memory[0]), memory.len()) });
        let mut blocks = Vec::new();
        for bytes in [1, 8, 63, 64, 65, 1000].repeat(50) {
            let layout = Layout::from_size_align(bytes, 8).unwrap();
            // SAFETY: the layout has a size.
            let block = unsafe { heap.alloc(layout) };
            assert!(!block.is_null());
            let first = block.addr() / LINE_BYTES;
            blocks.push((first..=(block.addr() + bytes - 1) / LINE_BYTES, block, layout));
        }
        blocks.sort_by_key(|(lines, ..)| *lines.start());
        assert!(blocks.windows(2).all(|two| two[0].0.end() < two[1].0.start()));
        for (_, block, layout) in blocks {
            // SAFETY: a block of this layout's, given back once.
            unsafe { heap.dealloc(block, layout) };
        }
        // SAFETY: the layout has a size.
        let all = unsafe { heap.alloc(Layout::from_size_align(1000 << 10, 64).unwrap()) };
        assert!(!all.is_null(), "what was given back is there again");
    }
}
