//! IPv6 packets (RFC 8200). What stands between the fixed header and the transport is walked by
//! [`super::ipv6_extensions`].

use super::ecn::Ecn;
use super::ipv6_extensions::{self, Content, Refusal};
use super::{be16, be32, put};
use crate::checksum::Sum;
use core::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// Where the Next Header field stands in it.
const NEXT_HEADER: usize = 6;

/// Takes one hop off a header, which must have one left.
#[inline]
pub fn take_hop(header: &mut [u8; HEADER_LEN]) {
    header[7] = header[7].wrapping_sub(1);
}

/// What a header says comes next, as far as it is a transport's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// 58.
    Icmpv6,
    /// Any other number.
    Other(u8),
}

impl From<u8> for Protocol {
    #[inline]
    fn from(number: u8) -> Self {
        match number {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            58 => Protocol::Icmpv6,
            _ => Protocol::Other(number),
        }
    }
}

impl From<Protocol> for u8 {
    #[inline]
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Icmpv6 => 58,
            Protocol::Other(number) => number,
        }
    }
}

/// A packet whose fixed header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    fixed: &'a [u8; HEADER_LEN],
    /// From the first header byte to the last of the payload; what the link padded is cut off.
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks version and length; `None` if they are wrong. A jumbogram (RFC 2675) counts as one without payload.
    #[inline]
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let fixed = bytes.first_chunk::<HEADER_LEN>()?;
        if fixed[0] >> 4 != 6 {
            return None;
        }
        let bytes = bytes.get(..HEADER_LEN + usize::from(be16(fixed, 4)))?;
        Some(Packet { fixed, bytes })
    }

    /// The same of a packet of which only the front lies in `bytes`; of it, and of what the link padded, there are `len` bytes
    /// in all. Gives its length, too.
    #[must_use]
    pub fn parse_front(bytes: &'a [u8], len: usize) -> Option<(Packet<'a>, usize)> {
        let fixed = bytes.first_chunk::<HEADER_LEN>()?;
        let total_len = HEADER_LEN + usize::from(be16(fixed, 4));
        if fixed[0] >> 4 != 6 || total_len > len {
            return None;
        }
        let bytes = bytes.get(..total_len).unwrap_or(bytes);
        Some((Packet { fixed, bytes }, total_len))
    }

    /// Source address.
    #[inline]
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        address(self.fixed, 8)
    }

    /// Destination address.
    #[inline]
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        address(self.fixed, 24)
    }

    /// Its ECN field: the end of the traffic class, which stands across the first two bytes.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::of_class(self.fixed[1] >> 4)
    }

    /// Hops left.
    #[inline]
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.fixed[7]
    }

    /// What the packet carries, behind extension headers that mean nothing to its destination.
    ///
    /// # Errors
    /// Says why it must not be taken.
    #[inline]
    pub fn content(&self) -> Result<Content, Refusal> {
        let next = self.fixed[NEXT_HEADER];
        match next.into() {
            protocol @ (Protocol::Tcp | Protocol::Udp | Protocol::Icmpv6) => Ok(Content::Upper {
                protocol,
                offset: HEADER_LEN,
            }),
            Protocol::Other(_) => ipv6_extensions::walk(self.bytes, next, NEXT_HEADER, HEADER_LEN),
        }
    }

    /// The same behind a Fragment header that ends at `offset` and says what comes next.
    ///
    /// # Errors
    /// Says why the packet must not be taken.
    pub fn content_behind(&self, next: u8, offset: usize) -> Result<Content, Refusal> {
        let named_at = offset.saturating_sub(ipv6_extensions::FRAGMENT_LEN);
        ipv6_extensions::walk(self.bytes, next, named_at, offset)
    }

    /// The fixed header, as it stands in front of what has this number.
    #[must_use]
    pub fn header_for(&self, next: u8) -> [u8; HEADER_LEN] {
        let mut header = *self.fixed;
        header[NEXT_HEADER] = next;
        header
    }

    /// Header and payload: what an ICMPv6 error quotes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What begins at this offset.
    #[inline]
    #[must_use]
    pub fn from_offset(&self, offset: usize) -> &'a [u8] {
        self.bytes.get(offset..).unwrap_or_default()
    }
}

/// The address in a header's field.
#[inline]
pub(crate) fn address<const N: usize>(bytes: &[u8; N], offset: usize) -> Ipv6Addr {
    let words: [u32; 4] = core::array::from_fn(|i| be32(bytes, offset + 4 * i));
    let [a, b, c, d] = words.map(u128::from);
    Ipv6Addr::from_bits(a << 96 | b << 64 | c << 32 | d)
}

/// The header of a packet that is sent: traffic class and flow label are 0, extension headers stand in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// What the packet carries.
    pub protocol: Protocol,
    /// Hops it may go.
    pub hop_limit: u8,
    /// Bytes after the header.
    pub payload_len: u16,
}

impl Header {
    /// Writes the header.
    #[inline]
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        put(out, 0, [0x60, 0, 0, 0]);
        put(out, 4, self.payload_len.to_be_bytes());
        put(out, NEXT_HEADER, [self.protocol.into(), self.hop_limit]);
        put(out, 8, self.src.octets());
        put(out, 24, self.dst.octets());
    }

    /// The sum that the transport's checksum starts from.
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self) -> Sum {
        Sum::pseudo_header(self.src, self.dst, self.protocol.into(), self.payload_len)
    }
}
