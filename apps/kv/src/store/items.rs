//! What the store knows of each item, but its bytes: a cache line each, in pages that never move.

use super::clock::Expiry;
use super::layout::Layout;
use super::pool::Chunk;

/// Items of one page: what growing costs at a time.
const PAGE: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 10;

/// Where an item is, for as long as it is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

impl Slot {
    /// No item.
    pub(crate) const NONE: Slot = Slot(u32::MAX);
}

/// Things to remember of an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u8);

impl Marks {
    /// Asked for since it was stored.
    pub(crate) const FETCHED: Marks = Marks(1);
    /// Asked for since it was last considered for eviction.
    pub(crate) const ACTIVE: Marks = Marks(2);
    /// Invalidated: served, but to be renewed.
    pub(crate) const STALE: Marks = Marks(4);
    /// Some client has been told that it may renew it.
    pub(crate) const TOKEN_SENT: Marks = Marks(8);
    /// The key is binary, and written in base64.
    pub(crate) const BINARY_KEY: Marks = Marks(16);

    #[inline]
    pub(crate) fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, marks: Marks) {
        self.0 |= marks.0;
    }

    pub(crate) fn clear(&mut self, marks: Marks) {
        self.0 &= !marks.0;
    }
}

/// An item without its bytes, which are in `chunk`.
pub(crate) struct Item {
    pub(crate) chunk: Chunk,
    pub(crate) hash: u64,
    pub(crate) cas: u64,
    pub(crate) flags: u32,
    pub(crate) expiry: Expiry,
    /// When it was last asked for, in seconds on the clock.
    pub(crate) accessed: u32,
    pub(crate) layout: Layout,
    /// Neighbours in the order of eviction.
    pub(super) newer: Slot,
    pub(super) older: Slot,
    /// Of the store when it was stored: one before a flush is void.
    pub(super) epoch: u16,
    pub(crate) marks: Marks,
}

const _: () = assert!(size_of::<Option<Item>>() == 64);

impl Item {
    #[inline]
    pub(crate) fn key(&self) -> &[u8] {
        &self.chunk[self.layout.key()]
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.chunk[self.layout.value()]
    }
}

/// The arena.
#[derive(Default)]
pub(crate) struct Items {
    pages: Vec<Box<[Option<Item>]>>,
    free: Vec<Slot>,
}

impl Items {
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&Item> {
        let page = self.pages.get((slot.0 >> PAGE_BITS) as usize)?;
        page[slot.0 as usize % PAGE].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Item> {
        let page = self.pages.get_mut((slot.0 >> PAGE_BITS) as usize)?;
        page[slot.0 as usize % PAGE].as_mut()
    }

    /// # Panics
    /// At 2^32 - 1 items.
    pub(crate) fn insert(&mut self, item: Item) -> Slot {
        if self.free.is_empty() {
            self.grow();
        }
        let slot = self.free.pop().expect("it has just grown");
        self.pages[(slot.0 >> PAGE_BITS) as usize][slot.0 as usize % PAGE] = Some(item);
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Item> {
        let page = self.pages.get_mut((slot.0 >> PAGE_BITS) as usize)?;
        let item = page[slot.0 as usize % PAGE].take()?;
        self.free.push(slot);
        Some(item)
    }

    #[cold]
    fn grow(&mut self) {
        let first = u32::try_from(self.pages.len() << PAGE_BITS).expect("fewer than 2^32 items");
        assert!(first < Slot::NONE.0 - (1 << PAGE_BITS), "fewer than 2^32 items");
        self.pages
            .push(std::iter::repeat_with(|| None).take(PAGE).collect());
        self.free
            .extend((first..first + (1 << PAGE_BITS)).rev().map(Slot));
    }

    /// Slots there are, used or not.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.pages.len() << PAGE_BITS).unwrap_or(u32::MAX)
    }

    pub(crate) fn slot(place: u32) -> Slot {
        Slot(place)
    }
}
