//! A command line in words, as memcached splits it: at spaces, and at nothing else.

use core::ops::Range;

/// Words looked at, at most (memcached: `MAX_TOKENS`, which counts the end as one).
pub(crate) const MOST: usize = 23;

/// The words of a line.
pub(crate) struct Tokens<'a> {
    line: &'a [u8],
    spans: [(u32, u32); MOST],
    count: usize,
    /// Where the words end that there was no room for.
    rest: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn of(line: &'a [u8]) -> Self {
        let mut tokens = Tokens {
            line,
            spans: [(0, 0); MOST],
            count: 0,
            rest: line.len(),
        };
        let mut place = 0;
        while let Some(range) = next_word(line, place) {
            place = range.end;
            if tokens.count == MOST {
                tokens.rest = range.start;
                break;
            }
            tokens.spans[tokens.count] = (
                u32::try_from(range.start).unwrap_or(u32::MAX),
                u32::try_from(range.end).unwrap_or(u32::MAX),
            );
            tokens.count += 1;
        }
        tokens
    }

    /// How many there are; more than [`MOST`] if not all are here.
    pub(crate) fn len(&self) -> usize {
        self.count + usize::from(self.rest < self.line.len())
    }

    /// The word at `place`, from 0; empty if there is none.
    pub(crate) fn get(&self, place: usize) -> &'a [u8] {
        if place >= self.count {
            return b"";
        }
        let (start, end) = self.spans[place];
        &self.line[start as usize..end as usize]
    }

    /// The words from `place` on.
    pub(crate) fn from(&self, place: usize) -> impl Iterator<Item = &'a [u8]> + '_ {
        (place..self.count).map(|place| self.get(place))
    }

    pub(crate) fn last(&self) -> &'a [u8] {
        self.get(self.count.saturating_sub(1))
    }

    pub(crate) fn line(&self) -> &'a [u8] {
        self.line
    }
}

/// The next word at or after `place`.
#[inline]
pub(crate) fn next_word(line: &[u8], place: usize) -> Option<Range<usize>> {
    let rest = line.get(place..)?;
    let start = place + rest.iter().position(|byte| *byte != b' ')?;
    let end = memchr::memchr(b' ', &line[start..]).map_or(line.len(), |len| start + len);
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::{MOST, Tokens};

    #[test]
    fn words_are_split_at_spaces_only() {
        let tokens = Tokens::of(b"  set  key\t1 0 ");
        let words: Vec<_> = tokens.from(0).collect();
        assert_eq!(words, [&b"set"[..], b"key\t1", b"0"]);
        assert_eq!(
            (tokens.len(), tokens.last(), tokens.get(7)),
            (3, &b"0"[..], &b""[..])
        );
    }

    #[test]
    fn too_many_words_show() {
        let line = "a ".repeat(MOST);
        assert_eq!(Tokens::of(line.as_bytes()).len(), MOST);
        let line = "a ".repeat(MOST + 5);
        assert_eq!(Tokens::of(line.as_bytes()).len(), MOST + 1);
    }
}
