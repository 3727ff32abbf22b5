//! ICMPv6 (RFC 4443): echo replies and errors; neighbour discovery's messages (RFC 4861) as whole frames.

use crate::interface::TTL;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::icmpv6::{self, Error};
use crate::wire::ipv6::{self, Protocol};
use crate::wire::ndp;
use core::net::Ipv6Addr;

/// Bytes of headers in front of a message.
const HEADERS_LEN: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;
/// Most bytes of the packet that an error quotes: all in all no more than what every link carries (section 2.4 c).
const MAX_QUOTED: usize = 1280 - ipv6::HEADER_LEN - icmpv6::HEADER_LEN;

/// From whom to whom a message goes.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Our station.
    pub src_mac: MacAddr,
    /// The station that takes it.
    pub dst_mac: MacAddr,
    /// An address of ours; of nobody in a question whether an address is free.
    pub src: Ipv6Addr,
    /// The host, or group.
    pub dst: Ipv6Addr,
}

/// Writes the frame that answers `request`, an Echo Request; gives its length, or `None` if `out` is too small for it.
#[must_use]
pub fn emit_echo_reply(way: &Way, request: &[u8], out: &mut [u8]) -> Option<usize> {
    emit(way, TTL, request.len(), out, |body| {
        icmpv6::echo_reply(request, body)
    })
}

/// Writes the frame that tells the sender of the packet `quoted` what is wrong with it; gives its length.
///
/// Section 2.4 e forbids it in answer to an error, to a packet for a group (but for two cases), or to one whose source is
/// not one host's: the caller has seen to that.
#[must_use]
pub fn emit_error(way: &Way, error: Error, quoted: &[u8], out: &mut [u8]) -> Option<usize> {
    let quoted = quoted.get(..MAX_QUOTED).unwrap_or(quoted);
    emit(way, TTL, icmpv6::HEADER_LEN + quoted.len(), out, |body| {
        let (header, rest) = body.split_first_chunk_mut::<{ icmpv6::HEADER_LEN }>()?;
        error.emit(header);
        rest.copy_from_slice(quoted);
        Some(())
    })
}

/// Writes a question who has `target`: from our station, or from nobody.
#[must_use]
pub fn emit_solicitation(way: &Way, target: Ipv6Addr, out: &mut [u8]) -> Option<usize> {
    let source = (!way.src.is_unspecified()).then_some(way.src_mac);
    let mut message = [0; ndp::NEIGHBOR_LEN];
    let len = ndp::emit_solicitation(target, source, &mut message);
    emit_discovery(way, message.get(..len)?, out)
}

/// Writes that we have `target`, to the host that asked or to all.
#[must_use]
pub fn emit_advertisement(way: &Way, target: Ipv6Addr, out: &mut [u8]) -> Option<usize> {
    let mut message = [0; ndp::NEIGHBOR_LEN];
    ndp::emit_advertisement(target, way.src_mac, !way.dst.is_multicast(), &mut message);
    emit_discovery(way, &message, out)
}

/// Writes a question which routers there are.
#[must_use]
pub fn emit_router_solicitation(way: &Way, out: &mut [u8]) -> Option<usize> {
    let mut message = [0; ndp::ROUTER_SOLICITATION_LEN];
    ndp::emit_router_solicitation(way.src_mac, &mut message);
    emit_discovery(way, &message, out)
}

fn emit_discovery(way: &Way, message: &[u8], out: &mut [u8]) -> Option<usize> {
    emit(way, ndp::HOP_LIMIT, message.len(), out, |body| {
        body.copy_from_slice(message);
        Some(())
    })
}

/// Ethernet and IPv6 headers, `len` bytes that `write` fills in behind them, and their checksum.
fn emit(
    way: &Way,
    hop_limit: u8,
    len: usize,
    out: &mut [u8],
    write: impl FnOnce(&mut [u8]) -> Option<()>,
) -> Option<usize> {
    let (link, rest) = out.split_first_chunk_mut::<{ ethernet::HEADER_LEN }>()?;
    let (ip, rest) = rest.split_first_chunk_mut::<{ ipv6::HEADER_LEN }>()?;
    let body = rest.get_mut(..len)?;
    ethernet::Header {
        dst: way.dst_mac,
        src: way.src_mac,
        ether_type: EtherType::Ipv6,
    }
    .emit(link);
    ipv6::Header {
        src: way.src,
        dst: way.dst,
        protocol: Protocol::Icmpv6,
        hop_limit,
        payload_len: u16::try_from(len).ok()?,
    }
    .emit(ip);
    write(body)?;
    icmpv6::set_checksum(body, way.src, way.dst);
    Some(HEADERS_LEN + len)
}
