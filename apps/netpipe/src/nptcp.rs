//! The dialogue of NetPIPE's own program for TCP, `NPtcp` 3.7, as its receiver sees it.
//!
//! It sends, without anything in between: `SyncMe`, which is answered by the same; how often the next message will come, four
//! bytes, not answered; messages, which come back; and `QUIT`. The receiver is expected to know the sizes, which follow from the
//! options of both sides. It need not: what is measured is a row of `a` that ends in `b`, so a message tells its end, and
//! nothing else begins like one. (Other kinds of measurements have other contents, see `docs/apps.md`.)

use crate::message::MAX_BYTES;

const SYNC: &[u8] = b"SyncMe";
const QUIT: &[u8] = b"QUIT";
/// Of the count, whose first byte is 0 below 16 million.
const COUNT_BYTES: usize = 4;

/// Whether a connection that begins with this byte is one of `NPtcp`.
#[must_use]
pub fn begins_with(byte: u8) -> bool {
    byte == SYNC[0]
}

/// It says something else than `NPtcp` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

/// What to do about what has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Wait for more of it.
    Wait,
    /// Send this back.
    Answer(Vec<u8>),
    /// Nothing.
    Heed,
    /// Close the connection.
    Quit,
}

/// Takes the dialogue apart.
#[derive(Debug, Default)]
pub struct Dialogue {
    /// What is there of the word or message under way.
    parts: Vec<u8>,
}

impl Dialogue {
    /// `true` if `bytes` are one whole thing to be sent back, and nothing of another is here.
    #[must_use]
    pub fn is_whole(&self, bytes: &[u8]) -> bool {
        let is_answered = bytes == SYNC || bytes.split_last().is_some_and(is_message);
        self.parts.is_empty() && is_answered
    }

    /// Takes bytes from the front of `input`, one word's or message's at most; returns how many, and what to do.
    ///
    /// # Errors
    /// If `NPtcp` says no such thing.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Step), Unknown> {
        let Some(first) = self.parts.first().or(input.first()) else {
            return Ok((0, Step::Wait));
        };
        match first {
            b'S' => self.word(input, SYNC.len()),
            b'Q' => self.word(input, QUIT.len()),
            0 => self.word(input, COUNT_BYTES),
            b'a' | b'b' => self.message(input),
            _ => Err(Unknown),
        }
    }

    /// A word of `len` bytes.
    fn word(&mut self, input: &[u8], len: usize) -> Result<(usize, Step), Unknown> {
        let count = (len - self.parts.len()).min(input.len());
        self.parts.extend_from_slice(&input[..count]);
        if self.parts.len() < len {
            return Ok((count, Step::Wait));
        }
        let word = core::mem::take(&mut self.parts);
        let step = match &word[..] {
            SYNC => Step::Answer(word),
            QUIT => Step::Quit,
            [0, ..] => Step::Heed,
            _ => return Err(Unknown),
        };
        Ok((count, step))
    }

    fn message(&mut self, input: &[u8]) -> Result<(usize, Step), Unknown> {
        let end = input.iter().position(|byte| *byte != b'a');
        let count = end.map_or(input.len(), |end| end + 1);
        if self.parts.len() + count > MAX_BYTES as usize {
            return Err(Unknown);
        }
        self.parts.extend_from_slice(&input[..count]);
        match end.map(|end| input[end]) {
            None => Ok((count, Step::Wait)),
            Some(b'b') => Ok((count, Step::Answer(core::mem::take(&mut self.parts)))),
            Some(_) => Err(Unknown),
        }
    }
}

/// Whether a last byte and those before it are a message.
fn is_message((last, before): (&u8, &[u8])) -> bool {
    *last == b'b' && before.iter().all(|byte| *byte == b'a')
}

#[cfg(test)]
mod tests {
    use super::{Dialogue, MAX_BYTES, Step, Unknown};
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    fn message(len: usize) -> Vec<u8> {
        let mut message = vec![b'a'; len];
        message[len - 1] = b'b';
        message
    }

    /// What comes back of `input`, cut into pieces of `cut` bytes.
    fn answers(input: &[u8], cut: usize) -> Result<(Vec<u8>, bool), Unknown> {
        let (mut dialogue, mut answers, mut has_quit) = (Dialogue::default(), Vec::new(), false);
        for piece in input.chunks(cut) {
            let mut used = 0;
            while used < piece.len() && !has_quit {
                let (count, step) = dialogue.advance(&piece[used..])?;
                used += count;
                match step {
                    Step::Answer(answer) => answers.extend(answer),
                    Step::Quit => has_quit = true,
                    Step::Wait | Step::Heed => {}
                }
            }
        }
        Ok((answers, has_quit))
    }

    proptest! {
        #[test]
        fn a_dialogue_is_understood_however_it_is_cut(
            rounds in vec((1..400_usize, 0..1 << 24), 0..10),
            cut in 1..500_usize,
        ) {
            let (mut said, mut expected) = (b"SyncMe".to_vec(), b"SyncMe".to_vec());
            for (len, count) in rounds {
                let message = message(len);
                said.extend(i32::to_be_bytes(count));
                for part in [b"SyncMe", &message[..], &message[..]] {
                    said.extend_from_slice(part);
                    expected.extend_from_slice(part);
                }
            }
            said.extend(b"QUIT\0");
            assert_eq!(answers(&said, cut), Ok((expected, true)));
        }

        #[test]
        fn nothing_comes_back_that_was_not_sent(said in vec(any::<u8>(), 0..200), cut in 1..50_usize) {
            if let Ok((answers, _)) = answers(&said, cut) {
                assert!(answers.len() <= said.len());
            }
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        let too_long = vec![b'a'; MAX_BYTES as usize + 1];
        for said in [
            &b"SyncYou"[..],
            b"aaac",
            b"QUIZ",
            b"hello",
            b"\x01\0\0\0",
            &too_long,
        ] {
            assert_eq!(answers(said, 4096), Err(Unknown));
        }
    }

    #[test]
    fn what_is_in_one_piece_is_seen_to_be_whole() {
        let mut dialogue = Dialogue::default();
        assert!(dialogue.is_whole(b"SyncMe") && dialogue.is_whole(b"b") && dialogue.is_whole(b"aab"));
        assert!(!dialogue.is_whole(b"aabb") && !dialogue.is_whole(b"aa") && !dialogue.is_whole(b""));
        dialogue.advance(b"a").unwrap();
        assert!(!dialogue.is_whole(b"aab"));
    }
}
