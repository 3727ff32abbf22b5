//! ICMPv6 (RFC 4443). Neighbour discovery's messages are read by [`super::ndp`].

use super::ipv6::HEADER_LEN as IPV6_HEADER_LEN;
use super::ipv6_extensions::{self, Content};
use super::{be16, be32, ipv6, put};
use crate::checksum::{Sum, updated};
use core::net::Ipv6Addr;

/// Bytes of the header that all messages here have.
pub const HEADER_LEN: usize = 8;

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
/// Multicast Listener Query (RFC 3810 section 5.1).
const LISTENER_QUERY: u8 = 130;

/// Code of a Destination Unreachable.
pub const PORT_UNREACHABLE: u8 = 4;

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
    /// A packet of ours did not arrive.
    DestinationUnreachable {
        /// Why.
        code: u8,
        /// The start of our packet.
        quoted: &'a [u8],
    },
    /// A packet of ours was longer than a link on its way carries.
    PacketTooBig {
        /// What that link carries.
        mtu: u32,
        /// The start of our packet.
        quoted: &'a [u8],
    },
    /// A packet of ours could not be read.
    ParameterProblem {
        /// Why.
        code: u8,
        /// The start of our packet.
        quoted: &'a [u8],
    },
    /// Neighbour discovery's, types 133 to 137.
    Discovery,
    /// A router asks who listens to groups.
    ListenerQuery,
    /// Anything else; nothing is done about it (section 2.4).
    Other,
}

impl<'a> Message<'a> {
    /// Reads the payload of an IPv6 packet between these addresses.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(bytes: &'a [u8], src: Ipv6Addr, dst: Ipv6Addr) -> Result<Message<'a>, Malformed> {
        let (header, quoted) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::Header)?;
        if checksum(bytes, src, dst) != 0 {
            return Err(Malformed::Checksum);
        }
        Ok(match (header[0], header[1]) {
            (ECHO_REQUEST, 0) => Message::EchoRequest,
            (DESTINATION_UNREACHABLE, code) => Message::DestinationUnreachable { code, quoted },
            (PACKET_TOO_BIG, _) => Message::PacketTooBig {
                mtu: be32(header, 4),
                quoted,
            },
            (PARAMETER_PROBLEM, code) => Message::ParameterProblem { code, quoted },
            (133..=137, _) => Message::Discovery,
            (LISTENER_QUERY, _) => Message::ListenerQuery,
            _ => Message::Other,
        })
    }
}

fn checksum(message: &[u8], src: Ipv6Addr, dst: Ipv6Addr) -> u16 {
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut sum = Sum::pseudo_header(src, dst, ipv6::Protocol::Icmpv6.into(), len);
    sum.add_bytes(message);
    sum.finish()
}

/// Writes the checksum of a whole message between these addresses.
pub fn set_checksum(message: &mut [u8], src: Ipv6Addr, dst: Ipv6Addr) {
    let Some(field) = message.get_mut(2..4) else {
        return;
    };
    field.fill(0);
    let checksum = checksum(message, src, dst);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Turns an Echo Request, header and all, into its reply in `out`, which must be as long as it; `None` if it is not, or
/// too short. The checksum comes later.
#[must_use]
pub fn echo_reply(request: &[u8], out: &mut [u8]) -> Option<()> {
    if request.len() != out.len() {
        return None;
    }
    out.copy_from_slice(request);
    out.first_chunk_mut::<HEADER_LEN>()?[0] = ECHO_REPLY;
    Some(())
}

/// The header of the reply alone, its checksum right if the addresses change places.
#[must_use]
pub fn echo_reply_header(request: &[u8; HEADER_LEN]) -> [u8; HEADER_LEN] {
    let mut header = *request;
    let (old, new) = (u16::from(ECHO_REQUEST) << 8, u16::from(ECHO_REPLY) << 8);
    let sum = updated(be16(&header, 2), old, new);
    header[0] = ECHO_REPLY;
    put(&mut header, 2, sum.to_be_bytes());
    header
}

/// What goes wrong with packets of others here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nobody has the port (section 3.1).
    PortUnreachable,
    /// No route leads there (section 3.1).
    NoRoute,
    /// The host does not answer (section 3.1).
    AddressUnreachable,
    /// It is longer than the next link carries (section 3.2).
    PacketTooBig {
        /// Which is this many bytes.
        mtu: u32,
    },
    /// It has gone too many hops (section 3.3).
    HopLimitExceeded,
    /// Fragments are missing (section 3.3).
    ReassemblyTimeExceeded,
    /// Something cannot be read (section 3.4).
    ParameterProblem {
        /// What kind of.
        code: u8,
        /// The byte that is wrong.
        pointer: u32,
    },
}

impl Error {
    /// Writes the header of the message; its checksum comes later.
    pub fn emit(self, out: &mut [u8; HEADER_LEN]) {
        let (kind, code, value) = match self {
            Error::PortUnreachable => (DESTINATION_UNREACHABLE, PORT_UNREACHABLE, 0),
            Error::NoRoute => (DESTINATION_UNREACHABLE, 0, 0),
            Error::AddressUnreachable => (DESTINATION_UNREACHABLE, 3, 0),
            Error::PacketTooBig { mtu } => (PACKET_TOO_BIG, 0, mtu),
            Error::HopLimitExceeded => (TIME_EXCEEDED, 0, 0),
            Error::ReassemblyTimeExceeded => (TIME_EXCEEDED, 1, 0),
            Error::ParameterProblem { code, pointer } => (PARAMETER_PROBLEM, code, pointer),
        };
        *out = [kind, code, 0, 0, 0, 0, 0, 0];
        put(out, 4, value.to_be_bytes());
    }
}

/// What an ICMPv6 error quotes of a TCP or UDP packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Our address.
    pub src: Ipv6Addr,
    /// Where we sent to.
    pub dst: Ipv6Addr,
    /// Of the transport.
    pub protocol: ipv6::Protocol,
    /// Our port.
    pub src_port: u16,
    /// The port we sent to.
    pub dst_port: u16,
    /// TCP sequence number (of UDP: length and checksum).
    pub sequence: u32,
}

impl Quoted {
    /// Reads the quoted headers and the 64 bits after them; `None` if they are too short or a later fragment.
    #[must_use]
    pub fn parse(quoted: &[u8]) -> Option<Quoted> {
        let fixed = quoted.first_chunk::<IPV6_HEADER_LEN>()?;
        if fixed[0] >> 4 != 6 {
            return None;
        }
        let (protocol, offset) = transport_of(quoted, fixed[6])?;
        let ports = quoted.get(offset..)?.first_chunk::<8>()?;
        Some(Quoted {
            src: ipv6::address(fixed, 8),
            dst: ipv6::address(fixed, 24),
            protocol,
            src_port: be16(ports, 0),
            dst_port: be16(ports, 2),
            sequence: be32(ports, 4),
        })
    }
}

/// Where the transport's header begins in a packet of ours, which has no extension header but Fragment.
fn transport_of(packet: &[u8], next: u8) -> Option<(ipv6::Protocol, usize)> {
    match ipv6_extensions::walk(packet, next, 6, IPV6_HEADER_LEN).ok()? {
        Content::Upper { protocol, offset } => Some((protocol, offset)),
        Content::Fragment { fragment, offset } => {
            (fragment.at == 0).then_some((fragment.next_header.into(), offset))
        }
    }
}
