//! ICMP (RFC 792): echo replies, and that nobody takes a packet.

use crate::interface::{Interface, TTL};
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::icmpv4;
use crate::wire::ipv4::{self, Packet, Protocol};
use core::net::Ipv4Addr;

/// Most bytes of the packet that an error quotes: all in all no more than 576 (RFC 1812 section 4.3.2.3).
const MAX_QUOTED: usize = 576 - ipv4::HEADER_LEN - icmpv4::HEADER_LEN;

/// Writes the frame that answers the echo request in `packet`, to the station `dst`; gives its length, or `None` if
/// `out` is too small for it.
#[must_use]
pub fn emit_echo_reply(
    packet: &Packet<'_>,
    dst: MacAddr,
    interface: &Interface,
    out: &mut [u8],
) -> Option<usize> {
    let request = packet.payload();
    let (body, len) = emit_headers(packet.src(), dst, interface, request.len(), out)?;
    icmpv4::echo_reply(request, body)?;
    Some(len)
}

/// Writes the frame that tells the sender of `packet`, at the station `dst`, that nobody takes it, and why; gives its
/// length.
///
/// RFC 1122 section 3.2.2 forbids it where `packet` was for more than one host (by IP or by Ethernet address), came
/// from an address that is not one host's, or is an ICMP error: the caller has seen to that.
#[must_use]
pub fn emit_unreachable(
    code: u8,
    packet: &Packet<'_>,
    dst: MacAddr,
    interface: &Interface,
    out: &mut [u8],
) -> Option<usize> {
    let error = (icmpv4::DESTINATION_UNREACHABLE, code);
    emit_error((error, 0), packet.bytes(), packet.src(), dst, interface, out)
}

/// Writes the frame that tells the sender of `packet`, at the station `dst`, why it was not forwarded: type and code, and the
/// next hop's MTU if that is why (else 0). Whether that may be said is as in [`emit_unreachable`].
#[must_use]
pub fn emit_not_forwarded(
    error: ((u8, u8), u16),
    packet: &Packet<'_>,
    dst: MacAddr,
    interface: &Interface,
    out: &mut [u8],
) -> Option<usize> {
    emit_error(error, packet.bytes(), packet.src(), dst, interface, out)
}

/// Writes the frame that tells `sender` that fragments of the packet that began with `quoted` did not come in time; gives
/// its length.
#[must_use]
pub fn emit_reassembly_timeout(
    quoted: &[u8],
    sender: Ipv4Addr,
    dst: MacAddr,
    interface: &Interface,
    out: &mut [u8],
) -> Option<usize> {
    emit_error(
        ((icmpv4::TIME_EXCEEDED, 1), 0),
        quoted,
        sender,
        dst,
        interface,
        out,
    )
}

fn emit_error(
    (error, mtu): ((u8, u8), u16),
    quoted: &[u8],
    sender: Ipv4Addr,
    dst: MacAddr,
    interface: &Interface,
    out: &mut [u8],
) -> Option<usize> {
    let quoted = quoted.get(..MAX_QUOTED).unwrap_or(quoted);
    let (body, len) = emit_headers(sender, dst, interface, icmpv4::HEADER_LEN + quoted.len(), out)?;
    let (header, rest) = body.split_first_chunk_mut::<{ icmpv4::HEADER_LEN }>()?;
    icmpv4::emit_error(error, mtu, quoted, header);
    rest.copy_from_slice(quoted);
    Some(len)
}

/// Ethernet and IPv4 headers to the host `to` at the station `dst`; gives the `payload_len` bytes after them, and the length
/// of all.
fn emit_headers<'o>(
    to: Ipv4Addr,
    dst: MacAddr,
    interface: &Interface,
    payload_len: usize,
    out: &'o mut [u8],
) -> Option<(&'o mut [u8], usize)> {
    let (link, rest) = out.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
    let (ip, rest) = rest.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
    let body = rest.get_mut(..payload_len)?;
    ethernet::Header {
        dst,
        src: interface.mac,
        ether_type: EtherType::Ipv4,
    }
    .emit(link);
    ipv4::Header {
        src: interface.route.address(),
        dst: to,
        protocol: Protocol::Icmp,
        ttl: TTL,
        payload_len: u16::try_from(payload_len).ok()?,
    }
    .emit(ip);
    Some((body, ethernet::HEADER_LEN + ipv4::HEADER_LEN + payload_len))
}
