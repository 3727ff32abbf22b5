//! What is asked for, and how it is seen that it has been answered.

mod facebook;
pub use facebook::Mix;

mod echo;

mod memcached;

mod web;

use libix::SendBuf;
use rand::rngs::SmallRng;
use std::sync::Arc;

/// One of those that there are.
#[derive(Debug)]
pub enum Workload {
    /// Messages of one length, that come back.
    Echo(Arc<[u8]>),
    /// Gets and sets on a server that speaks memcached's text protocol.
    Memcached(memcached::Records),
    /// HTTP GETs of one path.
    Web(Arc<[u8]>),
}

impl Workload {
    /// Echo with messages of `len` bytes, at least one.
    #[must_use]
    pub fn echo(len: usize) -> Self {
        Workload::Echo(echo::message(len.max(1)))
    }

    /// `count` records of this mix, sizes by `seed`.
    #[must_use]
    pub fn memcached(mix: Mix, count: u32, seed: u64) -> Self {
        Workload::Memcached(memcached::Records::new(mix, count.max(1), seed))
    }

    /// GETs of `path` at `host`.
    #[must_use]
    pub fn web(host: &str, path: &str) -> Self {
        Workload::Web(web::request(host, path))
    }

    /// The next request.
    pub fn request(&self, random: &mut SmallRng) -> SendBuf {
        match self {
            Workload::Echo(message) | Workload::Web(message) => Arc::clone(message).into(),
            Workload::Memcached(records) => records.request(random).into(),
        }
    }

    /// The request that prepares the server in step `place` of so many, if it needs that.
    #[must_use]
    pub fn fill(&self, place: u32) -> Option<SendBuf> {
        match self {
            Workload::Memcached(records) => records.fill(place).map(SendBuf::from),
            Workload::Echo(_) | Workload::Web(_) => None,
        }
    }

    /// Reads the answers on a new connection.
    #[must_use]
    pub fn reader(&self) -> Reader {
        match self {
            Workload::Echo(message) => Reader::Echo(echo::Reader::new(Arc::clone(message))),
            Workload::Memcached(_) => Reader::Memcached(memcached::Reader::default()),
            Workload::Web(_) => Reader::Web(web::Reader::default()),
        }
    }
}

/// An answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is what was asked for.
    Good,
    /// The server has not got it.
    Miss,
    /// The server says that it cannot.
    Error,
}

/// What comes is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads the answers on one connection, however they are cut.
#[derive(Debug)]
pub enum Reader {
    /// Of an echo server.
    Echo(echo::Reader),
    /// Of memcached.
    Memcached(memcached::Reader),
    /// Of an HTTP server.
    Web(web::Reader),
}

impl Reader {
    /// Takes bytes from the front of `input`, one answer's at most; returns how many, and the answer if it is whole.
    ///
    /// # Errors
    /// If it is none.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), Malformed> {
        match self {
            Reader::Echo(reader) => reader.advance(input),
            Reader::Memcached(reader) => reader.advance(input),
            Reader::Web(reader) => reader.advance(input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Reader, Reply, Workload};

    /// All answers in `input`, cut every `cuts` bytes.
    pub(super) fn replies(reader: &mut Reader, input: &[u8], cuts: usize) -> Result<Vec<Reply>, Malformed> {
        let mut replies = Vec::new();
        for mut piece in input.chunks(cuts) {
            while !piece.is_empty() {
                let (used, reply) = reader.advance(piece)?;
                assert!(used > 0, "it goes on");
                piece = &piece[used..];
                replies.extend(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn an_echo_is_whole_with_its_last_byte_and_must_be_the_same() {
        let workload = Workload::echo(5);
        let Workload::Echo(message) = &workload else {
            unreachable!("it was made as one");
        };
        let three = message.repeat(3);
        for cuts in 1..=three.len() {
            let read = replies(&mut workload.reader(), &three, cuts);
            assert_eq!(read, Ok(vec![Reply::Good; 3]), "cut every {cuts}");
        }
        let mut wrong = three.clone();
        wrong[7] ^= 1;
        assert_eq!(replies(&mut workload.reader(), &wrong, 4), Err(Malformed));
    }
}
