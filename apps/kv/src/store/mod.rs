//! The items of one core: a hash table, an order of eviction, and the memory they live in. Nothing in here is shared
//! between cores, and nothing here knows a protocol.
//!
//! `fetch` finds an item; `draft` and `commit` store one;
//! `add_delta` counts. An item is void when it has expired or was stored before a flush; it goes when
//! somebody asks for it or the `crawl` comes by.

mod clock;
pub use clock::Clock;
pub(crate) use clock::Expiry;

mod classes;

mod pool;
pub(crate) use pool::ClassUse;

mod layout;

mod items;
pub(crate) use items::{Item, Marks, Slot};

mod table;
pub(crate) use table::Key;
pub use table::KeyHasher;

mod eviction;

mod draft;
pub(crate) use draft::Draft;

mod commit;
pub(crate) use commit::{Commit, Mode, Outcome};

mod delta;
pub(crate) use delta::{Delta, DeltaOutcome, Direction, Initial};

mod crawl;

mod counters;
pub use counters::Counters;

#[cfg(test)]
mod tests;

use eviction::Order;
use items::Items;
use layout::Layout;
use pool::{Chunk, Pool};
use table::Table;

/// What memcached counts an item's header for when it compares it with the limit: 48 bytes and the CAS id.
const MEMCACHED_HEADER: usize = 48 + 8;

/// Longest key, in bytes.
pub(crate) const LONGEST_KEY: usize = 250;

/// How much a store may keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all items, what they cost beyond their values included.
    pub memory: usize,
    /// Bytes of one item, key and header included, as memcached counts them.
    pub item: usize,
}

/// Why there is no place for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Larger than an item may be.
    TooLarge,
    /// All memory is in use, by items that are being received or sent.
    NoMemory,
}

/// The store of one core.
pub(crate) struct Store {
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    item_limit: usize,
    table: Table,
    items: Items,
    order: Order,
    pool: Pool,
    next_cas: u64,
    /// Counts flushes; items of an earlier one are void.
    epoch: u16,
    /// When the next flush is due.
    flush_at: Option<Expiry>,
    /// Where the crawler goes on.
    crawled: u32,
}

impl Store {
    pub(crate) fn new(limits: Limits, clock: Clock) -> Self {
        let largest = limits.item + Layout::new(u8::MAX, u32::MAX, u32::MAX).value().start;
        Store {
            clock,
            counters: Counters::default(),
            item_limit: limits.item,
            table: Table::new(),
            items: Items::default(),
            order: Order::new(),
            pool: Pool::new(limits.memory, largest),
            next_cas: 1,
            epoch: 0,
            flush_at: None,
            crawled: 0,
        }
    }

    /// The item of `key`, if there is one that is not void.
    #[inline]
    pub(crate) fn find(&mut self, key: Key<'_>) -> Option<Slot> {
        let slot = self.table.find(key, &self.items)?;
        let item = self.items.get(slot)?;
        if item.expiry == Expiry::NEVER && item.epoch == self.epoch {
            return Some(slot);
        }
        self.check(slot)
    }

    /// Looks closer at an item that may be void.
    fn check(&mut self, slot: Slot) -> Option<Slot> {
        let item = self.items.get(slot)?;
        if item.epoch != self.epoch {
            self.counters.get_flushed += 1;
        } else if item.expiry.is_past(&self.clock) {
            self.counters.get_expired += 1;
            self.counters.reclaimed += 1;
            self.counters.expired_unfetched += u64::from(!item.marks.has(Marks::FETCHED));
        } else {
            return Some(slot);
        }
        self.unlink(slot);
        None
    }

    /// The same, and notes that it was asked for.
    #[inline]
    pub(crate) fn fetch(&mut self, key: Key<'_>) -> Option<&Item> {
        let slot = self.find(key)?;
        let now = self.clock.now();
        let item = self.items.get_mut(slot)?;
        bump(item, now);
        Some(item)
    }

    /// Notes that the item at `slot` was asked for.
    pub(crate) fn bump(&mut self, slot: Slot) {
        let now = self.clock.now();
        if let Some(item) = self.items.get_mut(slot) {
            bump(item, now);
        }
    }

