//! Ethernet II frames; VLAN tags are [`super::vlan`]'s.

use super::{be16, put};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of the header.
pub const HEADER_LEN: usize = 14;

/// A hardware address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// All stations.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);

    /// The stations of an IPv4 group (RFC 1112 section 6.4).
    #[inline]
    #[must_use]
    pub const fn of_group(group: Ipv4Addr) -> MacAddr {
        let [_, b, c, d] = group.octets();
        MacAddr([1, 0, 0x5e, b & 0x7f, c, d])
    }

    /// The stations of an IPv6 group (RFC 2464 section 7).
    #[inline]
    #[must_use]
    pub const fn of_group_v6(group: Ipv6Addr) -> MacAddr {
        let [.., a, b, c, d] = group.octets();
        MacAddr([0x33, 0x33, a, b, c, d])
    }

    /// `true` for one that can belong to a single station: the group bit is clear, and it is not all zeros.
    #[inline]
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && !self.is_zero()
    }

    #[inline]
    const fn is_zero(self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtherType {
    /// 0x0800.
    Ipv4,
    /// 0x0806.
    Arp,
    /// 0x86dd.
    Ipv6,
    /// Any other number, an IEEE 802.3 length among them.
    Other(u16),
}

impl From<u16> for EtherType {
    #[inline]
    fn from(number: u16) -> Self {
        match number {
            0x0800 => EtherType::Ipv4,
            0x0806 => EtherType::Arp,
            0x86dd => EtherType::Ipv6,
            _ => EtherType::Other(number),
        }
    }
}

impl From<EtherType> for u16 {
    #[inline]
    fn from(ether_type: EtherType) -> Self {
        match ether_type {
            EtherType::Ipv4 => 0x0800,
            EtherType::Arp => 0x0806,
            EtherType::Ipv6 => 0x86dd,
            EtherType::Other(number) => number,
        }
    }
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// To whom.
    pub dst: MacAddr,
    /// From whom.
    pub src: MacAddr,
    /// What follows.
    pub ether_type: EtherType,
}

impl Header {
    /// Splits a frame into header and payload; `None` if it is too short.
    #[inline]
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<(Header, &[u8])> {
        let (h, payload) = frame.split_first_chunk::<HEADER_LEN>()?;
        let header = Header {
            dst: MacAddr([h[0], h[1], h[2], h[3], h[4], h[5]]),
            src: MacAddr([h[6], h[7], h[8], h[9], h[10], h[11]]),
            ether_type: be16(h, 12).into(),
        };
        Some((header, payload))
    }

    /// Writes the header.
    #[inline]
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        put(out, 0, self.dst.0);
        put(out, 6, self.src.0);
        put(out, 12, u16::from(self.ether_type).to_be_bytes());
    }
}
