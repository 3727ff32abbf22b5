//! Messages that come back.

use super::{Malformed, Reply};
use std::sync::Arc;

/// `len` bytes that differ from their neighbours.
pub(super) fn message(len: usize) -> Arc<[u8]> {
    (0..=u8::MAX)
        .cycle()
        .map(|byte| byte.wrapping_mul(37))
        .take(len)
        .collect()
}

/// Compares what comes back.
#[derive(Debug)]
pub struct Reader {
    message: Arc<[u8]>,
    seen: usize,
}

impl Reader {
    pub(super) fn new(message: Arc<[u8]>) -> Self {
        Reader { message, seen: 0 }
    }

    pub(super) fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), Malformed> {
        let missing = &self.message[self.seen..];
        let count = missing.len().min(input.len());
        if missing[..count] != input[..count] {
            return Err(Malformed);
        }
        self.seen += count;
        if self.seen < self.message.len() {
            return Ok((count, None));
        }
        self.seen = 0;
        Ok((count, Some(Reply::Good)))
    }
}
