//! A received frame that goes over several buffers, while it is put together.

use super::{MAX_PARTS, RxFrame};
use alloc::vec::Vec;
use netstack::{BufId, RxChecksum};

/// What state it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sound,
    /// It cannot be a frame, and nobody has counted that yet.
    Spoilt,
    /// The same, counted.
    Reported,
}

/// The buffers so far.
#[derive(Debug)]
pub(super) struct Parts {
    parts: Vec<RxFrame>,
    fate: Fate,
}

impl Parts {
    pub(super) fn new() -> Self {
        Parts {
            parts: Vec::with_capacity(MAX_PARTS),
            fate: Fate::Sound,
        }
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// A frame begins; no other may be under way.
    pub(super) fn begin(&mut self, first: RxFrame) {
        self.fate = Fate::Sound;
        self.parts.push(first);
    }

    /// It goes on with the first `len` bytes of this buffer.
    pub(super) fn push(&mut self, buf: BufId, len: u16) {
        if let Some(last) = self.parts.last_mut() {
            last.continues = true;
        }
        self.parts.push(RxFrame {
            buf,
            offset: 0,
            len,
            checksum: RxChecksum::Unknown,
            continues: false,
        });
    }

    /// It cannot be a frame.
    pub(super) fn spoil(&mut self) {
        if self.fate == Fate::Sound {
            self.fate = Fate::Spoilt;
        }
    }

    /// It cannot be one, or has more parts than any.
    pub(super) fn is_spoilt(&self) -> bool {
        self.fate != Fate::Sound
    }

    /// `true` once for a frame that is spoilt.
    pub(super) fn report(&mut self) -> bool {
        let news = self.fate == Fate::Spoilt;
        if news {
            self.fate = Fate::Reported;
        }
        news
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.len)).sum()
    }

    /// What the device says of the checksum of all of it.
    pub(super) fn vouch(&mut self, checksum: RxChecksum) {
        if let Some(first) = self.parts.first_mut() {
            first.checksum = checksum;
        }
    }

    /// It is complete; gives the number of its parts.
    pub(super) fn pass_on(&mut self, sink: &mut impl FnMut(RxFrame)) -> usize {
        let count = self.parts.len();
        self.parts.drain(..).for_each(sink);
        count
    }

    /// Takes a buffer of a frame that is given up.
    pub(super) fn pop(&mut self) -> Option<BufId> {
        self.parts.pop().map(|part| part.buf)
    }
}
