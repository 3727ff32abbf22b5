//! UDP datagrams (RFC 768).

use super::{be16, put};
use crate::RxChecksum;
use crate::checksum::{Address, Sum};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;
/// Where the checksum stands in it.
pub const CHECKSUM_OFFSET: u16 = 6;

/// Why bytes are not a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Too short for the header, or for the length it states.
    Header,
    /// The checksum is wrong.
    Checksum,
}

/// A checked datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The sender's port; 0 if it wants no answer.
    pub src_port: u16,
    /// Our port.
    pub dst_port: u16,
    /// The data, cut to the stated length.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads the payload of an IP packet between these addresses. Over IPv4, a checksum of 0 says that there is none.
    ///
    /// # Errors
    /// Says what is wrong.
    #[inline]
    pub fn parse<A: Address>(
        bytes: &'a [u8],
        src: A,
        dst: A,
        checksum: RxChecksum,
    ) -> Result<Datagram<'a>, Malformed> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::Header)?;
        let len = be16(header, 4);
        let bytes = bytes.get(..usize::from(len)).ok_or(Malformed::Header)?;
        let payload = bytes.get(HEADER_LEN..).ok_or(Malformed::Header)?;
        let is_summed = be16(header, 6) != 0;
        if !is_summed && !A::UDP_WITHOUT_CHECKSUM {
            return Err(Malformed::Checksum);
        }
        if checksum == RxChecksum::Unknown && is_summed {
            let mut sum = Sum::pseudo_header(src, dst, 17, len);
            sum.add_bytes(bytes);
            if sum.finish() != 0 {
                return Err(Malformed::Checksum);
            }
        }
        Ok(Datagram {
            src_port: be16(header, 0),
            dst_port: be16(header, 2),
            payload,
        })
    }
}

/// The header of a datagram that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Our port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// Header and data; at least 8.
    pub len: u16,
}

impl Header {
    /// Writes the header with checksum 0; [`set_checksum`] comes after.
    #[inline]
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        put(out, 0, self.src_port.to_be_bytes());
        put(out, 2, self.dst_port.to_be_bytes());
        put(out, 4, self.len.to_be_bytes());
        put(out, 6, [0, 0]);
    }
}

/// Writes the checksum field: [`Sum::finish_nonzero`] over everything, or [`Sum::folded`] of the pseudo-header for a
/// device to complete.
#[inline]
pub fn set_checksum(header: &mut [u8; HEADER_LEN], checksum: u16) {
    put(header, 6, checksum.to_be_bytes());
}
