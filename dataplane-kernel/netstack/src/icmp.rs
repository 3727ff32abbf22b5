//! What the stack says by ICMP: echo replies, and that a UDP port is closed. It never says anything else, and answers
//! go to the station the packet came from, so they need no ARP and wait for nothing.

use crate::Instant;
use crate::interface::{Interface, TTL};
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::icmpv4::{self, PORT_UNREACHABLE};
use crate::wire::ipv4::{self, Packet, Protocol};

/// Errors that may go out at once, and how often one more: RFC 1812 section 4.3.2.8 wants a limit and names none.
const ERROR_BURST: u64 = 50;
const ERROR_INTERVAL_NS: u64 = 1_000_000;

/// Most bytes of the packet that an error quotes: all in all no more than 576 (RFC 1812 section 4.3.2.3).
const MAX_QUOTED: usize = 576 - ipv4::HEADER_LEN - icmpv4::HEADER_LEN;

/// A token bucket counted in time, so that refilling needs no division.
#[derive(Debug)]
pub struct ErrorLimit {
    /// One message costs [`ERROR_INTERVAL_NS`].
    credit_ns: u64,
    filled: Instant,
}

impl ErrorLimit {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        ErrorLimit {
            credit_ns: ERROR_BURST * ERROR_INTERVAL_NS,
            filled: now,
        }
    }

    /// Takes leave to send one error now.
    pub fn allows(&mut self, now: Instant) -> bool {
        let credit = self.credit_ns.saturating_add(now.ns_since(self.filled));
        self.credit_ns = credit.min(ERROR_BURST * ERROR_INTERVAL_NS);
        self.filled = now;
        match self.credit_ns.checked_sub(ERROR_INTERVAL_NS) {
            Some(rest) => {
                self.credit_ns = rest;
                true
            }
            None => false,
        }
    }
}

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
    let (body, len) = emit_headers(packet, dst, interface, request.len(), out)?;
    icmpv4::echo_reply(request, body)?;
    Some(len)
}

/// Writes the frame that tells the sender of `packet`, at the station `dst`, that its port is closed; gives its length.
///
/// RFC 1122 section 3.2.2 forbids it where `packet` was for more than one host (by IP or by Ethernet address), came
/// from an address that is not one host's, or is an ICMP error: the caller has seen to that.
#[must_use]
pub fn emit_port_unreachable(
    packet: &Packet<'_>,
    dst: MacAddr,
    interface: &Interface,
    out: &mut [u8],
) -> Option<usize> {
    let quoted = packet.bytes();
    let quoted = quoted.get(..MAX_QUOTED).unwrap_or(quoted);
    let (body, len) = emit_headers(packet, dst, interface, icmpv4::HEADER_LEN + quoted.len(), out)?;
    let (header, rest) = body.split_first_chunk_mut::<{ icmpv4::HEADER_LEN }>()?;
    icmpv4::emit_unreachable(PORT_UNREACHABLE, quoted, header);
    rest.copy_from_slice(quoted);
    Some(len)
}

/// Ethernet and IPv4 headers back to where `packet` came from; gives the `payload_len` bytes after them, and the length
/// of all.
fn emit_headers<'o>(
    packet: &Packet<'_>,
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
        dst: packet.src(),
        protocol: Protocol::Icmp,
        ttl: TTL,
        payload_len: u16::try_from(payload_len).ok()?,
    }
    .emit(ip);
    Some((body, ethernet::HEADER_LEN + ipv4::HEADER_LEN + payload_len))
}

#[cfg(test)]
mod tests {
    use super::{ERROR_BURST, ERROR_INTERVAL_NS, ErrorLimit};
    use crate::Instant;

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut limit = ErrorLimit::new(Instant(0));
        let burst = (0..1000).filter(|_| limit.allows(Instant(0))).count();
        assert_eq!(u64::try_from(burst).unwrap(), ERROR_BURST);
        assert!(!limit.allows(Instant(ERROR_INTERVAL_NS - 1)));
        assert!(limit.allows(Instant(ERROR_INTERVAL_NS)));
        assert!(!limit.allows(Instant(ERROR_INTERVAL_NS)));
        let later = Instant(1000 * ERROR_INTERVAL_NS);
        let burst = (0..1000).filter(|_| limit.allows(later)).count();
        assert_eq!(u64::try_from(burst).unwrap(), ERROR_BURST);
    }
}
