//! ICMP for IPv4 (RFC 792).

use super::ipv4::HEADER_LEN as IPV4_HEADER_LEN;
use super::{be16, be32, put};
use crate::checksum::{Sum, checksum, updated};
use core::net::Ipv4Addr;

/// Bytes of the header that all the messages here have.
pub const HEADER_LEN: usize = 8;

const ECHO_REPLY: u8 = 0;
/// Type of an error.
pub const DESTINATION_UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
/// Type of an error.
pub const TIME_EXCEEDED: u8 = 11;

/// Code of a Destination Unreachable.
pub const NETWORK_UNREACHABLE: u8 = 0;
/// Code of a Destination Unreachable.
pub const HOST_UNREACHABLE: u8 = 1;
/// Code of a Destination Unreachable.
pub const PROTOCOL_UNREACHABLE: u8 = 2;
/// Code of a Destination Unreachable.
pub const PORT_UNREACHABLE: u8 = 3;
/// Code of a Destination Unreachable that tells the next hop's MTU (RFC 1191).
pub const FRAGMENTATION_NEEDED: u8 = 4;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than the header.
    Header,
    /// The checksum is wrong.
    Checksum,
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Wants [`echo_reply`] with the same bytes.
    EchoRequest,
    /// The answer to a request that this stack never sends.
    EchoReply,
    /// A packet of ours did not arrive.
    DestinationUnreachable {
        /// Why.
        code: u8,
        /// Of the next hop, if `code` is [`FRAGMENTATION_NEEDED`] and the router tells it; else 0.
        mtu: u16,
        /// The start of our packet.
        quoted: &'a [u8],
    },
    /// A packet of ours went too many hops.
    TimeExceeded {
        /// The start of our packet.
        quoted: &'a [u8],
    },
    /// Anything else; nothing is done about it.
    Other,
}

impl<'a> Message<'a> {
    /// Reads the payload of an IPv4 packet.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Message<'a>, Malformed> {
        let (header, quoted) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Header)?;
        if checksum(bytes) != 0 {
            return Err(Malformed::Checksum);
        }
        Ok(match (header[0], header[1]) {
            (ECHO_REQUEST, 0) => Message::EchoRequest,
            (ECHO_REPLY, 0) => Message::EchoReply,
            (DESTINATION_UNREACHABLE, code) => Message::DestinationUnreachable {
                code,
                mtu: if code == FRAGMENTATION_NEEDED {
                    be16(header, 6)
                } else {
                    0
                },
                quoted,
            },
            (TIME_EXCEEDED, _) => Message::TimeExceeded { quoted },
            _ => Message::Other,
        })
    }
}

/// Turns an Echo Request, header and all, into its reply in `out`, which must be as long as it; `None` if it is not, or
/// too short.
#[must_use]
pub fn echo_reply(request: &[u8], out: &mut [u8]) -> Option<()> {
    if request.len() != out.len() {
        return None;
    }
    out.copy_from_slice(request);
    *out.first_chunk_mut()? = echo_reply_header(request.first_chunk()?);
    Some(())
}

/// The same of the header alone.
#[must_use]
pub fn echo_reply_header(request: &[u8; HEADER_LEN]) -> [u8; HEADER_LEN] {
    let mut header = *request;
    let sum = updated(
        be16(&header, 2),
        u16::from(ECHO_REQUEST) << 8,
        u16::from(ECHO_REPLY) << 8,
    );
    header[0] = ECHO_REPLY;
    put(&mut header, 2, sum.to_be_bytes());
    header
}

/// Errors are not answered by errors (RFC 1812 section 4.3.2.7).
#[must_use]
pub fn is_error(message: &[u8]) -> bool {
    matches!(message, [3..=5 | 11 | 12, ..])
}

/// Writes the header of an error of this type and code that quotes `quoted` after it. `mtu` is the next hop's, where the code is
/// [`FRAGMENTATION_NEEDED`]; else 0.
pub fn emit_error((kind, code): (u8, u8), mtu: u16, quoted: &[u8], out: &mut [u8; HEADER_LEN]) {
    let [high, low] = mtu.to_be_bytes();
    *out = [kind, code, 0, 0, 0, 0, high, low];
    let mut sum = Sum::new();
    sum.add_bytes(out);
    sum.add_bytes(quoted);
    put(out, 2, sum.finish().to_be_bytes());
}

/// What an ICMP error quotes of a TCP or UDP packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Our address.
    pub src: Ipv4Addr,
    /// Where we sent to.
    pub dst: Ipv4Addr,
    /// Bytes of our packet, header and all.
    pub total_len: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Our port.
    pub src_port: u16,
    /// The port we sent to.
    pub dst_port: u16,
    /// TCP sequence number (of UDP: length and checksum).
    pub sequence: u32,
}

impl Quoted {
    /// Reads the quoted header and the 64 bits after it; the header's checksum is not looked at,
    /// since routers quote a part and may have changed it. `None` if it is too short or a later fragment.
    #[must_use]
    pub fn parse(quoted: &[u8]) -> Option<Quoted> {
        let fixed = quoted.first_chunk::<IPV4_HEADER_LEN>()?;
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        if fixed[0] >> 4 != 4 || header_len < IPV4_HEADER_LEN || be16(fixed, 6) & 0x1fff != 0 {
            return None;
        }
        let ports = quoted.get(header_len..)?.first_chunk::<8>()?;
        Some(Quoted {
            src: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            dst: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
            total_len: be16(fixed, 2),
            protocol: fixed[9],
            src_port: be16(ports, 0),
            dst_port: be16(ports, 2),
            sequence: be32(ports, 4),
        })
    }
}
