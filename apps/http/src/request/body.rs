//! Bodies by length and in chunks (RFC 9112, section 7.1), as they come, however they are cut.

use super::Framing;

/// Longest line of a chunk's size and its extensions, and all trailer fields together, in bytes.
const MAX_LINE_BYTES: usize = 256;
const MAX_TRAILER_BYTES: usize = 8_192;

/// Why a body is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Its chunks are not what they should be.
    Malformed,
    /// It is longer than allowed.
    TooLarge,
}

/// What a body's next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// The first digit of a chunk's size.
    FirstDigit,
    /// More of them.
    Digits,
    /// Extensions, which mean nothing here.
    Extension,
    /// LF after the size's CR.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer's line, or of the last CRLF.
    Trailer,
    TrailerLine,
    TrailerLf,
    LastLf,
    Nothing,
}

/// A body under way.
#[derive(Debug)]
pub struct Decoder {
    expect: Expect,
    chunked: bool,
    /// Bytes of data still to come, in the body or in this chunk.
    left: u64,
    limit: usize,
    /// Bytes of this size line, or of the trailers.
    line: usize,
}

impl Decoder {
    /// Of a body of at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge` if its length is known and above that.
    pub fn new(framing: Framing, limit: usize) -> Result<Self, BodyError> {
        let (expect, left) = match framing {
            Framing::Length(0) => (Expect::Nothing, 0),
            Framing::Length(length) => (Expect::Data, length),
            Framing::Chunked => (Expect::FirstDigit, 0),
        };
        if left > limit as u64 {
            return Err(BodyError::TooLarge);
        }
        Ok(Decoder {
            expect,
            chunked: framing == Framing::Chunked,
            left,
            limit,
            line: 0,
        })
    }

    /// `true` if the whole body is there.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// Takes what belongs to the body from the front of `input` and adds its data to `body`; returns how much that was.
    ///
    /// # Errors
    /// If the body cannot be taken.
    pub fn decode(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, BodyError> {
        let mut used = 0;
        while !self.is_done()
            && let Some(&byte) = input.get(used)
        {
            if self.expect == Expect::Data {
                used += self.data(&input[used..], body);
            } else {
                self.expect = self.after(byte)?;
                self.check_room(body.len())?;
                used += 1;
            }
        }
        Ok(used)
    }

    fn data(&mut self, input: &[u8], body: &mut Vec<u8>) -> usize {
        let count = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        body.extend_from_slice(&input[..count]);
        self.left -= count as u64;
        if self.left == 0 {
            self.expect = if self.chunked {
                Expect::DataCr
            } else {
                Expect::Nothing
            };
        }
        count
    }

    fn check_room(&self, taken: usize) -> Result<(), BodyError> {
        let sum = self.left.checked_add(taken as u64);
        if sum.is_none_or(|sum| sum > self.limit as u64) {
            return Err(BodyError::TooLarge);
        }
        Ok(())
    }

    /// What to expect after a byte that is not data.
    fn after(&mut self, byte: u8) -> Result<Expect, BodyError> {
        self.line += 1;
        let in_trailer = matches!(
            self.expect,
            Expect::Trailer | Expect::TrailerLine | Expect::TrailerLf | Expect::LastLf
        );
        if self.line
            > if in_trailer {
                MAX_TRAILER_BYTES
            } else {
                MAX_LINE_BYTES
            }
        {
            return Err(BodyError::Malformed);
        }
        Ok(match (self.expect, byte) {
            (Expect::FirstDigit | Expect::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte)?;
                Expect::Digits
            }
            (Expect::Digits | Expect::Extension, b'\r') => Expect::SizeLf,
            (Expect::Digits, b';' | b' ' | b'\t') => Expect::Extension,
            (Expect::Extension, b'\t' | b' '..=b'~' | 0x80..) => Expect::Extension,
            (Expect::SizeLf, b'\n') => {
                self.line = 0;
                if self.left == 0 {
                    Expect::Trailer
                } else {
                    Expect::Data
                }
            }
            (Expect::DataCr, b'\r') => Expect::DataLf,
            (Expect::DataLf, b'\n') => {
                self.line = 0;
                Expect::FirstDigit
            }
            (Expect::Trailer, b'\r') => Expect::LastLf,
            (Expect::TrailerLine, b'\r') => Expect::TrailerLf,
            (Expect::Trailer | Expect::TrailerLine, b'\t' | b' '..=b'~' | 0x80..) => Expect::TrailerLine,
            (Expect::TrailerLf, b'\n') => Expect::Trailer,
            (Expect::LastLf, b'\n') => Expect::Nothing,
            _ => return Err(BodyError::Malformed),
        })
    }

