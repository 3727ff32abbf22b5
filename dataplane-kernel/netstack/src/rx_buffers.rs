//! Receive buffers that are not the driver's at the moment: queued in the stack, or lent to the app. Links and places
//! stand in a table beside the buffers, so that queueing one needs no memory of its own.

use crate::seq::SeqNum;
use crate::{BufId, Error};
use alloc::boxed::Box;

/// "No buffer", as a link.
pub(crate) const NO_BUFFER: u32 = u32::MAX;

/// Owner of the buffers of UDP sockets, which have no window to open.
pub(crate) const NO_FLOW: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Holder {
    #[default]
    Driver,
    Stack,
    App,
}

/// What is known of one buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meta {
    next: u32,
    /// Slot of the flow whose window it takes from.
    pub(crate) owner: u32,
    /// Generation of that flow.
    pub(crate) generation: u32,
    /// Sequence number of its first byte.
    pub(crate) seq: SeqNum,
    /// Where its bytes begin in the buffer.
    pub(crate) offset: u16,
    /// How many they are.
    pub(crate) len: u16,
    holder: Holder,
}

impl Meta {
    /// Bytes `seq..` of a flow.
    #[inline]
    pub(crate) fn of_flow(owner: u32, generation: u32, seq: SeqNum, offset: u16, len: u16) -> Self {
        Meta {
            next: NO_BUFFER,
            owner,
            generation,
            seq,
            offset,
            len,
            holder: Holder::Stack,
        }
    }

    /// Sequence number after its last byte.
    #[inline]
    pub(crate) fn end(&self) -> SeqNum {
        self.seq + u32::from(self.len)
    }

    /// Drops `count` bytes from the front, which must be there.
    pub(crate) fn trim_front(&mut self, count: u32) {
        let count = u16::try_from(count).unwrap_or(u16::MAX).min(self.len);
        self.seq += u32::from(count);
        self.offset = self.offset.saturating_add(count);
        self.len -= count;
    }

    /// Drops bytes from the end until `len` are left.
    pub(crate) fn truncate(&mut self, len: u32) {
        self.len = self.len.min(u16::try_from(len).unwrap_or(u16::MAX));
    }
}

/// A list of buffers queued in the stack, in some order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufList {
    head: u32,
    tail: u32,
}

