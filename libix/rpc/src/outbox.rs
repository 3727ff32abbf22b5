//! Packets that wait to be sent.

use crate::message::{Sealed, Transmit};
use crate::wire::{COOKIE_BYTES, HEADER_BYTES, Header};
use core::net::SocketAddr;
use std::collections::VecDeque;
use std::iter;
use std::rc::Rc;

/// Buffers for packets without a message, which are used in turn.
const SMALL_BUFFERS: usize = 128;
const SMALL_BYTES: usize = HEADER_BYTES + COOKIE_BYTES;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Transmit>,
    small: VecDeque<Rc<[u8]>>,
    pub(crate) sent: u64,
}

impl Outbox {
    /// A packet of a message.
    #[inline]
    pub(crate) fn push(&mut self, to: SocketAddr, message: &Sealed, packet: u16) {
        self.sent += 1;
        self.waiting.push_back(message.packet(packet, to));
    }

    /// A packet of a header only.
    pub(crate) fn push_header(&mut self, to: SocketAddr, header: &Header) {
        self.push_small(to, header, None);
    }

    /// One with a word as data.
    pub(crate) fn push_word(&mut self, to: SocketAddr, header: &Header, word: u64) {
        self.push_small(to, header, Some(word));
    }

    fn push_small(&mut self, to: SocketAddr, header: &Header, word: Option<u64>) {
        let mut bytes = self.small_buffer();
        if let Some(unshared) = Rc::get_mut(&mut bytes) {
            unshared[..HEADER_BYTES].copy_from_slice(&header.encode());
            unshared[HEADER_BYTES..].copy_from_slice(&word.unwrap_or(0).to_be_bytes());
        }
        self.small.push_back(Rc::clone(&bytes));
        self.sent += 1;
        let range = 0..if word.is_some() { SMALL_BYTES } else { HEADER_BYTES };
        self.waiting.push_back(Transmit { to, bytes, range });
    }

    /// One that nobody reads any more.
    fn small_buffer(&mut self) -> Rc<[u8]> {
        if self.small.len() >= SMALL_BUFFERS
            && let Some(mut oldest) = self.small.pop_front()
            && Rc::get_mut(&mut oldest).is_some()
        {
            return oldest;
        }
        iter::repeat_n(0, SMALL_BYTES).collect()
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        self.waiting.pop_front()
    }
}
