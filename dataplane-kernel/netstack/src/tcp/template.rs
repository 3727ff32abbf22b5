//! The headers that all segments of a flow share, ready to be copied into each: Ethernet, IPv4 and TCP, with the
//! timestamps option at the end, and the parts of both checksums that do not change.
//!
//! A flow between IPv6 hosts has its place for the IPv4 header empty: the longer header is composed for each segment, so
//! that a flow stays small.

use super::tuple::Tuple;
use crate::checksum::{Sum, checksum};
use crate::ends::Ends;
use crate::seq::SeqNum;
use crate::wire::ecn::Ecn;
use crate::wire::ethernet::{EtherType, MacAddr};
use crate::wire::tcp_options::{TIMESTAMPS_LEN, Timestamps};
use crate::wire::{ethernet, ipv4, ipv6, tcp};

/// Where the IPv4 header begins.
pub(crate) const IP: usize = ethernet::HEADER_LEN;
/// Where the TCP header begins.
pub(crate) const TCP: usize = IP + ipv4::HEADER_LEN;
/// Where the options begin.
pub(crate) const OPTIONS: usize = TCP + tcp::HEADER_LEN;
/// Headers with timestamps.
pub(crate) const LEN: usize = OPTIONS + TIMESTAMPS_LEN;

/// Where the TCP header begins behind an IPv6 header.
pub(crate) const TCP_V6: usize = IP + ipv6::HEADER_LEN;
/// Headers with IPv6 and timestamps.
pub(crate) const LEN_V6: usize = LEN + ipv6::HEADER_LEN - ipv4::HEADER_LEN;

const TTL: u8 = 64;

/// The template of one flow.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: [u8; LEN],
    /// Sum of the IPv4 header, with a total length of 0.
    ip_sum: u16,
    /// Sum of the pseudo-header, with a TCP length of 0.
    pseudo_sum: u16,
}

/// What differs from segment to segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) seq: SeqNum,
    pub(crate) ack: SeqNum,
    pub(crate) flags: tcp::Flags,
    pub(crate) window: u16,
    pub(crate) timestamps: Option<Timestamps>,
    /// Bytes after the TCP header and its timestamps: further options and payload.
    pub(crate) len: u16,
    /// Of these, options.
    pub(crate) options_len: u8,
    pub(crate) ecn: Ecn,
}

impl Template {
    pub(crate) const EMPTY: Template = Template {
        bytes: [0; LEN],
        ip_sum: 0,
        pseudo_sum: 0,
    };

    /// Headers from `src`, to a station still unknown.
    pub(crate) fn new(src: MacAddr, ends: &Ends, tuple: &Tuple) -> Self {
        let mut bytes = [0; LEN];
        let (link, rest) = bytes.split_at_mut(IP);
        let (network, rest) = rest.split_at_mut(ipv4::HEADER_LEN);
        let (transport, options) = rest.split_at_mut(tcp::HEADER_LEN);
        let (ether_type, pseudo_sum) = match *ends {
            Ends::V4 { local, remote } => {
                if let Some(out) = network.first_chunk_mut() {
                    ipv4::Header {
                        src: local,
                        dst: remote,
                        protocol: ipv4::Protocol::Tcp,
                        ttl: TTL,
                        payload_len: 0,
                    }
                    .emit(out);
                }
                (EtherType::Ipv4, Sum::pseudo_header(local, remote, 6, 0))
            }
            Ends::V6 { local, remote } => (EtherType::Ipv6, Sum::pseudo_header(local, remote, 6, 0)),
        };
        let ether = ethernet::Header {
            dst: MacAddr::default(),
            src,
            ether_type,
        };
        let segment = tcp::Header {
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq: SeqNum(0),
            ack: SeqNum(0),
            flags: tcp::Flags::NONE,
            window: 0,
        };
        if let Some(out) = link.first_chunk_mut() {
            ether.emit(out);
        }
        if let Some(out) = transport.first_chunk_mut() {
            segment.emit(0, out);
        }
        if let Some(out) = options.first_chunk_mut() {
            Timestamps::default().emit(out);
        }
        put(&mut bytes, IP + 2, [0; 2]);
        put(&mut bytes, IP + 10, [0; 2]);
        Template {
            ip_sum: !checksum(&bytes[IP..TCP]),
            pseudo_sum: pseudo_sum.folded(),
            bytes,
        }
    }

    /// Sets the station to send to.
    #[inline]
    pub(crate) fn set_destination(&mut self, mac: MacAddr) {
        put(&mut self.bytes, 0, mac.0);
    }

    /// Writes headers that are complete but for the TCP checksum, which holds the pseudo-header's sum. Gives the length
    /// of the headers, without `fields.len`.
    #[inline]
    pub(crate) fn write(&self, fields: &Fields, out: &mut [u8; LEN]) -> usize {
        *out = self.bytes;
        let stamps_len: u16 = if fields.timestamps.is_some() { 12 } else { 0 };
        let tcp_len = 20 + stamps_len + fields.len;
        let total_len = 20 + tcp_len;
        let class = fields.ecn.bits();
        out[IP + 1] = class;
        put(out, IP + 2, total_len.to_be_bytes());
        let ip_sum = add(add(self.ip_sum, class.into()), total_len);
        put(out, IP + 10, (!ip_sum).to_be_bytes());
        put(out, TCP + 4, fields.seq.0.to_be_bytes());
        put(out, TCP + 8, fields.ack.0.to_be_bytes());
        let [_, words] = (20 + stamps_len + u16::from(fields.options_len)).to_be_bytes();
        put(out, TCP + 12, [words << 2, fields.flags.bits()]);
        put(out, TCP + 14, fields.window.to_be_bytes());
        put(out, TCP + 16, add(self.pseudo_sum, tcp_len).to_be_bytes());
        if let Some(stamps) = fields.timestamps {
            put(out, OPTIONS + 4, stamps.value.to_be_bytes());
            put(out, OPTIONS + 8, stamps.echo.to_be_bytes());
            return LEN;
        }
        OPTIONS
    }

    /// The same between IPv6 hosts.
    pub(crate) fn write_v6(&self, fields: &Fields, ip: &ipv6::Header, out: &mut [u8; LEN_V6]) -> usize {
        let mut narrow = [0; LEN];
        let end = self.write(fields, &mut narrow);
        let tcp_len = narrow[TCP..end].len() + usize::from(fields.len);
        let ip = ipv6::Header {
            payload_len: u16::try_from(tcp_len).unwrap_or(u16::MAX),
            ..*ip
        };
        let (link, rest) = out.split_at_mut(IP);
        let (network, rest) = rest.split_at_mut(ipv6::HEADER_LEN);
        link.copy_from_slice(&narrow[..IP]);
        rest.copy_from_slice(&narrow[TCP..]);
        if let Some(out) = network.first_chunk_mut() {
            ip.emit(out);
            out[1] |= fields.ecn.bits() << 4;
        }
        end + TCP_V6 - TCP
    }
}

/// One's complement addition.
#[inline]
fn add(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

#[inline]
fn put<const M: usize>(bytes: &mut [u8; LEN], offset: usize, value: [u8; M]) {
    bytes[offset..offset + M].copy_from_slice(&value);
}
