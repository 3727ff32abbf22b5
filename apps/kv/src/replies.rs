//! What goes back to a client: pieces in order, each of them text written here, a part of a chunk of the store, or a phrase
//! that never changes. Nothing is allocated in the steady state: text goes into blocks that are used again once the client
//! has acknowledged it.

use libix::SendBuf;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Bytes of a block of text.
const BLOCK: usize = 4096;

/// Blocks kept for use again.
const SPARE_BLOCKS: usize = 256;

/// Blocks in limbo that one request for a block looks at.
const LOOKS: usize = 4;

/// Bytes and pieces beyond which [`Replies::is_full`] says so.
const FULL_BYTES: usize = 256 << 10;
const FULL_PIECES: usize = 512;

enum Piece {
    Static(&'static [u8]),
    /// Of the block with this number.
    Text {
        block: usize,
        range: Range<usize>,
    },
    Shared {
        bytes: Rc<[u8]>,
        range: Range<usize>,
    },
    Owned(Vec<u8>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Static(bytes) => bytes.len(),
            Piece::Text { range, .. } | Piece::Shared { range, .. } => range.len(),
            Piece::Owned(bytes) => bytes.len(),
        }
    }
}

/// A place in the replies to go back to.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pieces: usize,
    bytes: usize,
    /// End of the last piece, if that is text.
    text_end: usize,
}

/// Replies to be sent.
#[derive(Default)]
pub struct Replies {
    pieces: Vec<Piece>,
    bytes: usize,
    /// Those of the pieces; the last one is written to.
    blocks: Vec<Rc<[u8]>>,
    /// Bytes written in the last block.
    used: usize,
    /// Blocks of earlier replies.
    spare: VecDeque<Rc<[u8]>>,
}

