//! What listeners tell routers and switches about their groups: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810), which differ in
//! the length of an address; and IGMPv2 (RFC 2236), for routers that know no better.

use super::be16;
use crate::checksum::checksum;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol number of IGMP.
pub const PROTOCOL: u8 = 2;
/// Where reports of IGMPv3 go: all routers that speak it.
pub const ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// Where IGMPv2 says that a group is left: all routers.
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Where reports of MLDv2 go.
pub const ROUTERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

const QUERY: u8 = 0x11;
const REPORT_V2: u8 = 0x16;
const LEAVE_V2: u8 = 0x17;
const REPORT_V3: u8 = 0x22;
/// ICMPv6 type of a report.
const REPORT_MLD: u8 = 143;

/// Bytes of a report's header, of either family.
const REPORT_HEADER_LEN: usize = 8;

/// A router asks who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The router speaks IGMPv2 (or 1): so must we (RFC 3376 section 7.2).
    pub is_old: bool,
    /// Within how long an answer should come.
    pub max_response_ms: u64,
}

/// A message of IGMP's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A router's.
    Query(Query),
    /// Another listener's, or none that matters here.
    Other,
}

impl Message {
    /// Reads the payload of an IPv4 packet; `None` if it is short, or its checksum wrong.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Message> {
        let header = bytes.first_chunk::<8>()?;
        if checksum(bytes) != 0 {
            return None;
        }
        if header[0] != QUERY {
            return Some(Message::Other);
        }
        // RFC 3376 section 7.1: a query of version 3 is longer.
        let is_old = bytes.len() < 12;
        let tenths = if is_old {
            u64::from(header[1])
        } else {
            decoded(header[1])
        };
        Some(Message::Query(Query {
            is_old,
            max_response_ms: tenths * 100,
        }))
    }
}

/// A query of MLD's, of either version: the payload of an ICMPv6 message of type 130, its header included.
#[must_use]
pub fn parse_mld_query(bytes: &[u8]) -> Option<Query> {
    let header = bytes.first_chunk::<8>()?;
    let code = be16(header, 4);
    // RFC 3810 section 5.1.3.
    let milliseconds = if code < 0x8000 {
        u64::from(code)
    } else {
        u64::from(code & 0x0fff | 0x1000) << ((code >> 12 & 7) + 3)
    };
    Some(Query {
        is_old: bytes.len() < 28,
        max_response_ms: milliseconds,
    })
}

/// RFC 3376 section 4.1.1: above 127 a floating-point number.
fn decoded(code: u8) -> u64 {
    if code < 128 {
        return code.into();
    }
    u64::from(code & 0x0f | 0x10) << ((code >> 4 & 7) + 3)
}

/// What a report says of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// We listen, as was asked.
    Listens,
    /// We listen from now on.
    Joined,
    /// We do no more.
    Left,
}

impl Change {
    /// RFC 3376 section 4.2.12, RFC 3810 section 5.2.12; without a list of sources.
    fn record_type(self) -> u8 {
        match self {
            Change::Listens => 2,
            Change::Joined => 4,
            Change::Left => 3,
        }
    }
}

/// Writes a report of these groups, all of one family, and gives its length; `None` if `out` is too small. Of IGMP it is
/// complete, of MLD the checksum comes later.
pub fn emit_report(
    is_v6: bool,
    records: impl Iterator<Item = (Change, IpAddr)>,
    out: &mut [u8],
) -> Option<usize> {
    let (mut len, mut count) = (REPORT_HEADER_LEN, 0u16);
    for (change, group) in records {
        let record = out.get_mut(len..)?;
        let address_len = match group {
            IpAddr::V4(group) => put(record, &group.octets())?,
            IpAddr::V6(group) => put(record, &group.octets())?,
        };
        *record.first_chunk_mut()? = [change.record_type(), 0, 0, 0];
        len += 4 + address_len;
        count += 1;
    }
    let [high, low] = count.to_be_bytes();
    let kind = if is_v6 { REPORT_MLD } else { REPORT_V3 };
    *out.first_chunk_mut()? = [kind, 0, 0, 0, 0, 0, high, low];
    if !is_v6 {
        set_checksum(out.get_mut(..len)?)?;
    }
    Some(len)
}

/// The address of a record, behind its first four bytes.
fn put<const N: usize>(record: &mut [u8], address: &[u8; N]) -> Option<usize> {
    record.get_mut(4..4 + N)?.copy_from_slice(address);
    Some(N)
}

/// Writes a message of IGMPv2 about one group.
pub fn emit_v2(change: Change, group: Ipv4Addr, out: &mut [u8; 8]) {
    let kind = if change == Change::Left {
        LEAVE_V2
    } else {
        REPORT_V2
    };
    let [a, b, c, d] = group.octets();
    *out = [kind, 0, 0, 0, a, b, c, d];
    let _ = set_checksum(out);
}

fn set_checksum(message: &mut [u8]) -> Option<()> {
    let sum = checksum(message);
    *message.get_mut(2..)?.first_chunk_mut()? = sum.to_be_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{Message, Query, decoded, parse_mld_query};

    #[test]
    fn response_times() {
        assert_eq!(
            [0, 100, 127, 128, 143, 255].map(decoded),
            [0, 100, 127, 128, 248, 31_744]
        );
        let mut query = [0; 28];
        query[..8].copy_from_slice(&[130, 0, 0, 0, 0x27, 0x10, 0, 0]);
        let expected = Query {
            is_old: false,
            max_response_ms: 10_000,
        };
        assert_eq!(parse_mld_query(&query), Some(expected));
        query[4..6].copy_from_slice(&0x8000u16.to_be_bytes());
        assert_eq!(parse_mld_query(&query).unwrap().max_response_ms, 32_768);
    }

    #[test]
    fn damaged_messages() {
        assert_eq!(Message::parse(&[0x11, 100, 0xee, 0x9b, 0, 0, 0]), None);
        assert_eq!(Message::parse(&[0x11, 100, 0, 0, 0, 0, 0, 0]), None);
        let old = Query {
            is_old: true,
            max_response_ms: 10_000,
        };
        assert_eq!(
            Message::parse(&[0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]),
            Some(Message::Query(old))
        );
    }
}