    /// Notes that the item at `slot` is in use, though nobody has asked for its value.
    fn keep(&mut self, slot: Slot) {
        let now = self.clock.now();
        if let Some(item) = self.items.get_mut(slot) {
            item.marks.set(Marks::ACTIVE);
            item.accessed = now;
        }
    }

    pub(crate) fn item(&self, slot: Slot) -> Option<&Item> {
        self.items.get(slot)
    }

    pub(crate) fn item_mut(&mut self, slot: Slot) -> Option<&mut Item> {
        self.items.get_mut(slot)
    }

    /// Removes the item at `slot`.
    pub(crate) fn unlink(&mut self, slot: Slot) {
        self.order.remove(slot, &mut self.items);
        if let Some(item) = self.items.remove(slot) {
            self.table.remove(item.hash, slot);
            self.pool.give(item.chunk);
        }
    }

    /// Takes a chunk; items go until there is room.
    fn chunk(&mut self, bytes: usize) -> Option<Chunk> {
        loop {
            if let Some(chunk) = self.pool.take(bytes) {
                return Some(chunk);
            }
            self.evict()?;
        }
    }

    #[cold]
    fn evict(&mut self) -> Option<()> {
        let slot = self.order.victim(&mut self.items)?;
        let item = self.items.get(slot)?;
        if item.expiry.is_past(&self.clock) || item.epoch != self.epoch {
            self.counters.reclaimed += 1;
        } else {
            self.counters.evictions += 1;
            self.counters.evicted_active += u64::from(item.marks.has(Marks::ACTIVE));
            self.counters.evicted_unfetched += u64::from(!item.marks.has(Marks::FETCHED));
        }
        self.unlink(slot);
        Some(())
    }

    /// A CAS id that no item of this core has had.
    pub(crate) fn new_cas(&mut self) -> u64 {
        let cas = self.next_cas;
        self.next_cas += 1;
        cas
    }

    /// Whether an item of this size is refused whatever memory there is.
    pub(crate) fn is_too_large(&self, key_len: usize, flags: u32, value_len: usize) -> bool {
        let flags_len = if flags == 0 { 0 } else { 4 };
        MEMCACHED_HEADER + key_len + 1 + flags_len + value_len + 2 > self.item_limit
    }

    /// Voids every item, now or when `exptime` (as a client gives it) says.
    pub(crate) fn flush(&mut self, exptime: i64) {
        self.counters.cmd_flush += 1;
        self.flush_at = None;
        if exptime > 0 {
            let at = self.clock.expiry(exptime);
            if !at.is_past(&self.clock) {
                self.flush_at = Some(at);
                return;
            }
        }
        // memcached takes an id here as well.
        self.new_cas();
        self.start_epoch();
    }

    fn start_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            // Numbers start over: no item of an earlier round may be left.
            self.clear();
        }
    }

    fn clear(&mut self) {
        for place in 0..self.items.capacity() {
            self.unlink(Items::slot(place));
        }
    }

    /// Tells the time, in seconds since the start.
    pub(crate) fn set_uptime(&mut self, uptime: u64) {
        self.clock.set_uptime(uptime);
        if self.flush_at.is_some_and(|at| at.is_past(&self.clock)) {
            self.flush_at = None;
            self.start_epoch();
        }
    }

    /// Items there are, void ones included.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of all items and free chunks.
    pub(crate) fn allocated(&self) -> usize {
        self.pool.allocated()
    }

    pub(crate) fn table_bytes(&self) -> usize {
        self.table.allocated()
    }

    pub(crate) fn memory_limit(&self) -> usize {
        self.pool.limit()
    }

    /// Sets the limit; if it is lower than what is in use, items go when memory is asked for.
    pub(crate) fn set_memory_limit(&mut self, bytes: usize) {
        self.pool.set_limit(bytes);
    }

    pub(crate) fn class_of(&self, item: &Item) -> usize {
        self.pool.class_of(item.chunk.len())
    }

    pub(crate) fn class_uses(&self) -> impl Iterator<Item = ClassUse> + '_ {
        self.pool.uses()
    }
}

#[inline]
fn bump(item: &mut Item, now: u32) {
    item.marks.set(Marks::FETCHED);
    item.marks.set(Marks::ACTIVE);
    item.accessed = now;
}
