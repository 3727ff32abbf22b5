//! Messages on the wire: four bytes of length, most significant first, then as many bytes.

/// Of the length.
pub const HEADER_BYTES: usize = 4;

/// Longest message, in bytes.
pub const MAX_BYTES: u32 = 16 << 20;

/// A message of `len` bytes that differ from their neighbours, with its header.
#[must_use]
pub fn message(len: u32) -> Vec<u8> {
    let content = (0..=u8::MAX).cycle().map(|byte| byte.wrapping_mul(29));
    len.to_be_bytes()
        .into_iter()
        .chain(content.take(len as usize))
        .collect()
}

/// No message is as long as this one says it is, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLength;

/// Puts messages together.
#[derive(Debug, Default)]
pub struct Assembler {
    /// What is there of the message under way, header and all.
    parts: Vec<u8>,
}

impl Assembler {
    /// `true` if `bytes` are one whole message and nothing of another is here.
    #[must_use]
    pub fn is_whole(&self, bytes: &[u8]) -> bool {
        self.parts.is_empty() && whole_len(bytes) == Ok(Some(bytes.len()))
    }

    /// Takes bytes from the front of `input`, one message's at most; returns how many, and the message with its header if
    /// it is whole.
    ///
    /// # Errors
    /// If its length is none.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), BadLength> {
        let before = self.parts.len();
        let header_missing = HEADER_BYTES.saturating_sub(before).min(input.len());
        self.parts.extend_from_slice(&input[..header_missing]);
        let Some(len) = whole_len(&self.parts)? else {
            return Ok((header_missing, None));
        };
        let rest = &input[header_missing..];
        let count = (len - self.parts.len()).min(rest.len());
        self.parts.extend_from_slice(&rest[..count]);
        let message = (self.parts.len() == len).then(|| core::mem::take(&mut self.parts));
        Ok((header_missing + count, message))
    }
}

/// Length with its header of the message that begins like this, if that can be told.
fn whole_len(bytes: &[u8]) -> Result<Option<usize>, BadLength> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    match u32::from_be_bytes(*header) {
        len @ 1..=MAX_BYTES => Ok(Some(HEADER_BYTES + len as usize)),
        _ => Err(BadLength),
    }
}

#[cfg(test)]
mod tests {
    use super::{Assembler, BadLength, MAX_BYTES, message};
    use proptest::{collection::vec, proptest};

    proptest! {
        #[test]
        fn messages_come_out_however_they_are_cut(lens in vec(1..500u32, 0..8), cuts in 1..300usize) {
            let messages: Vec<Vec<u8>> = lens.into_iter().map(message).collect();
            let mut assembler = Assembler::default();
            let mut out = Vec::new();
            for mut piece in messages.concat().chunks(cuts) {
                while !piece.is_empty() {
                    let (used, whole) = assembler.advance(piece).unwrap();
                    assert!(used > 0);
                    piece = &piece[used..];
                    out.extend(whole);
                }
            }
            assert_eq!(out, messages);
        }
    }

    #[test]
    fn lengths_have_bounds_and_whole_messages_are_seen() {
        for len in [0, MAX_BYTES + 1, u32::MAX] {
            assert_eq!(Assembler::default().advance(&len.to_be_bytes()), Err(BadLength));
        }
        let mut assembler = Assembler::default();
        let whole = message(10);
        assert!(assembler.is_whole(&whole) && !assembler.is_whole(&whole[..13]));
        assert_eq!(assembler.advance(&whole[..5]), Ok((5, None)));
        assert!(!assembler.is_whole(&whole));
    }
}
