//! TCP segments (RFC 9293 section 3.1).

use super::tcp_options::{Options, Timestamps};
use super::{be16, be32, put};
use crate::RxChecksum;
use crate::checksum::{Address, Sum};
use crate::seq::SeqNum;
use core::ops::BitOr;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// Where the checksum stands in it.
pub const CHECKSUM_OFFSET: u16 = 16;

/// The control bits. The reserved ones are neither read nor sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgement field counts.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x20);
    /// A router has marked data (RFC 3168 section 6.1).
    pub const ECE: Flags = Flags(0x40);
    /// The congestion window was reduced for that.
    pub const CWR: Flags = Flags(0x80);

    /// `true` if all bits of `flags` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// `true` if any bit of `flags` is set.
    #[inline]
    #[must_use]
    pub const fn intersects(self, flags: Flags) -> bool {
        self.0 & flags.0 != 0
    }

    /// Those that are set in `bits`.
    #[inline]
    pub(crate) const fn of_bits(bits: u8) -> Flags {
        Flags(bits)
    }

    /// These, but not those.
    #[inline]
    #[must_use]
    pub const fn without(self, flags: Flags) -> Flags {
        Flags(self.0 & !flags.0)
    }

    /// The bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    #[inline]
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Why bytes are not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Too short for the header, or a data offset that is less than 5 or beyond the end.
    Header,
    /// The checksum is wrong.
    Checksum,
}

/// A checked segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// The sender's port.
    pub src_port: u16,
    /// Our port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK; means nothing without [`Flags::ACK`].
    pub ack: SeqNum,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND as it stands in the header, not scaled.
    pub window: u16,
    /// The bytes of the options.
    pub options: &'a [u8],
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads the payload of an IP packet between these addresses.
    ///
    /// # Errors
    /// Says what is wrong.
    #[inline]
    pub fn parse<A: Address>(
        bytes: &'a [u8],
        src: A,
        dst: A,
        checksum: RxChecksum,
    ) -> Result<Segment<'a>, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Header)?;
        let options_len = (usize::from(header[12] >> 4) * 4)
            .checked_sub(HEADER_LEN)
            .ok_or(Malformed::Header)?;
        let (options, payload) = rest.split_at_checked(options_len).ok_or(Malformed::Header)?;
        if checksum == RxChecksum::Unknown {
            let len = u16::try_from(bytes.len()).map_err(|_| Malformed::Header)?;
            let mut sum = Sum::pseudo_header(src, dst, 6, len);
            sum.add_bytes(bytes);
            if sum.finish() != 0 {
                return Err(Malformed::Checksum);
            }
        }
        Ok(Segment {
            src_port: be16(header, 0),
            dst_port: be16(header, 2),
            seq: SeqNum(be32(header, 4)),
            ack: SeqNum(be32(header, 8)),
            flags: Flags(header[13]),
            window: be16(header, 14),
            options,
            payload,
        })
    }

    /// Bytes of the header, options included.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// SEG.LEN: the data, SYN and FIN.
    #[inline]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "an IP payload is below 2^16")]
    pub fn sequence_len(&self) -> u32 {
        let syn = u32::from(self.flags.contains(Flags::SYN));
        let fin = u32::from(self.flags.contains(Flags::FIN));
        self.payload.len() as u32 + syn + fin
    }

    /// A SYN that asks for a connection.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.flags.contains(Flags::SYN) && !self.flags.intersects(Flags(Flags::ACK.0 | Flags::RST.0))
    }

    /// The timestamps option, at little cost when it stands alone.
    #[inline]
    #[must_use]
    pub fn timestamps(&self) -> Option<Timestamps> {
        if self.options.is_empty() {
            return None;
        }
        Timestamps::parse_alone(self.options).or_else(|| self.all_options().timestamps)
    }

    /// No options, or timestamps alone: no SACK blocks.
    #[inline]
    #[must_use]
    pub fn has_plain_options(&self) -> bool {
        self.options.is_empty() || Timestamps::stand_alone(self.options)
    }

    /// All options.
    #[must_use]
    pub fn all_options(&self) -> Options {
        Options::parse(self.options)
    }
}

/// The part of the header before the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Our port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK; 0 without [`Flags::ACK`].
    pub ack: SeqNum,
    /// Control bits.
    pub flags: Flags,
    /// SEG.WND, scaled already.
    pub window: u16,
}

impl Header {
    /// Writes the header with checksum 0 and the data offset for `options_len` bytes of options (a multiple of 4, at
    /// most 40) after it; [`set_checksum`] comes last.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked to what the field holds")]
    pub fn emit(&self, options_len: usize, out: &mut [u8; HEADER_LEN]) {
        // In words, in the upper half of the byte: len / 4 * 16.
        let data_offset = (((HEADER_LEN + options_len) << 2) & 0xf0) as u8;
        put(out, 0, self.src_port.to_be_bytes());
        put(out, 2, self.dst_port.to_be_bytes());
        put(out, 4, self.seq.0.to_be_bytes());
        put(out, 8, self.ack.0.to_be_bytes());
        put(out, 12, [data_offset, self.flags.0]);
        put(out, 14, self.window.to_be_bytes());
        put(out, 16, [0; 4]);
    }
}

/// Writes the checksum field: [`Sum::finish`] over everything, or [`Sum::folded`] of the pseudo-header for a device to
/// complete.
#[inline]
pub fn set_checksum(header: &mut [u8; HEADER_LEN], checksum: u16) {
    put(header, usize::from(CHECKSUM_OFFSET), checksum.to_be_bytes());
}
