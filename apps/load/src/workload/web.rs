//! HTTP/1.1, as far as a client of plain GETs needs it.

use super::{Malformed, Reply};
use std::sync::Arc;

/// Longest head of a response, in bytes, and most fields in it.
const MAX_HEAD_BYTES: usize = 16_384;
const MAX_FIELDS: usize = 64;

pub(super) fn request(host: &str, path: &str) -> Arc<[u8]> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ixion-load\r\n\r\n")
        .into_bytes()
        .into()
}

/// Reads responses with `Content-Length`.
#[derive(Debug, Default)]
pub struct Reader {
    head: Vec<u8>,
    /// A body under way: bytes still to come, and what it will be when they have.
    body: Option<(u64, Reply)>,
}

impl Reader {
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), Malformed> {
        if let Some((left, reply)) = &mut self.body {
            let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
            *left -= count as u64;
            let reply = (*left == 0).then_some(*reply);
            if reply.is_some() {
                self.body = None;
            }
            return Ok((count, reply));
        }
        let before = self.head.len();
        self.head.extend_from_slice(input);
        let Some((len, body_len, reply)) = head(&self.head)? else {
            return if self.head.len() > MAX_HEAD_BYTES {
                Err(Malformed)
            } else {
                Ok((input.len(), None))
            };
        };
        self.head.clear();
        if body_len == 0 {
            return Ok((len - before, Some(reply)));
        }
        self.body = Some((body_len, reply));
        Ok((len - before, None))
    }
}

/// Lengths of head and body, and what the status means; `None` if the head is not whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, u64, Reply)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(len) = response.parse(bytes).map_err(|_| Malformed)? else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| core::str::from_utf8(field.value).ok()?.parse().ok());
    let reply = match response.code {
        Some(200..300) => Reply::Good,
        Some(404) => Reply::Miss,
        _ => Reply::Error,
    };
    Ok(Some((len, length.ok_or(Malformed)?, reply)))
}

#[cfg(test)]
mod tests {
    use crate::workload::tests::replies;
    use crate::workload::{Malformed, Reader, Reply};

    #[test]
    fn responses_are_read_however_they_are_cut() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
        for cuts in 1..=input.len() {
            let mut reader = Reader::Web(super::Reader::default());
            let read = replies(&mut reader, input, cuts);
            assert_eq!(
                read,
                Ok(vec![Reply::Good, Reply::Miss, Reply::Error]),
                "cut every {cuts}"
            );
        }
        for wrong in ["STORED\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            let mut reader = Reader::Web(super::Reader::default());
            assert_eq!(
                replies(&mut reader, wrong.as_bytes(), 50),
                Err(Malformed),
                "{wrong}"
            );
        }
    }
}
