//! The memory that items live in: chunks of a few sizes, counted, lent to the network and taken back.
//!
//! A chunk is shared bytes. The store has one reference; each reply that carries it to a client has another until the
//! client has acknowledged it. A chunk that the store gives back while it is being sent waits *in limbo*, and is used again
//! when it is nobody else's.

use super::classes::Classes;
use std::collections::VecDeque;
use std::rc::Rc;

/// Shared bytes of the size of a class.
pub(crate) type Chunk = Rc<[u8]>;

/// What a chunk costs beyond its bytes: its reference counts, the allocator's header, the item's entry in the arena and in
/// the hash table.
const OVERHEAD: usize = 16 + 16 + 64 + 8;

/// Chunks in limbo that one request for a chunk looks at.
const LOOKS: usize = 4;

/// Free chunks, and those in limbo, of one size.
#[derive(Default)]
struct Class {
    free: Vec<Chunk>,
    limbo: VecDeque<Chunk>,
    /// All there are, free or not.
    total: usize,
    /// Those that are an item's or a draft's.
    used: usize,
}

/// What `stats slabs` tells of one class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClassUse {
    pub(crate) size: usize,
    pub(crate) total: usize,
    pub(crate) used: usize,
    /// Given up by the store, and still being sent.
    pub(crate) in_limbo: usize,
}

pub(crate) struct Pool {
    sizes: Classes,
    classes: Vec<Class>,
    /// Bytes of all chunks, their overhead included.
    allocated: usize,
    limit: usize,
}

impl Pool {
    /// Chunks of at most `largest` bytes, `limit` bytes in all.
    pub(crate) fn new(limit: usize, largest: usize) -> Self {
        let sizes = Classes::up_to(largest);
        let classes = sizes.sizes().iter().map(|_| Class::default()).collect();
        Pool {
            sizes,
            classes,
            allocated: 0,
            limit,
        }
    }

    /// A chunk with room for `bytes`, if there is one or memory for one.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Chunk> {
        let index = self.sizes.of(bytes)?;
        let class = &mut self.classes[index];
        let chunk = match class.free.pop() {
            Some(chunk) => chunk,
            None => self.take_anew(index)?,
        };
        self.classes[index].used += 1;
        Some(chunk)
    }

    #[cold]
    fn take_anew(&mut self, index: usize) -> Option<Chunk> {
        if let Some(chunk) = self.classes[index].home_from_limbo() {
            return Some(chunk);
        }
        let size = self.sizes.sizes()[index];
        let cost = size + OVERHEAD;
        if self.allocated + cost > self.limit {
            self.trim(cost);
            if self.allocated + cost > self.limit {
                return None;
            }
        }
        self.allocated += cost;
        self.classes[index].total += 1;
        Some(std::iter::repeat_n(0, size).collect())
    }

    /// Gives free chunks up until there is room for `cost` bytes, large ones first.
    fn trim(&mut self, cost: usize) {
        for (class, size) in self.classes.iter_mut().zip(self.sizes.sizes()).rev() {
            while self.allocated + cost > self.limit {
                let Some(chunk) = class.free.pop().or_else(|| class.home_from_limbo()) else {
                    break;
                };
                drop(chunk);
                class.total -= 1;
                self.allocated -= size + OVERHEAD;
            }
        }
    }

    /// Takes a chunk back.
    #[inline]
    pub(crate) fn give(&mut self, chunk: Chunk) {
        let Some(index) = self.sizes.of(chunk.len()) else {
            return;
        };
        let class = &mut self.classes[index];
        class.used -= 1;
        if Rc::strong_count(&chunk) == 1 {
            class.free.push(chunk);
        } else {
            class.limbo.push_back(chunk);
        }
    }

    /// Frees what has come home from limbo, wherever it stands.
    pub(crate) fn sweep(&mut self) {
        for class in &mut self.classes {
            for _ in 0..class.limbo.len() {
                if let Some(chunk) = class.limbo.pop_front() {
                    if Rc::strong_count(&chunk) == 1 {
                        class.free.push(chunk);
                    } else {
                        class.limbo.push_back(chunk);
                    }
                }
            }
        }
    }

    /// Bytes of all chunks, their overhead included.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Number of the class that chunks of `bytes` belong to, from 0.
    pub(crate) fn class_of(&self, bytes: usize) -> usize {
        self.sizes.of(bytes).unwrap_or(self.classes.len())
    }

    /// How each class is used.
    pub(crate) fn uses(&self) -> impl Iterator<Item = ClassUse> + '_ {
        let sizes = self.sizes.sizes().iter();
        sizes.zip(&self.classes).map(|(size, class)| ClassUse {
            size: *size,
            total: class.total,
            used: class.used,
            in_limbo: class.limbo.len(),
        })
    }
}

impl Class {
    /// One of the chunks in limbo that is nobody else's any more. Looks at the oldest few only.
    fn home_from_limbo(&mut self) -> Option<Chunk> {
        for _ in 0..LOOKS.min(self.limbo.len()) {
            let chunk = self.limbo.pop_front()?;
            if Rc::strong_count(&chunk) == 1 {
                return Some(chunk);
            }
            self.limbo.push_back(chunk);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{OVERHEAD, Pool};
    use std::rc::Rc;

    #[test]
    fn a_chunk_is_not_used_again_while_it_is_sent() {
        let mut pool = Pool::new(10_000, 1_000);
        let chunk = pool.take(100).unwrap();
        let place = chunk.as_ptr();
        let sending = Rc::clone(&chunk);
        pool.give(chunk);
        let other = pool.take(100).unwrap();
        assert_ne!(other.as_ptr(), place);
        drop(sending);
        assert_eq!(pool.take(100).unwrap().as_ptr(), place);
    }

    #[test]
    fn memory_is_bounded_and_moves_between_classes() {
        let mut pool = Pool::new(10_000, 5_000);
        let mut small = Vec::new();
        while let Some(chunk) = pool.take(100) {
            small.push(chunk);
        }
        assert!(pool.allocated() <= 10_000 && pool.allocated() > 10_000 - 112 - OVERHEAD);
        assert!(pool.take(4_000).is_none());
        for chunk in small.drain(..) {
            pool.give(chunk);
        }
        let large = pool.take(4_000).unwrap();
        assert!(pool.allocated() <= 10_000);
        pool.give(large);
        assert_eq!(pool.uses().map(|class| class.used).sum::<usize>(), 0);
    }

    #[test]
    fn what_is_being_sent_counts_until_it_is_home() {
        let mut pool = Pool::new(1_000, 500);
        let chunk = pool.take(500).unwrap();
        let sending = Rc::clone(&chunk);
        pool.give(chunk);
        assert!(pool.take(500).is_none());
        pool.sweep();
        assert_eq!(pool.uses().map(|class| class.in_limbo).sum::<usize>(), 1);
        drop(sending);
        pool.sweep();
        assert!(pool.take(500).is_some());
    }
}