impl BufList {
    pub(crate) const EMPTY: BufList = BufList {
        head: NO_BUFFER,
        tail: NO_BUFFER,
    };

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NO_BUFFER
    }

    #[inline]
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    #[inline]
    pub(crate) fn tail(&self) -> u32 {
        self.tail
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct RxBuffers {
    metas: Box<[Meta]>,
    queued: u32,
    lent: u32,
    /// Most buffers of flows held at once by stack and app together.
    limit: u32,
}

impl RxBuffers {
    /// A table for `buffers`, of which flows may hold `limit`.
    pub(crate) fn new(buffers: u32, limit: u32) -> Self {
        RxBuffers {
            metas: (0..buffers).map(|_| Meta::default()).collect(),
            queued: 0,
            lent: 0,
            limit,
        }
    }

    /// Buffers queued in the stack.
    pub(crate) fn queued(&self) -> u32 {
        self.queued
    }

    /// Buffers of flows lent to the app.
    pub(crate) fn lent(&self) -> u32 {
        self.lent
    }

    /// `true` while one more may be queued.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.queued + self.lent < self.limit
    }

    /// How scarce buffers are: each step halves the windows promised. Data out of order is taken at 0 only, so that it
    /// never keeps away what it waits for.
    #[inline]
    pub(crate) fn scarcity(&self) -> u32 {
        let held = self.queued + self.lent;
        if held <= self.limit / 2 {
            0
        } else if held <= self.limit - self.limit / 4 {
            2
        } else {
            4
        }
    }

    /// What is known of a buffer in a list.
    #[inline]
    pub(crate) fn meta(&self, index: u32) -> &Meta {
        &self.metas[index as usize]
    }

    #[inline]
    pub(crate) fn meta_mut(&mut self, index: u32) -> &mut Meta {
        &mut self.metas[index as usize]
    }

    /// The buffer after this one in its list.
    #[inline]
    pub(crate) fn next(&self, index: u32) -> u32 {
        self.metas[index as usize].next
    }

    /// Takes a buffer in from the driver; `Err` gives back one the table has no place for.
    #[inline]
    pub(crate) fn take_in(&mut self, buf: BufId, meta: Meta) -> Result<u32, BufId> {
        match self.metas.get_mut(buf.0 as usize) {
            Some(place) if place.holder == Holder::Driver => {
                *place = meta;
                self.queued += 1;
                Ok(buf.0)
            }
            _ => Err(buf),
        }
    }

    /// Appends a buffer taken in to a list.
    #[inline]
    pub(crate) fn push_back(&mut self, list: &mut BufList, index: u32) {
        self.insert_after(list, list.tail, index);
    }

    /// Puts a buffer behind `before` in its list ([`NO_BUFFER`]: in front).
    #[inline]
    pub(crate) fn insert_after(&mut self, list: &mut BufList, before: u32, index: u32) {
        let next = if before == NO_BUFFER {
            core::mem::replace(&mut list.head, index)
        } else {
            core::mem::replace(&mut self.metas[before as usize].next, index)
        };
        self.metas[index as usize].next = next;
        if next == NO_BUFFER {
            list.tail = index;
        }
    }

    /// Takes the first buffer off a list; it stays with the stack.
    #[inline]
    pub(crate) fn pop_front(&mut self, list: &mut BufList) -> Option<u32> {
        let index = list.head;
        if index == NO_BUFFER {
            return None;
        }
        list.head = self.metas[index as usize].next;
        if list.head == NO_BUFFER {
            list.tail = NO_BUFFER;
        }
        Some(index)
    }

    /// Takes the buffer behind `before` ([`NO_BUFFER`]: the first) off a list.
    pub(crate) fn remove_after(&mut self, list: &mut BufList, before: u32) -> Option<u32> {
        if before == NO_BUFFER {
            return self.pop_front(list);
        }
        let index = self.metas[before as usize].next;
        if index == NO_BUFFER {
            return None;
        }
        let next = self.metas[index as usize].next;
        self.metas[before as usize].next = next;
        if next == NO_BUFFER {
            list.tail = before;
        }
        Some(index)
    }

    /// The stack is done with a buffer that is in no list any more.
    pub(crate) fn give_back(&mut self, index: u32) -> BufId {
        self.metas[index as usize].holder = Holder::Driver;
        self.queued -= 1;
        BufId(index)
    }

    /// Hands a buffer that is in no list any more to the app.
    #[inline]
    pub(crate) fn lend(&mut self, index: u32) -> (BufId, u16, u16) {
        let meta = &mut self.metas[index as usize];
        meta.holder = Holder::App;
        self.queued -= 1;
        self.lent += 1;
        (BufId(index), meta.offset, meta.len)
    }

    /// The app holds a buffer that was queued elsewhere.
    pub(crate) fn lend_foreign(&mut self, buf: &BufId) {
        if let Some(meta) = self.metas.get_mut(buf.0 as usize) {
            *meta = Meta {
                owner: NO_FLOW,
                holder: Holder::App,
                ..Meta::default()
            };
        }
    }

    /// The app gives a buffer back.
    ///
    /// # Errors
    /// It was not lent.
    #[inline]
    pub(crate) fn returned(&mut self, index: u32) -> Result<Meta, Error> {
        match self.metas.get_mut(index as usize) {
            Some(meta) if meta.holder == Holder::App => {
                meta.holder = Holder::Driver;
                self.lent -= u32::from(meta.owner != NO_FLOW);
                Ok(*meta)
            }
            _ => Err(Error::Invalid),
        }
    }
}
