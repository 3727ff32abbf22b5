//! The Internet checksum (RFC 1071): a one's complement sum, eight bytes at a time.

use core::net::{Ipv4Addr, Ipv6Addr};

/// An address that a pseudo-header covers.
pub trait Address: Copy {
    /// What UDP over this family makes of a checksum of 0: none was computed (RFC 768), or it is wrong (RFC 8200 section
    /// 8.1).
    const UDP_WITHOUT_CHECKSUM: bool;

    /// Its words, added.
    #[must_use]
    fn sum(self) -> u64;
}

impl Address for Ipv4Addr {
    const UDP_WITHOUT_CHECKSUM: bool = true;

    #[inline]
    fn sum(self) -> u64 {
        u64::from(u32::from_ne_bytes(self.octets()))
    }
}

impl Address for Ipv6Addr {
    const UDP_WITHOUT_CHECKSUM: bool = false;

    #[inline]
    fn sum(self) -> u64 {
        sum_of(&self.octets())
    }
}

/// A running one's complement sum. It is kept in the machine's byte order and over 64 bits, both of which RFC 1071
/// section 2 allows: 2^16 - 1 divides 2^64 - 1, and swapping bytes commutes with adding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    sum: u64,
    /// An odd number of bytes has gone in, so the next byte is the low half of its 16-bit word.
    odd: bool,
}

impl Sum {
    /// Nothing summed yet.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Sum { sum: 0, odd: false }
    }

    /// The pseudo-header of TCP, UDP and ICMPv6 (RFC 9293 section 3.1, RFC 8200 section 8.1): `len` counts the transport
    /// header and its data.
    #[inline]
    #[must_use]
    pub fn pseudo_header<A: Address>(src: A, dst: A, protocol: u8, len: u16) -> Self {
        let rest = u64::from(len.to_be()) + u64::from(u16::from(protocol).to_be());
        let addresses = add_carrying(src.sum(), dst.sum());
        Sum {
            sum: add_carrying(addresses, rest),
            odd: false,
        }
    }

    /// Adds a 16-bit value, as it stands in the header in network order. Only at an even offset.
    #[inline]
    pub fn add_u16(&mut self, value: u16) {
        self.sum = add_carrying(self.sum, u64::from(value.to_be()));
    }

    /// Adds bytes that follow those added so far; pieces of odd length are put together rightly.
    #[inline]
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let mut piece = sum_of(bytes);
        if self.odd {
            piece = piece.rotate_left(8);
        }
        self.sum = add_carrying(self.sum, piece);
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// The sum itself, for a device that adds the rest ([`crate::TxOffload::Partial`]).
    #[inline]
    #[must_use]
    pub const fn folded(self) -> u16 {
        fold(self.sum).to_be()
    }

    /// The checksum: the complement of the sum. A header that contains its own right checksum gives 0.
    #[inline]
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.folded()
    }

    /// The checksum for a UDP header, where 0 says "none" and 0xffff stands for it (RFC 768).
    #[inline]
    #[must_use]
    pub const fn finish_nonzero(self) -> u16 {
        match self.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }
}

/// Checksum of `bytes` alone.
#[inline]
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = Sum::new();
    sum.add_bytes(bytes);
    sum.finish()
}

/// The checksum after one 16-bit word it covers changed from `old` to `new` (RFC 1624 equation 3).
#[inline]
#[must_use]
pub const fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}

#[inline]
const fn add_carrying(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u64
}

/// End-around carries from 64 bits down to 16.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "three folds leave no more than 16 bits, shown below"
)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff); // 33 bits
    let sum = (sum >> 16) + (sum & 0xffff); // at most 0x1_ffff + 0xffff
    let sum = (sum >> 16) + (sum & 0xffff); // at most 0xffff + 2
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

fn sum_of(bytes: &[u8]) -> u64 {
    let mut sum = 0;
    let (blocks, rest) = bytes.as_chunks::<32>();
    for block in blocks {
        for word in block.as_chunks::<8>().0 {
            sum = add_carrying(sum, u64::from_ne_bytes(*word));
        }
    }
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        sum = add_carrying(sum, u64::from_ne_bytes(*word));
    }
    add_carrying(sum, word_of(tail))
}

/// Up to seven bytes as a word with zeros behind them; by shifts, because a copy of unknown length is a call to memcpy.
#[inline]
fn word_of(mut tail: &[u8]) -> u64 {
    let mut word = 0;
    let mut shift = 0;
    if let Some((four, rest)) = tail.split_first_chunk::<4>() {
        word = u64::from(u32::from_le_bytes(*four));
        (shift, tail) = (32, rest);
    }
    if let Some((two, rest)) = tail.split_first_chunk::<2>() {
        word |= u64::from(u16::from_le_bytes(*two)) << shift;
        (shift, tail) = (shift + 16, rest);
    }
    if let Some(last) = tail.first() {
        word |= u64::from(*last) << shift;
    }
    u64::from_le(word)
}

#[cfg(test)]
mod tests {
    use super::{Sum, checksum, updated};

    #[test]
    fn the_example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    #[test]
    fn pieces_of_odd_length_sum_like_the_whole() {
        let bytes: [u8; 97] = core::array::from_fn(|i| u8::try_from(i * 37 % 251).unwrap());
        for cut in 0..bytes.len() {
            let mut sum = Sum::new();
            sum.add_bytes(&bytes[..cut]);
            sum.add_bytes(&bytes[cut..]);
            assert_eq!(sum.finish(), checksum(&bytes), "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_word_updates_like_a_new_sum() {
        let mut bytes = [0x45, 0x00, 0x12, 0x34, 0xff, 0xff, 0x00, 0x01];
        let before = checksum(&bytes);
        bytes[2..4].copy_from_slice(&[0xab, 0xcd]);
        assert_eq!(updated(before, 0x1234, 0xabcd), checksum(&bytes));
    }
}
