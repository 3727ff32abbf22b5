//! A queue of table slots that never overflows, because a slot stands in it once at most; whoever pushes keeps a mark
//! of that in the slot.

use alloc::boxed::Box;

/// First in, first out.
#[derive(Debug)]
pub(crate) struct Ring {
    places: Box<[u32]>,
    mask: u32,
    head: u32,
    tail: u32,
}

impl Ring {
    /// Room for `capacity` slots.
    pub(crate) fn new(capacity: u32) -> Self {
        let size = capacity.clamp(1, 1 << 30).next_power_of_two();
        Ring {
            places: (0..size).map(|_| 0).collect(),
            mask: size - 1,
            head: 0,
            tail: 0,
        }
    }

    /// How many slots stand in it.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    /// Puts a slot at the end.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32) {
        debug_assert!(self.len() <= self.mask, "a slot stands in the ring twice");
        if let Some(place) = self.places.get_mut((self.tail & self.mask) as usize) {
            *place = slot;
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// The slot at the front.
    #[inline]
    pub(crate) fn front(&self) -> Option<u32> {
        if self.head == self.tail {
            return None;
        }
        self.places.get((self.head & self.mask) as usize).copied()
    }

    /// Takes the slot at the front.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.front()?;
        self.head = self.head.wrapping_add(1);
        Some(slot)
    }
}
