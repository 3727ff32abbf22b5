//! Names of the kernel's functions: the table that `build/symbols.rs` has put at the end of the image.

use crate::mem;

/// Magic, count, length.
pub(crate) const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 8;

/// The table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbols<'a> {
    entries: &'a [[u8; ENTRY_BYTES]],
    names: &'a [u8],
}

/// Length in bytes of the table that begins with `header`; `None` if it is not a table's.
pub(crate) fn table_bytes(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let (magic, numbers) = header.split_first_chunk::<8>()?;
    let (_count, bytes) = numbers.split_first_chunk::<4>()?;
    let bytes = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (magic == b"IXIONSYM" && bytes >= HEADER_BYTES).then_some(bytes)
}

impl<'a> Symbols<'a> {
    /// Reads a table; `None` if it is none, or damaged.
    pub(crate) fn parse(table: &'a [u8]) -> Option<Self> {
        let (header, rest) = table.split_first_chunk::<HEADER_BYTES>()?;
        let rest = rest.get(..table_bytes(header)? - HEADER_BYTES)?;
        let count = u32::from_le_bytes(*header[8..].first_chunk()?) as usize;
        let (entries, names) = rest.split_at_checked(count.checked_mul(ENTRY_BYTES)?)?;
        Some(Symbols {
            entries: entries.as_chunks().0,
            names,
        })
    }

    /// The function that `address` is in, and how far.
    pub(crate) fn find(&self, address: u64) -> Option<(&'a str, u64)> {
        let low = mem::size(address & 0xffff_ffff);
        let behind = self.entries.partition_point(|entry| number(entry, 0) <= low);
        let entry = self.entries.get(behind.checked_sub(1)?)?;
        let start = number(entry, 4);
        let end = self
            .entries
            .get(behind)
            .map_or(self.names.len(), |next| number(next, 4));
        let name = core::str::from_utf8(self.names.get(start..end)?).ok()?;
        Some((name, (low - number(entry, 0)) as u64))
    }
}

fn number(entry: &[u8; ENTRY_BYTES], at: usize) -> usize {
    entry[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::Symbols;
    use std::vec::Vec;

    fn table() -> Vec<u8> {
        let mut table = b"IXIONSYM".to_vec();
        for number in [2, 16 + 16 + 7, 0x8010_0000, 0, 0x8010_0040, 3u32] {
            table.extend(number.to_le_bytes());
        }
        table.extend(b"onefour");
        table
    }

    #[test]
    fn addresses_are_named() {
        let table = table();
        let symbols = Symbols::parse(&table).unwrap();
        assert_eq!(symbols.find(0xffff_ffff_8010_0000), Some(("one", 0)));
        assert_eq!(symbols.find(0xffff_ffff_8010_003f), Some(("one", 0x3f)));
        assert_eq!(symbols.find(0xffff_ffff_8010_0041), Some(("four", 1)));
        assert_eq!(symbols.find(0xffff_ffff_800f_ffff), None);
    }

    #[test]
    fn damage_is_noticed() {
        let table = table();
        for len in 0..table.len() {
            assert!(Symbols::parse(&table[..len]).is_none());
        }
        for place in 8..table.len() {
            let mut damaged = table.clone();
            damaged[place] ^= 0xff;
            if let Some(symbols) = Symbols::parse(&damaged) {
                symbols.find(0xffff_ffff_8010_0000);
                symbols.find(0xffff_ffff_8010_0040);
            }
        }
    }
}
