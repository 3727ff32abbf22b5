//! What an app has given to be sent and no peer has acknowledged yet: lists of memory spans, one per flow, out of one
//! slab that is allocated at the start. Only addresses pass through here, never bytes.
//!
//! A queue gets another span only while it has fewer than are left. So one flow alone may have half of all, each of many an
//! equal share, and there is one for whoever has none, however many small pieces the others have queued.

use crate::{MAX_TX_SPANS, Span};
use alloc::boxed::Box;

/// "No link".
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    address: u64,
    len: u32,
    next: u32,
}

/// The links of all queues.
#[derive(Debug)]
pub(crate) struct SpanSlab {
    links: Box<[Link]>,
    free: u32,
    /// How many are free.
    left: u32,
}

impl SpanSlab {
    pub(crate) fn new(capacity: u32) -> Self {
        let link = |index| Link {
            address: 0,
            len: 0,
            next: if index + 1 < capacity { index + 1 } else { NONE },
        };
        SpanSlab {
            links: (0..capacity).map(link).collect(),
            free: if capacity == 0 { NONE } else { 0 },
            left: capacity,
        }
    }

    /// Links in use.
    #[allow(clippy::cast_possible_truncation, reason = "made from a u32")]
    pub(crate) fn used(&self) -> u32 {
        self.links.len() as u32 - self.left
    }

    #[inline]
    fn take(&mut self, span: Span) -> Option<u32> {
        let index = self.free;
        let link = self.links.get_mut(index as usize)?;
        self.free = link.next;
        *link = Link {
            address: span.address,
            len: span.len,
            next: NONE,
        };
        self.left -= 1;
        Some(index)
    }

    /// Frees a link; gives the one behind it.
    #[inline]
    fn free(&mut self, index: u32) -> u32 {
        let link = &mut self.links[index as usize];
        let next = link.next;
        link.next = self.free;
        self.free = index;
        self.left += 1;
        next
    }
}

/// A place in a queue: a link, and how many bytes of it lie before. `offset` may be the link's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    link: u32,
    offset: u32,
}

const NOWHERE: Place = Place {
    link: NONE,
    offset: 0,
};

/// The queue of one flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanQueue {
    /// First byte that is not acknowledged.
    head: Place,
    /// First byte that has not been cut into a segment.
    cursor: Place,
    tail: u32,
    /// Its links.
    count: u32,
}

/// The pieces of one segment.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    spans: [Span; MAX_TX_SPANS],
    count: usize,
    /// Bytes.
    pub(crate) len: u32,
}

impl Cut {
    #[inline]
    pub(crate) fn spans(&self) -> &[Span] {
        self.spans.get(..self.count).unwrap_or_default()
    }
}

impl SpanQueue {
    pub(crate) const EMPTY: SpanQueue = SpanQueue {
        head: NOWHERE,
        cursor: NOWHERE,
        tail: NONE,
        count: 0,
    };

    /// Appends a span that is not empty; `false` if the slab has too few left.
    #[inline]
    pub(crate) fn push(&mut self, slab: &mut SpanSlab, span: Span) -> bool {
        if let Some(tail) = slab.links.get_mut(self.tail as usize)
            && tail.address.wrapping_add(u64::from(tail.len)) == span.address
            && let Some(len) = tail.len.checked_add(span.len)
        {
            tail.len = len;
            return true;
        }
        if self.count >= slab.left {
            return false;
        }
        let Some(index) = slab.take(span) else {
            return false;
        };
        self.count += 1;
        match slab.links.get_mut(self.tail as usize) {
            Some(tail) => tail.next = index,
            None => {
                self.head = Place {
                    link: index,
                    offset: 0,
                }
            }
        }
        if self.cursor.link == NONE {
            self.cursor = Place {
                link: index,
                offset: 0,
            };
        }
        self.tail = index;
        true
    }

    /// The `len` bytes at the cursor, if there are any and they are in one piece.
    #[inline]
    pub(crate) fn piece(&self, slab: &SpanSlab, len: u32) -> Option<Span> {
        let link = slab.links.get(self.cursor.link as usize)?;
        let address = link.address.wrapping_add(u64::from(self.cursor.offset));
        (len > 0 && link.len - self.cursor.offset >= len).then_some(Span { address, len })
    }

