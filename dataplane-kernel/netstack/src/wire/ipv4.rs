//! IPv4 packets (RFC 791).

use super::ecn::Ecn;
use super::{be16, put};
use crate::checksum::{Sum, checksum, updated};
use core::net::Ipv4Addr;

/// Bytes of a header without options, the only kind that is sent.
pub const HEADER_LEN: usize = 20;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 1.
    Icmp,
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// Any other number.
    Other(u8),
}

impl From<u8> for Protocol {
    #[inline]
    fn from(number: u8) -> Self {
        match number {
            1 => Protocol::Icmp,
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            _ => Protocol::Other(number),
        }
    }
}

impl From<Protocol> for u8 {
    #[inline]
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Icmp => 1,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Other(number) => number,
        }
    }
}

/// Why bytes are not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Too short, of another version, or with lengths that contradict each other.
    Header,
    /// The header's checksum is wrong.
    Checksum,
}

/// A packet whose header has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    fixed: &'a [u8; HEADER_LEN],
    /// From the first header byte to the last of the payload; what the link padded is cut off.
    bytes: &'a [u8],
    header_len: usize,
}

impl<'a> Packet<'a> {
    /// Checks version, lengths and header checksum. Options are skipped, not read.
    ///
    /// # Errors
    /// Says what is wrong.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        let fixed = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::Header)?;
        let total_len = usize::from(be16(fixed, 2));
        let bytes = bytes.get(..total_len).ok_or(Malformed::Header)?;
        Self::checked(fixed, bytes, total_len)
    }

    /// The same of a packet of which only the front lies in `bytes`; of it, and of what the link padded, there are `len` bytes
    /// in all. Gives its total length, too.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse_front(bytes: &'a [u8], len: usize) -> Result<(Packet<'a>, usize), Malformed> {
        let fixed = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::Header)?;
        let total_len = usize::from(be16(fixed, 2));
        if total_len > len {
            return Err(Malformed::Header);
        }
        let packet = Self::checked(fixed, bytes.get(..total_len).unwrap_or(bytes), total_len)?;
        Ok((packet, total_len))
    }

    #[inline(always)]
    fn checked(
        fixed: &'a [u8; HEADER_LEN],
        bytes: &'a [u8],
        total_len: usize,
    ) -> Result<Packet<'a>, Malformed> {
        if fixed[0] == 0x45 {
            // Without options: a sum over a length known to the compiler.
            if checksum(fixed) != 0 {
                return Err(Malformed::Checksum);
            }
            if total_len < HEADER_LEN {
                return Err(Malformed::Header);
            }
            return Ok(Packet {
                fixed,
                bytes,
                header_len: HEADER_LEN,
            });
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 || header_len < HEADER_LEN {
            return Err(Malformed::Header);
        }
        let header = bytes.get(..header_len).ok_or(Malformed::Header)?;
        if checksum(header) != 0 {
            return Err(Malformed::Checksum);
        }
        Ok(Packet {
            fixed,
            bytes,
            header_len,
        })
    }

    /// Source address.
    #[inline]
    #[must_use]
    pub fn src(&self) -> Ipv4Addr {
        let h = self.fixed;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }

    /// Destination address.
    #[inline]
    #[must_use]
    pub fn dst(&self) -> Ipv4Addr {
        let h = self.fixed;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }

    /// What it carries.
    #[inline]
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.fixed[9].into()
    }

    /// Its ECN field.
    #[inline]
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::of_class(self.fixed[1])
    }

    /// Hops left.
    #[inline]
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.fixed[8]
    }

    /// `true` for a part of a larger packet: an offset other than 0, or more fragments to come.
    #[inline]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        be16(self.fixed, 6) & 0x3fff != 0
    }

    /// Which packet a fragment is of.
    #[must_use]
    pub fn identification(&self) -> u16 {
        be16(self.fixed, 4)
    }

    /// Where the data of a fragment stand in the whole, in bytes, and whether more come after them.
    #[must_use]
    pub fn place(&self) -> (u16, bool) {
        let field = be16(self.fixed, 6);
        ((field & 0x1fff) << 3, field & 0x2000 != 0)
    }

    /// Routers must not cut it (RFC 791 section 3.1).
    #[inline]
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.fixed[6] & 0x40 != 0
    }

    /// Header, options included.
    #[must_use]
    pub fn header(&self) -> &'a [u8] {
        self.bytes.get(..self.header_len).unwrap_or_default()
    }

    /// Bytes of the header, options included.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// What follows the header.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.header_len..).unwrap_or_default()
    }

    /// Header and payload: what an ICMP error quotes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Takes one hop off a header, which must have one left; its checksum changes with it (RFC 1624).
#[inline]
pub fn take_hop(header: &mut [u8; HEADER_LEN]) {
    let (sum, old) = (be16(header, 10), be16(header, 8));
    header[8] = header[8].wrapping_sub(1);
    put(header, 10, updated(sum, old, be16(header, 8)).to_be_bytes());
}

/// The header of a part of a packet, of whose header without options this is one; the packet may be a part itself. The part has
/// `len` bytes from `at` of its payload. `None` if a packet cannot be so long.
#[must_use]
pub fn fragment_header(
    whole: &[u8; HEADER_LEN],
    at: usize,
    len: usize,
    has_more: bool,
) -> Option<[u8; HEADER_LEN]> {
    let mut header = *whole;
    let total_len = u16::try_from(HEADER_LEN + len).ok()?;
    let place = be16(whole, 6).checked_add(u16::try_from(at >> 3).ok()?)?;
    let place = if has_more { place | 0x2000 } else { place };
    put(&mut header, 2, total_len.to_be_bytes());
    put(&mut header, 6, place.to_be_bytes());
    put(&mut header, 10, [0; 2]);
    let sum = checksum(&header);
    put(&mut header, 10, sum.to_be_bytes());
    Some(header)
}

/// The header of a packet that is sent: no options, never to be fragmented (RFC 6864: the identification then means
/// nothing and is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// What the packet carries.
    pub protocol: Protocol,
    /// Hops it may go.
    pub ttl: u8,
    /// Bytes after the header; at most 65515.
    pub payload_len: u16,
}

impl Header {
    /// Writes the header, checksum included.
    #[inline]
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        let total_len = self.payload_len.saturating_add(20);
        put(out, 0, [0x45, 0]);
        put(out, 2, total_len.to_be_bytes());
        put(out, 4, [0, 0, 0x40, 0, self.ttl, self.protocol.into(), 0, 0]);
        put(out, 12, self.src.octets());
        put(out, 16, self.dst.octets());
        put(out, 10, checksum(out).to_be_bytes());
    }

    /// The same with an option that follows it: the checksum covers both.
    pub fn emit_with_option(&self, option: &[u8; 4], out: &mut [u8; HEADER_LEN]) {
        self.emit(out);
        out[0] += 1;
        let total_len = self.payload_len.saturating_add(24);
        put(out, 2, total_len.to_be_bytes());
        put(out, 10, [0, 0]);
        let mut sum = Sum::new();
        sum.add_bytes(out);
        sum.add_bytes(option);
        put(out, 10, sum.finish().to_be_bytes());
    }

    /// The sum that TCP and UDP checksums start from.
    #[inline]
    #[must_use]
    pub fn pseudo_header(&self) -> Sum {
        Sum::pseudo_header(self.src, self.dst, self.protocol.into(), self.payload_len)
    }
}