impl Replies {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `true` if they should be sent before there are more.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES || self.pieces.len() >= FULL_PIECES
    }

    /// Bytes of all.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// `true` if there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a phrase.
    #[inline]
    pub(crate) fn phrase(&mut self, bytes: &'static [u8]) {
        if self.pieces.is_empty() {
            self.bytes += bytes.len();
            self.pieces.push(Piece::Static(bytes));
        } else {
            // Next to others it costs less to copy than to name.
            self.text(bytes);
        }
    }

    /// Adds bytes that are copied.
    pub(crate) fn text(&mut self, bytes: &[u8]) {
        if bytes.len() > BLOCK {
            self.owned(bytes.to_vec());
            return;
        }
        if self.blocks.is_empty() || self.used + bytes.len() > BLOCK {
            self.open_block();
        }
        let block = self.blocks.len() - 1;
        let (start, end) = (self.used, self.used + bytes.len());
        let open = Rc::get_mut(&mut self.blocks[block]).expect("a block is shared only once it is sent");
        open[start..end].copy_from_slice(bytes);
        self.used = end;
        self.bytes += bytes.len();
        match self.pieces.last_mut() {
            Some(Piece::Text { block: last, range }) if *last == block && range.end == start => {
                range.end = end;
            }
            _ => self.pieces.push(Piece::Text {
                block,
                range: start..end,
            }),
        }
    }

    /// Adds a number in decimal.
    pub(crate) fn number(&mut self, number: impl itoa::Integer) {
        self.text(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Adds a part of `bytes`, which are held until the client has acknowledged it.
    #[inline]
    pub(crate) fn shared(&mut self, bytes: &Rc<[u8]>, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.bytes += range.len();
        let bytes = Rc::clone(bytes);
        self.pieces.push(Piece::Shared { bytes, range });
    }

    /// Lets the part added last, if it was one of `shared`, go on for `count` bytes more; else adds `instead`.
    #[inline]
    pub(crate) fn extend_shared(&mut self, count: usize, instead: &'static [u8]) {
        match self.pieces.last_mut() {
            Some(Piece::Shared { range, .. }) => {
                range.end += count;
                self.bytes += count;
            }
            _ => self.phrase(instead),
        }
    }

    /// Adds bytes that are given away.
    pub(crate) fn owned(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        if !bytes.is_empty() {
            self.pieces.push(Piece::Owned(bytes));
        }
    }

    /// Where they end now.
    pub(crate) fn mark(&self) -> Mark {
        let text_end = match self.pieces.last() {
            Some(Piece::Text { range, .. }) => range.end,
            _ => 0,
        };
        Mark {
            pieces: self.pieces.len(),
            bytes: self.bytes,
            text_end,
        }
    }

    /// Forgets what was added since.
    pub(crate) fn go_back(&mut self, mark: Mark) {
        self.pieces.truncate(mark.pieces);
        self.bytes = mark.bytes;
        if let Some(Piece::Text { range, .. }) = self.pieces.last_mut() {
            range.end = mark.text_end;
        }
    }

    /// Takes out what was added since, as one.
    pub(crate) fn split_off(&mut self, mark: Mark) -> Vec<u8> {
        let all = self.flat();
        let tail = all[mark.bytes..].to_vec();
        self.go_back(mark);
        tail
    }

    /// All of them as one.
    #[must_use]
    pub fn flat(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.bytes);
        for piece in &self.pieces {
            all.extend_from_slice(match piece {
                Piece::Static(bytes) => bytes,
                Piece::Text { block, range } => &self.blocks[*block][range.clone()],
                Piece::Shared { bytes, range } => &bytes[range.clone()],
                Piece::Owned(bytes) => bytes,
            });
        }
        all
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.send_with(drop);
    }

    /// Hands every piece to `send`, in order.
    #[inline]
    pub fn send_with(&mut self, mut send: impl FnMut(SendBuf)) {
        self.bytes = 0;
        for piece in self.pieces.drain(..) {
            if piece.len() == 0 {
                continue;
            }
            send(match piece {
                Piece::Static(bytes) => SendBuf::from(bytes),
                Piece::Text { block, range } => SendBuf::slice(Rc::clone(&self.blocks[block]), range),
                Piece::Shared { bytes, range } => SendBuf::slice(bytes, range),
                Piece::Owned(bytes) => SendBuf::from(bytes),
            });
        }
        if !self.blocks.is_empty() {
            self.used = 0;
            self.spare.extend(self.blocks.drain(..));
            self.spare.truncate(SPARE_BLOCKS);
        }
    }

    fn open_block(&mut self) {
        let block = (0..LOOKS.min(self.spare.len())).find_map(|_| {
            let mut block = self.spare.pop_front()?;
            if Rc::get_mut(&mut block).is_some() {
                return Some(block);
            }
            self.spare.push_back(block);
            None
        });
        let block = block.unwrap_or_else(|| std::iter::repeat_n(0, BLOCK).collect());
        self.blocks.push(block);
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Replies};
    use std::rc::Rc;

    #[test]
    fn pieces_come_out_in_order_and_text_in_one() {
        let mut replies = Replies::new();
        let chunk: Rc<[u8]> = Rc::from(*b"-value-END");
        replies.phrase(b"STORED ");
        replies.text(b"a");
        replies.number(17u32);
        replies.shared(&chunk, 1..7);
        replies.extend_shared(3, b"never");
        replies.owned(b" owned".to_vec());
        assert_eq!(replies.flat(), b"STORED a17value-END owned");
        assert_eq!(replies.len(), replies.flat().len());
        let mut sent = 0;
        replies.send_with(|_| sent += 1);
        assert_eq!((sent, replies.is_empty()), (4, true));
        assert_eq!(Rc::strong_count(&chunk), 1);
    }

    #[test]
    fn what_was_added_since_a_mark_can_be_taken_back() {
        let mut replies = Replies::new();
        replies.text(b"kept ");
        let mark = replies.mark();
        replies.text(b"gone");
        assert_eq!(replies.split_off(mark), b"gone");
        replies.text(b"more");
        assert_eq!(replies.flat(), b"kept more");
        assert_eq!(replies.len(), 9);
    }

    #[test]
    fn a_block_is_used_again_when_it_is_home() {
        let mut replies = Replies::new();
        let mut places = Vec::new();
        let mut held = Vec::new();
        for round in 0..4 {
            replies.text(b"some text");
            replies.text(&[b'x'; BLOCK]);
            replies.send_with(|buf| {
                if round == 0 {
                    held.push(buf);
                }
            });
            places.push(
                replies
                    .spare
                    .iter()
                    .map(|block| block.as_ptr())
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(places[1].len(), 4, "the first two are held");
        assert_eq!(places[3].len(), 4);
        drop(held);
    }
}
