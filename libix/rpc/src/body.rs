//! Messages received.

use crate::wire::{DATA_BYTES, HEADER_BYTES, packets};
use core::ops::Deref;

/// A message that has arrived. One of a single packet is where it was received; one of several was copied together.
#[derive(Debug)]
pub enum Body<R> {
    /// The whole packet, its header included, which [`Deref`] leaves out.
    Packet(R),
    /// The message.
    Whole(Vec<u8>),
}

impl<R: AsRef<[u8]>> Deref for Body<R> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Body::Packet(packet) => packet.as_ref().get(HEADER_BYTES..).unwrap_or_default(),
            Body::Whole(bytes) => bytes,
        }
    }
}

/// A message of several packets under way. They come in order.
#[derive(Debug)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
    length: u32,
    /// The packet that is next.
    pub(crate) next: u16,
}

impl Assembly {
    /// For `length` bytes, which were taken from the budget.
    pub(crate) fn new(length: u32) -> Self {
        Assembly {
            bytes: Vec::with_capacity(length as usize),
            length,
            next: 0,
        }
    }

    /// The next packet's data.
    pub(crate) fn push(&mut self, data: &[u8]) {
        debug_assert_eq!(self.bytes.len(), usize::from(self.next) * DATA_BYTES);
        self.bytes.extend_from_slice(data);
        self.next += 1;
    }

    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.next == packets(self.length)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Memory that messages of several packets may take together.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Budget { left: bytes }
    }

    /// `true` if there is so much, which is then taken.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.left += bytes;
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }
}
