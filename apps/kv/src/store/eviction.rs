//! Who has to go when memory is short: the item least recently asked for, approximately. Items stand in the order in which
//! they were stored; one that was asked for since it was last considered gets a second chance at the other end. So a `get`
//! moves nothing: it only marks.

use super::items::{Items, Marks, Slot};

/// Items that get a second chance before one is taken though it is active: bounds the work.
const SECOND_CHANCES: usize = 8;

/// The order.
pub(crate) struct Order {
    newest: Slot,
    oldest: Slot,
}

impl Order {
    pub(crate) fn new() -> Self {
        Order {
            newest: Slot::NONE,
            oldest: Slot::NONE,
        }
    }

    /// Adds `slot` as the newest.
    pub(crate) fn push(&mut self, slot: Slot, items: &mut Items) {
        let before = core::mem::replace(&mut self.newest, slot);
        if let Some(item) = items.get_mut(slot) {
            (item.newer, item.older) = (Slot::NONE, before);
        }
        match items.get_mut(before) {
            Some(item) => item.newer = slot,
            None => self.oldest = slot,
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot, items: &mut Items) {
        let Some(item) = items.get(slot) else {
            return;
        };
        let (newer, older) = (item.newer, item.older);
        match items.get_mut(newer) {
            Some(item) => item.older = older,
            None => self.newest = older,
        }
        match items.get_mut(older) {
            Some(item) => item.newer = newer,
            None => self.oldest = newer,
        }
    }

    /// The item to evict, if there is any; it stays where it is.
    pub(crate) fn victim(&mut self, items: &mut Items) -> Option<Slot> {
        for _ in 0..SECOND_CHANCES {
            let slot = self.oldest;
            let item = items.get_mut(slot)?;
            if !item.marks.has(Marks::ACTIVE) {
                break;
            }
            item.marks.clear(Marks::ACTIVE);
            self.remove(slot, items);
            self.push(slot, items);
        }
        items.get(self.oldest).map(|_| self.oldest)
    }
}
