//! How an item lies in its chunk: as the reply to a `get` of it.
//!
//! ```text
//! VALUE <key> <flags> <bytes>\r\n<value>\r\nEND\r\n
//! ```
//!
//! Of all that a client may ask, a `get` of one key is what they ask most, and its reply is the chunk itself: nothing is
//! formatted, nothing gathered. Every other reply takes the part that it needs. It costs each item some 20 bytes.

use core::ops::Range;

const VALUE: &[u8] = b"VALUE ";
const CRLF: &[u8] = b"\r\n";
const END: &[u8] = b"\r\nEND\r\n";

/// Where the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    value_len: u32,
    value_start: u16,
    key_len: u8,
}

impl Layout {
    /// Of an item with a key of `key_len` bytes (250 at most).
    pub(crate) fn new(key_len: u8, flags: u32, value_len: u32) -> Self {
        let digits = |number: u32| number.checked_ilog10().unwrap_or(0) + 1;
        let numbers = digits(flags) + digits(value_len);
        let start = VALUE.len() + usize::from(key_len) + 1 + 1 + CRLF.len();
        Layout {
            value_len,
            value_start: u16::try_from(start).unwrap_or(u16::MAX) + u16::try_from(numbers).unwrap_or(0),
            key_len,
        }
    }

    /// Bytes of the whole.
    pub(crate) fn len(self) -> usize {
        self.value().end + END.len()
    }

    pub(crate) fn value_len(self) -> usize {
        self.value_len as usize
    }

    #[inline]
    pub(crate) fn key(self) -> Range<usize> {
        VALUE.len()..VALUE.len() + usize::from(self.key_len)
    }

    /// Flags and length, with a space between.
    pub(crate) fn numbers(self) -> Range<usize> {
        self.key().end + 1..usize::from(self.value_start) - CRLF.len()
    }

    #[inline]
    pub(crate) fn value(self) -> Range<usize> {
        let start = usize::from(self.value_start);
        start..start + self.value_len as usize
    }

    /// The value and the line end after it.
    pub(crate) fn value_line(self) -> Range<usize> {
        let value = self.value();
        value.start..value.end + CRLF.len()
    }

    /// Everything up to the line end after the value: what one item adds to a `get`'s reply.
    #[inline]
    pub(crate) fn entry(self) -> Range<usize> {
        0..self.value().end + CRLF.len()
    }

    /// Writes all but the value into `chunk`, which has room for it.
    pub(crate) fn write(self, chunk: &mut [u8], key: &[u8], flags: u32) {
        let mut number = itoa::Buffer::new();
        let mut place = 0;
        let mut put = |bytes: &[u8]| {
            chunk[place..place + bytes.len()].copy_from_slice(bytes);
            place += bytes.len();
        };
        put(VALUE);
        put(key);
        put(b" ");
        put(number.format(flags).as_bytes());
        put(b" ");
        put(number.format(self.value_len).as_bytes());
        put(CRLF);
        let end = self.value().end;
        chunk[end..end + END.len()].copy_from_slice(END);
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn the_parts_lie_where_the_layout_says() {
        for (flags, value) in [
            (0, &b""[..]),
            (7, b"x"),
            (u32::MAX, b"a longer one"),
            (10, b"0123456789"),
        ] {
            let layout = Layout::new(3, flags, u32::try_from(value.len()).unwrap());
            let mut chunk = vec![0; layout.len()];
            layout.write(&mut chunk, b"key", flags);
            chunk[layout.value()].copy_from_slice(value);
            let numbers = format!("{flags} {}", value.len());
            let text = String::from_utf8(value.to_vec()).unwrap();
            let whole = format!("VALUE key {numbers}\r\n{text}\r\nEND\r\n");
            assert_eq!(chunk, whole.as_bytes());
            assert_eq!(&chunk[layout.key()], b"key");
            assert_eq!(&chunk[layout.numbers()], numbers.as_bytes());
            assert_eq!(chunk[layout.entry()], whole.as_bytes()[..whole.len() - 5]);
            assert_eq!(chunk[layout.value_line()], format!("{text}\r\n").as_bytes()[..]);
        }
    }
}