    fn digit(&mut self, byte: u8) -> Result<(), BodyError> {
        let value = char::from(byte).to_digit(16).map_or(0, u64::from);
        let scaled = self.left.checked_mul(16).ok_or(BodyError::TooLarge)?;
        self.left = scaled | value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyError, Decoder};
    use crate::request::Framing;
    use proptest::prelude::{any, proptest};

    /// Decodes pieces that end at `cuts`; the body, and what was left over.
    fn decode(framing: Framing, input: &[u8], cuts: usize) -> Result<(Vec<u8>, usize), BodyError> {
        let mut decoder = Decoder::new(framing, 1_000)?;
        let mut body = Vec::new();
        let mut at = 0;
        for piece in input.chunks(cuts) {
            at += decoder.decode(piece, &mut body)?;
            if decoder.is_done() {
                return Ok((body, input.len() - at));
            }
        }
        Err(BodyError::Malformed)
    }

    #[test]
    fn chunks_become_a_body_however_they_are_cut() {
        let input =
            b"4\r\nWiki\r\n6;name=\"value\"\r\npedia \r\n00B\r\nin\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\nrest";
        for cuts in 1..=input.len() {
            let (body, left) = decode(Framing::Chunked, input, cuts).unwrap();
            assert_eq!((body.as_slice(), left), (&b"Wikipedia in\r\nchunks."[..], 4));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for input in [
            "\r\n",
            "x\r\n",
            "4\nWiki\r\n0\r\n\r\n",
            "4\r\nWikix",
            "4\r\nWiki\n0\r\n\r\n",
            "-4\r\nWiki\r\n",
            "0x4\r\nWiki\r\n",
            " 4\r\nWiki\r\n0\r\n\r\n",
            "4\r\nWiki\r\n\r\n",
            "0\r\n\n",
            "4;a\nb\r\nWiki\r\n0\r\n\r\n",
            "0\r\nA: b\n\r\n",
        ] {
            assert_eq!(
                decode(Framing::Chunked, input.as_bytes(), 7),
                Err(BodyError::Malformed),
                "{input:?}"
            );
        }
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(300));
        assert_eq!(
            decode(Framing::Chunked, long.as_bytes(), 50),
            Err(BodyError::Malformed)
        );
        let trailers = format!("0\r\n{}\r\n", "A: b\r\n".repeat(2_000));
        assert_eq!(
            decode(Framing::Chunked, trailers.as_bytes(), 50),
            Err(BodyError::Malformed)
        );
    }

    #[test]
    fn too_much_is_refused_before_it_comes() {
        assert_eq!(decode(Framing::Length(1_001), b"", 1), Err(BodyError::TooLarge));
        for size in [
            "3e9\r\n",
            "ffffffffffffffff\r\n",
            "fffffffffffffffff\r\n",
            "3e8\r\n",
        ] {
            let mut input = size.as_bytes().to_vec();
            input.extend([b'x'; 1_000]);
            input.extend(b"\r\n1\r\nx\r\n0\r\n\r\n");
            assert_eq!(
                decode(Framing::Chunked, &input, 100),
                Err(BodyError::TooLarge),
                "{size}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_body_survives(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 0..12),
                             cuts in 1..50usize) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend(format!("{:X}\r\n", chunk.len()).bytes());
                input.extend(chunk);
                input.extend(b"\r\n");
            }
            input.extend(b"0\r\n\r\n");
            assert_eq!(decode(Framing::Chunked, &input, cuts), Ok((chunks.concat(), 0)));
            let plain = chunks.concat();
            if !plain.is_empty() {
                assert_eq!(decode(Framing::Length(plain.len() as u64), &plain, cuts), Ok((plain, 0)));
            }
        }

        #[test]
        fn no_bytes_panic(input in proptest::collection::vec(any::<u8>(), 0..300), cuts in 1..50usize) {
            let _ = decode(Framing::Chunked, &input, cuts);
        }
    }
}