    /// Cuts at most `max` bytes at the cursor, and moves it behind them if `advance` is called on the result's length.
    #[inline]
    pub(crate) fn cut(&self, slab: &SpanSlab, max: u32) -> Cut {
        cut_at(slab, self.cursor, max)
    }

    /// The same, into an empty `cut`: it is large enough that moving it about costs as much as cutting.
    #[inline]
    pub(crate) fn cut_into(&self, slab: &SpanSlab, max: u32, cut: &mut Cut) {
        cut_at_into(slab, self.cursor, max, cut);
    }

    /// Cuts at most `max` bytes, `offset` bytes behind the front: what is to be sent again.
    pub(crate) fn cut_behind(&self, slab: &SpanSlab, offset: u32, max: u32) -> Cut {
        cut_at(slab, moved(slab, self.head, offset), max)
    }

    /// Moves the cursor over `count` bytes that were cut.
    #[inline]
    pub(crate) fn advance(&mut self, slab: &SpanSlab, count: u32) {
        self.cursor = moved(slab, self.cursor, count);
    }

    /// Sets the cursor back to the front: all is to be sent again.
    pub(crate) fn rewind(&mut self) {
        self.cursor = self.head;
    }

    /// The first `count` bytes have been acknowledged. The cursor must be at or behind them ([`SpanQueue::rewind`]
    /// after this, where it was not).
    #[inline]
    pub(crate) fn release(&mut self, slab: &mut SpanSlab, mut count: u32) {
        while count > 0 {
            let Some(link) = slab.links.get(self.head.link as usize) else {
                return;
            };
            let left = link.len - self.head.offset;
            if count < left {
                self.head.offset += count;
                return;
            }
            count -= left;
            self.drop_head(slab);
        }
    }

    #[inline]
    fn drop_head(&mut self, slab: &mut SpanSlab) {
        let gone = self.head.link;
        let next = Place {
            link: slab.free(gone),
            offset: 0,
        };
        self.head = next;
        self.count -= 1;
        if self.cursor.link == gone {
            self.cursor = next;
        }
        if self.tail == gone {
            self.tail = NONE;
        }
    }

    /// Frees all of it.
    pub(crate) fn clear(&mut self, slab: &mut SpanSlab) {
        while self.head.link != NONE {
            self.drop_head(slab);
        }
    }
}

fn cut_at(slab: &SpanSlab, at: Place, max: u32) -> Cut {
    let mut cut = Cut::default();
    cut_at_into(slab, at, max, &mut cut);
    cut
}

#[inline]
fn cut_at_into(slab: &SpanSlab, mut at: Place, max: u32, cut: &mut Cut) {
    while cut.len < max {
        let Some(link) = slab.links.get(at.link as usize) else {
            break;
        };
        let len = (link.len - at.offset).min(max - cut.len);
        if len > 0 {
            let Some(span) = cut.spans.get_mut(cut.count) else {
                break;
            };
            *span = Span {
                address: link.address.wrapping_add(u64::from(at.offset)),
                len,
            };
            cut.count += 1;
            cut.len += len;
        }
        at = Place {
            link: link.next,
            offset: 0,
        };
    }
}

