//! An item that is being received: its chunk is taken, so its value is written where it will be served from.

use super::items::Marks;
use super::layout::Layout;
use super::pool::Chunk;
use std::rc::Rc;

/// An item with key and flags, and as much of its value as has come. Give it to `Store::commit` or `Store::discard`.
pub(crate) struct Draft {
    pub(crate) chunk: Chunk,
    pub(crate) hash: u64,
    pub(crate) flags: u32,
    pub(crate) layout: Layout,
    pub(crate) marks: Marks,
    filled: usize,
}

impl Draft {
    /// In a `chunk` that is nobody else's.
    pub(super) fn new(mut chunk: Chunk, key: &[u8], hash: u64, flags: u32, layout: Layout) -> Self {
        layout.write(own(&mut chunk), key, flags);
        Draft {
            chunk,
            hash,
            flags,
            layout,
            marks: Marks::default(),
            filled: 0,
        }
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.chunk[self.layout.key()]
    }

    /// The value, once it is all there.
    pub(crate) fn value(&self) -> &[u8] {
        &self.chunk[self.layout.value()]
    }

    /// Bytes of the value still to come.
    pub(crate) fn missing(&self) -> usize {
        self.layout.value_len() - self.filled
    }

    /// Appends to the value as much of `bytes` as is missing; returns how much that was.
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.missing());
        let start = self.layout.value().start + self.filled;
        own(&mut self.chunk)[start..start + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }
}

/// # Panics
/// If it is shared: a draft's chunk never is.
fn own(chunk: &mut Chunk) -> &mut [u8] {
    Rc::get_mut(chunk).expect("a draft has its chunk for itself")
}
