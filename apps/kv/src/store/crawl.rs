//! Looking for void items when there is time: nobody may ever ask for them again.

use super::Store;
use super::items::{Items, Marks};

impl Store {
    /// Looks at `count` places of the arena, where the last call ended, and removes what is void there.
    pub(crate) fn crawl(&mut self, count: u32) {
        let capacity = self.items.capacity();
        for _ in 0..count.min(capacity) {
            let slot = Items::slot(self.crawled);
            self.crawled = (self.crawled + 1) % capacity;
            let Some(item) = self.items.get(slot) else {
                continue;
            };
            self.counters.crawler_items_checked += 1;
            if item.epoch != self.epoch || item.expiry.is_past(&self.clock) {
                self.counters.crawler_reclaimed += 1;
                self.counters.expired_unfetched += u64::from(!item.marks.has(Marks::FETCHED));
                self.unlink(slot);
            }
        }
        self.pool.sweep();
    }
}