/// The place `count` bytes on. At the end of the queue it stays in the last link, behind its bytes: what is appended
/// comes there, or in the link behind.
#[inline]
fn moved(slab: &SpanSlab, mut at: Place, mut count: u32) -> Place {
    loop {
        let Some(link) = slab.links.get(at.link as usize) else {
            return at;
        };
        let left = link.len - at.offset;
        if count <= left && (count < left || link.next == NONE) {
            at.offset += count;
            return at;
        }
        count -= left.min(count);
        at = Place {
            link: link.next,
            offset: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{SpanQueue, SpanSlab};
    use crate::{MAX_TX_SPANS, Span};
    use std::vec::Vec;

    fn span(address: u64, len: u32) -> Span {
        Span { address, len }
    }

    #[test]
    fn adjacent_spans_are_one() {
        let mut slab = SpanSlab::new(4);
        let mut queue = SpanQueue::EMPTY;
        assert!(queue.push(&mut slab, span(100, 10)));
        assert!(queue.push(&mut slab, span(110, 10)));
        assert_eq!(slab.used(), 1);
        assert_eq!(queue.cut(&slab, 64).spans(), &[span(100, 20)]);
    }

    #[test]
    fn segments_are_cut_across_spans_and_sent_again_from_the_front() {
        let mut slab = SpanSlab::new(8);
        let mut queue = SpanQueue::EMPTY;
        for address in [1000, 2000, 3000] {
            assert!(queue.push(&mut slab, span(address, 10)));
        }
        let cut = queue.cut(&slab, 15);
        assert_eq!((cut.spans(), cut.len), (&[span(1000, 10), span(2000, 5)][..], 15));
        queue.advance(&slab, 15);
        assert_eq!(queue.cut(&slab, 100).spans(), &[span(2005, 5), span(3000, 10)]);
        queue.advance(&slab, 15);
        assert_eq!(queue.cut(&slab, 100).len, 0);
        queue.release(&mut slab, 12);
        assert_eq!(
            queue.cut_behind(&slab, 0, 10).spans(),
            &[span(2002, 8), span(3000, 2)]
        );
        assert_eq!(queue.cut_behind(&slab, 8, 4).spans(), &[span(3000, 4)]);
        assert_eq!(queue.cut_behind(&slab, 17, 4).spans(), &[span(3009, 1)]);
        assert_eq!(queue.cut_behind(&slab, 18, 4).len, 0);
        queue.rewind();
        assert_eq!(queue.cut(&slab, 100).len, 18);
        queue.release(&mut slab, 18);
        assert_eq!(slab.used(), 0);
    }

    #[test]
    fn what_is_appended_after_all_was_cut_comes_next() {
        let mut slab = SpanSlab::new(8);
        let mut queue = SpanQueue::EMPTY;
        assert!(queue.push(&mut slab, span(0, 10)));
        queue.advance(&slab, 10);
        assert!(queue.push(&mut slab, span(10, 10)));
        assert_eq!(queue.cut(&slab, 100).spans(), &[span(10, 10)]);
        queue.advance(&slab, 10);
        assert!(queue.push(&mut slab, span(500, 10)));
        assert_eq!(queue.cut(&slab, 100).spans(), &[span(500, 10)]);
        queue.release(&mut slab, 30);
        assert!(queue.push(&mut slab, span(900, 1)));
        assert_eq!(queue.cut(&slab, 100).spans(), &[span(900, 1)]);
    }

    #[test]
    fn too_many_pieces_make_a_short_segment_and_half_of_the_slab_is_the_most() {
        let mut slab = SpanSlab::new(80);
        let mut queue = SpanQueue::EMPTY;
        let accepted: Vec<bool> = (0..50).map(|i| queue.push(&mut slab, span(i * 100, 1))).collect();
        assert_eq!(accepted.iter().filter(|ok| **ok).count(), 40);
        assert_eq!(queue.cut(&slab, 100).len as usize, MAX_TX_SPANS);
        queue.clear(&mut slab);
        assert_eq!(slab.used(), 0);
    }

    #[test]
    fn who_queues_the_most_leaves_spans_to_others() {
        let mut slab = SpanSlab::new(1000);
        let mut queues = [SpanQueue::EMPTY; 4];
        for i in 0..4000_u64 {
            for queue in &mut queues[..3] {
                queue.push(&mut slab, span(i * 10, 1));
            }
        }
        assert_eq!(queues.map(|queue| queue.count), [250, 250, 250, 0]);
        for i in 0..1000 {
            queues[3].push(&mut slab, span(i * 10, 1));
        }
        assert_eq!((queues[3].count, slab.left), (125, 125));
        for mut queue in queues {
            queue.clear(&mut slab);
            assert_eq!(queue.count, 0);
        }
        assert_eq!(slab.used(), 0);
    }
}
