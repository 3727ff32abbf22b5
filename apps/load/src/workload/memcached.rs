//! memcached's text protocol, as far as a client of gets and sets needs it.

use super::{Malformed, Mix, Reply};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::io::Write;

/// Longest line of an answer, in bytes: a key of 250 and numbers.
const MAX_LINE_BYTES: usize = 512;

/// The records that there are. Nothing of them is kept: a record's number and the seed say what it is.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    mix: Mix,
    count: u32,
    seed: u64,
}

impl Records {
    pub(super) fn new(mix: Mix, count: u32, seed: u64) -> Self {
        Records { mix, count, seed }
    }

    pub(super) fn request(&self, random: &mut SmallRng) -> Vec<u8> {
        let number = random.random_range(0..self.count);
        if self.mix.is_set(random) {
            self.set(number)
        } else {
            self.get(number)
        }
    }

    pub(super) fn fill(&self, number: u32) -> Option<Vec<u8>> {
        (number < self.count).then(|| self.set(number))
    }

    fn get(&self, number: u32) -> Vec<u8> {
        let (key_len, _) = self.lens(number);
        let mut request = Vec::with_capacity(key_len + 20);
        request.extend_from_slice(b"get ");
        push_key(&mut request, number, key_len);
        request.extend_from_slice(b"\r\n");
        request
    }

    fn set(&self, number: u32) -> Vec<u8> {
        let (key_len, value_len) = self.lens(number);
        let mut request = Vec::with_capacity(key_len + value_len + 40);
        request.extend_from_slice(b"set ");
        push_key(&mut request, number, key_len);
        // Writing to a vector cannot fail.
        let _ = write!(request, " 0 0 {value_len}\r\n");
        request.resize(request.len() + value_len, b'v');
        request.extend_from_slice(b"\r\n");
        request
    }

    /// Lengths of key and value.
    fn lens(&self, number: u32) -> (usize, usize) {
        let mut random =
            SmallRng::seed_from_u64(self.seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (self.mix.key_len(&mut random), self.mix.value_len(&mut random))
    }
}

/// The number, which tells records apart, and padding; a length too short for the number is exceeded.
fn push_key(request: &mut Vec<u8>, number: u32, len: usize) {
    let start = request.len();
    let _ = write!(request, "{number:x}");
    let end = (start + len).max(request.len());
    request.resize(end, b'k');
}

/// Reads answers.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    /// Bytes of a value, and of the end of its line, still to come.
    value_left: usize,
    has_value: bool,
}

impl Reader {
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), Malformed> {
        if self.value_left > 0 {
            let count = self.value_left.min(input.len());
            self.value_left -= count;
            return Ok((count, None));
        }
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
            self.line.extend_from_slice(input);
            return if self.line.len() > MAX_LINE_BYTES {
                Err(Malformed)
            } else {
                Ok((input.len(), None))
            };
        };
        self.line.extend_from_slice(&input[..end]);
        let line = core::mem::take(&mut self.line);
        let reply = self.on_line(line.strip_suffix(b"\r").ok_or(Malformed)?)?;
        // The storage is used again.
        self.line = line;
        self.line.clear();
        Ok((end + 1, reply))
    }

    fn on_line(&mut self, line: &[u8]) -> Result<Option<Reply>, Malformed> {
        let line = core::str::from_utf8(line).map_err(|_| Malformed)?;
        let mut words = line.split(' ');
        Ok(match words.next() {
            Some("STORED") => Some(Reply::Good),
            Some("END") if core::mem::take(&mut self.has_value) => Some(Reply::Good),
            Some("END") => Some(Reply::Miss),
            Some("VALUE") => {
                let len: usize = words.nth(2).and_then(|len| len.parse().ok()).ok_or(Malformed)?;
                self.value_left = len.checked_add(2).ok_or(Malformed)?;
                self.has_value = true;
                None
            }
            Some("ERROR" | "CLIENT_ERROR" | "SERVER_ERROR" | "NOT_STORED") => Some(Reply::Error),
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Records, push_key};
    use crate::workload::tests::replies;
    use crate::workload::{Malformed, Mix, Reader, Reply};
    use std::collections::HashSet;

    #[test]
    fn answers_are_read_however_they_are_cut() {
        let input = b"STORED\r\nVALUE key 0 5\r\nEND\r\n\r\nEND\r\nEND\r\nSERVER_ERROR out of memory\r\nVALUE k 0 0\r\n\r\nEND\r\n";
        let wanted = vec![Reply::Good, Reply::Good, Reply::Miss, Reply::Error, Reply::Good];
        for cuts in 1..=input.len() {
            let mut reader = Reader::Memcached(super::Reader::default());
            assert_eq!(
                replies(&mut reader, input, cuts),
                Ok(wanted.clone()),
                "cut every {cuts}"
            );
        }
        for wrong in [
            "HTTP/1.1 400\r\n",
            "STORED\n",
            "VALUE key 0\r\n",
            &"x".repeat(600),
        ] {
            let mut reader = Reader::Memcached(super::Reader::default());
            assert_eq!(
                replies(&mut reader, wrong.as_bytes(), 50),
                Err(Malformed),
                "{wrong}"
            );
        }
    }

    #[test]
    fn each_record_has_a_key_of_its_own_and_always_the_same() {
        let records = Records::new(Mix::Etc, 20_000, 5);
        let keys: HashSet<Vec<u8>> = (0..20_000).map(|number| records.get(number)).collect();
        assert_eq!(keys.len(), 20_000);
        assert_eq!(records.get(17), records.get(17));
        let set = String::from_utf8(records.set(17)).unwrap();
        let key = String::from_utf8(records.get(17)).unwrap();
        assert!(set.starts_with(&key.replace("get ", "set ").replace("\r\n", " 0 0 ")));
        assert_eq!(records.fill(20_000), None);
        let mut short = Vec::new();
        push_key(&mut short, 0xabcdef, 2);
        assert_eq!(short, b"abcdef");
    }
}
