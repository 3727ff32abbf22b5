//! What one flow has been given to send: first the bytes lent to the kernel and not yet acknowledged, then those it had
//! no room for, in one queue of buffers.

use crate::SendBuf;
use ix_abi::app::SgEntry;
use std::collections::VecDeque;

/// A line of the cache: threads on other cores may have the memory beside a queue, for they may get theirs from one heap.
#[repr(align(64))]
struct Piece {
    address: u64,
    len: usize,
    /// Keeps the bytes where they are.
    _buf: SendBuf,
}

#[derive(Default)]
pub(crate) struct SendQueue {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are acknowledged.
    acknowledged: usize,
    /// The first piece not wholly lent, and how many of its bytes are.
    next: usize,
    next_offset: usize,
    /// Bytes lent to the kernel and not acknowledged.
    lent: usize,
    /// Bytes the kernel has not been given or has not taken.
    waiting: usize,
    /// A piece pushed when nothing else waited: if its length is what waits, it is all that waits. Of length 0 once
    /// what waits may be anything else.
    only: SgEntry,
}

impl SendQueue {
    #[inline]
    pub(crate) fn push(&mut self, buf: SendBuf) {
        let (address, len) = buf.span();
        if len == 0 {
            return;
        }
        if self.waiting == 0 {
            self.only = SgEntry {
                address,
                len: len as u64,
            };
        }
        self.waiting += len;
        self.pieces.push_back(Piece {
            address,
            len,
            _buf: buf,
        });
    }

    /// Bytes not yet lent.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes lent and not acknowledged.
    #[inline]
    pub(crate) fn lent(&self) -> usize {
        self.lent
    }

    /// The span to lend next, if it is the only one.
    #[inline]
    pub(crate) fn only_span(&self) -> Option<SgEntry> {
        (self.only.len == self.waiting as u64 && self.waiting > 0).then_some(self.only)
    }

    /// The spans to lend next, in order, `limit` bytes at most.
    pub(crate) fn spans(&self, mut limit: usize) -> impl Iterator<Item = SgEntry> + '_ {
        let mut offset = self.next_offset;
        self.pieces.range(self.next..).map_while(move |piece| {
            let skipped = core::mem::take(&mut offset);
            let len = (piece.len - skipped).min(limit);
            limit -= len;
            (len > 0).then_some(SgEntry {
                address: piece.address + skipped as u64,
                len: len as u64,
            })
        })
    }

    /// The next `count` bytes are lent now.
    #[inline]
    pub(crate) fn lend(&mut self, count: usize) {
        let count = count.min(self.waiting);
        self.waiting -= count;
        self.lent += count;
        if self.waiting == 0 {
            self.next = self.pieces.len();
            self.next_offset = 0;
            return;
        }
        self.only.len = 0;
        self.next_offset += count;
        while let Some(piece) = self.pieces.get(self.next)
            && self.next_offset >= piece.len
        {
            self.next_offset -= piece.len;
            self.next += 1;
        }
    }

    /// The kernel did not take the last `count` bytes lent.
    pub(crate) fn take_back(&mut self, count: usize) {
        let mut count = count.min(self.lent);
        self.lent -= count;
        self.waiting += count;
        self.only.len = 0;
        while count > self.next_offset {
            count -= self.next_offset;
            self.next -= 1;
            self.next_offset = self.pieces[self.next].len;
        }
        self.next_offset -= count;
    }

    /// The first `count` lent bytes are acknowledged: drops the buffers they end.
    #[inline]
    pub(crate) fn acknowledge(&mut self, count: usize) {
        let count = count.min(self.lent);
        self.lent -= count;
        self.acknowledged += count;
        while let Some(piece) = self.pieces.front()
            && self.acknowledged >= piece.len
        {
            self.acknowledged -= piece.len;
            self.next -= 1;
            self.pieces.pop_front();
        }
    }

    /// Drops the buffers of which nothing is lent; what is left of a partly lent one is forgotten.
    pub(crate) fn forget_waiting(&mut self) {
        self.pieces
            .truncate(self.next + usize::from(self.next_offset > 0));
        self.waiting = 0;
        if self.next_offset > 0 {
            self.pieces[self.next].len = self.next_offset;
            self.next += 1;
            self.next_offset = 0;
            self.acknowledge(0);
        }
    }

    /// Leaks what is lent: for when nobody will be there to hear that it may go.
    pub(crate) fn leak(self) {
        if self.lent > 0 {
            core::mem::forget(self.pieces);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SendQueue;
    use crate::SendBuf;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use std::sync::Arc;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        /// Lend what there is, then have this many bytes refused.
        Lend(usize),
        /// Lend at most this much.
        LendSome(usize),
        Acknowledge(usize),
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..40usize).prop_map(Step::Push),
            4 => (0..60usize).prop_map(Step::Lend),
            2 => (0..60usize).prop_map(Step::LendSome),
            4 => (0..60usize).prop_map(Step::Acknowledge),
            1 => any::<()>().prop_map(|()| Step::Forget),
        ]
    }

    /// What the spans name. The test's buffers are alive, so reading is fine; they are static for that.
    fn addresses(queue: &SendQueue) -> Vec<u64> {
        queue
            .spans(usize::MAX)
            .flat_map(|span| span.address..span.address + span.len)
            .collect()
    }

    proptest! {
        #[test]
        fn bytes_are_lent_in_order_and_buffers_live_until_acknowledged(steps in proptest::collection::vec(step(), 0..80)) {
            let mut queue = SendQueue::default();
            // The model: the address of every byte, waiting and lent; buffers with the count of their bytes unacknowledged.
            let (mut waiting, mut lent) = (Vec::new(), Vec::new());
            let mut alive: Vec<Arc<[u8]>> = Vec::new();
            for step in steps {
                match step {
                    Step::Push(len) => {
                        let bytes: Arc<[u8]> = vec![0; len].into();
                        let start = bytes.as_ptr() as u64;
                        queue.push(SendBuf::from(Arc::clone(&bytes)));
                        waiting.extend(start..start + len as u64);
                        alive.push(bytes);
                    }
                    Step::Lend(refused) => {
                        let count = queue.waiting();
                        queue.lend(count);
                        let refused = refused.min(count);
                        queue.take_back(refused);
                        lent.extend(waiting.drain(..count - refused));
                    }
                    Step::LendSome(count) => {
                        let count = count.min(queue.waiting());
                        queue.lend(count);
                        lent.extend(waiting.drain(..count));
                    }
                    Step::Acknowledge(count) => {
                        let count = count.min(lent.len());
                        queue.acknowledge(count);
                        lent.drain(..count);
                    }
                    Step::Forget => {
                        queue.forget_waiting();
                        waiting.clear();
                    }
                }
                assert_eq!(addresses(&queue), waiting);
                if let Some(span) = queue.only_span() {
                    assert_eq!(queue.spans(usize::MAX).collect::<Vec<_>>(), [span]);
                }
                assert_eq!((queue.waiting(), queue.lent()), (waiting.len(), lent.len()));
                for bytes in &alive {
                    let range = bytes.as_ptr_range();
                    let needed = lent.iter().chain(&waiting).any(|a| (range.start as u64..range.end as u64).contains(a));
                    assert_eq!(Arc::strong_count(bytes) == 2, needed);
                }
            }
        }
    }
}
