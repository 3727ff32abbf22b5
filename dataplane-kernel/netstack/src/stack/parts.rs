//! Frames over several buffers: jumbo frames, and TCP segments that the device has merged. TCP takes the buffers as they are,
//! one after the other, as if the peer had cut its segment there; all else is put together in a large buffer.

use super::Stack;
use super::ingress::{later, station, station_from};
use crate::ends::Ends;
use crate::tcp::receive::Arrival;
use crate::tcp::tuple::Ports;
use crate::wire::ecn::Ecn;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::ipv6_extensions::Content;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{ipv4, ipv6, vlan};
use crate::{BufId, Env, Instant, RxChecksum};
use alloc::vec::Vec;

/// Protocol number.
const TCP: u8 = 6;

/// A buffer of a frame that goes over several: `len` bytes of it, at `offset`.
#[derive(Debug, PartialEq, Eq)]
pub struct RxPart {
    /// The buffer.
    pub buf: BufId,
    /// Where its bytes begin in the buffer.
    pub offset: u16,
    /// How many they are.
    pub len: u16,
}

/// A frame put together in a large buffer, from its first byte on.
#[derive(Debug, PartialEq, Eq)]
pub struct Gathered {
    /// The buffer.
    pub buf: BufId,
    /// Bytes of the frame.
    pub len: u16,
}

/// The beginning of a TCP segment.
struct Front<'a> {
    /// With as much of the data as lies in the first buffer.
    segment: Segment<'a>,
    ends: Ends,
    ecn: Ecn,
    src_mac: MacAddr,
    /// Bytes of the frame before the TCP header.
    before: usize,
    /// Bytes of TCP header and data, in all buffers.
    tcp_len: usize,
}

impl Front<'_> {
    /// Bytes of data behind the first buffer.
    fn behind(&self) -> usize {
        self.tcp_len - self.segment.header_len() - self.segment.payload.len()
    }
}

impl Stack {
    /// Takes in a frame that goes over several buffers, which are kept or freed; `read` gives their bytes. What it gives back
    /// is the frame in one piece, for [`Stack::receive`]; `checksum` holds for that, too.
    pub fn receive_parts<'a, E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        parts: &mut Vec<RxPart>,
        checksum: RxChecksum,
        read: impl Fn(&RxPart) -> &'a [u8],
    ) -> Option<Gathered> {
        let len = parts.iter().map(|part| usize::from(part.len)).sum();
        let first = parts.first().map(&read)?;
        if let Some(front) = self.front_v4(first, len).or_else(|| self.front_v6(first, len)) {
            let trusted = self.trusts_rx_checksum && checksum != RxChecksum::Unknown;
            if trusted || is_sound(&front, first, parts, &read) {
                self.receive_tcp_parts(env, now, &front, parts, &read);
            } else {
                self.shared.counters.rx_tcp_checksum += 1;
            }
            parts.drain(..).for_each(|part| env.free_rx(part.buf));
            return None;
        }
        let gathered = gather(env, parts, len, &read);
        if gathered.is_none() {
            self.shared.counters.rx_parts_no_room += 1;
        }
        parts.drain(..).for_each(|part| env.free_rx(part.buf));
        gathered
    }

    /// The front of a segment for us alone over IPv4, in a frame of `len` bytes; `None`: it is something else, or not what it
    /// should be.
    fn front_v4<'a>(&self, first: &'a [u8], len: usize) -> Option<Front<'a>> {
        let (ether, rest) = self.split_ether(first, EtherType::Ipv4)?;
        let link_len = first.len() - rest.len();
        let (packet, total_len) = ipv4::Packet::parse_front(rest, len - link_len).ok()?;
        let (local, remote) = (packet.dst(), packet.src());
        let for_us = local == self.shared.interface.route.address();
        if !for_us || packet.protocol() != ipv4::Protocol::Tcp || packet.is_fragment() {
            return None;
        }
        Some(Front {
            segment: Segment::parse(packet.payload(), remote, local, RxChecksum::Good).ok()?,
            ends: Ends::V4 { local, remote },
            ecn: packet.ecn(),
            src_mac: station_from(ether),
            before: link_len + packet.header_len(),
            tcp_len: total_len - packet.header_len(),
        })
    }

    /// The same over IPv6, without extension headers.
    fn front_v6<'a>(&self, first: &'a [u8], len: usize) -> Option<Front<'a>> {
        let (ether, rest) = self.split_ether(first, EtherType::Ipv6)?;
        let link_len = first.len() - rest.len();
        let (packet, total_len) = ipv6::Packet::parse_front(rest, len - link_len)?;
        let (local, remote) = (packet.dst(), packet.src());
        let ipv6 = self.shared.ipv6.as_ref()?;
        if !ipv6.addresses.is_ours(local) || !ipv6.is_legal_source(remote) {
            return None;
        }
        let Ok(Content::Upper {
            protocol: ipv6::Protocol::Tcp,
            offset: ipv6::HEADER_LEN,
        }) = packet.content()
        else {
            return None;
        };
        let tcp = packet.from_offset(ipv6::HEADER_LEN);
        Some(Front {
            segment: Segment::parse(tcp, remote, local, RxChecksum::Good).ok()?,
            ends: Ends::V6 { local, remote },
            ecn: packet.ecn(),
            src_mac: station_from(ether),
            before: link_len + ipv6::HEADER_LEN,
            tcp_len: total_len - ipv6::HEADER_LEN,
        })
    }

    /// Ethernet header and what is behind it and its tag, of a frame that carries this to our station.
    fn split_ether<'a>(
        &self,
        first: &'a [u8],
        ether_type: EtherType,
    ) -> Option<(&'a [u8; ethernet::HEADER_LEN], &'a [u8])> {
        let (ether, rest) = first.split_first_chunk::<{ ethernet::HEADER_LEN }>()?;
        let carried = vlan::untag(self.vlan, ether, rest).ok()?;
        let is_it = carried.ether_type == ether_type && station(ether) == self.station;
        is_it.then_some((ether, carried.payload))
    }

    /// A segment of which the front lies in the first part, the rest of the data in the others. Parts that it does not take
    /// stay.
    fn receive_tcp_parts<'a, E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        front: &Front<'_>,
        parts: &mut Vec<RxPart>,
        read: &impl Fn(&RxPart) -> &'a [u8],
    ) {
        let ports = Ports {
            local: front.segment.dst_port,
            remote: front.segment.src_port,
        };
        let Some(tuple) = self.shared.tuple(&front.ends, ports) else {
            return self.refuse_parts(env, now, front);
        };
        // The peer could have cut its segment there: then what is the last one's, or the first one's, would have been that
        // one's alone.
        let mut flags = front.segment.flags;
        let may_split = !flags.intersects(Flags::SYN | Flags::RST);
        let mut left = if may_split { front.behind() } else { 0 };
        let mut segment = front.segment;
        let mut offset = front.before + segment.header_len();
        for (number, part) in parts.drain(..).enumerate() {
            if number > 0 {
                let bytes = read(&part);
                segment.seq += len_of(segment.payload);
                segment.payload = bytes.get(..left).unwrap_or(bytes);
                left -= segment.payload.len();
                flags = flags.without(Flags::CWR);
                offset = 0;
            }
            let Some(slot) = self
                .find_flow(&tuple)
                .filter(|_| number == 0 || !segment.payload.is_empty())
            else {
                if number == 0 {
                    self.refuse_parts(env, now, front);
                }
                env.free_rx(part.buf);
                continue;
            };
            segment.flags = if left > 0 {
                flags.without(Flags::FIN | Flags::PSH)
            } else {
                flags
            };
            let arrival = Arrival {
                segment: &segment,
                buf: part.buf,
                offset: later(part.offset, offset),
                ecn: front.ecn,
            };
            self.shared.counters.rx_tcp += u64::from(number == 0);
            self.give_segment(env, now, slot, arrival);
        }
    }

    /// A segment for no flow: what can be answered is in its header.
    fn refuse_parts<E: Env>(&mut self, env: &mut E, now: Instant, front: &Front<'_>) {
        self.receive_without_flow(env, now, front.src_mac, &front.segment, &front.ends, None);
    }
}

/// Bytes of a buffer's worth of data.
fn len_of(payload: &[u8]) -> u32 {
    u32::try_from(payload.len()).unwrap_or(0)
}

/// Adds up all of a segment.
fn is_sound<'a>(
    front: &Front<'_>,
    first: &'a [u8],
    parts: &[RxPart],
    read: &impl Fn(&RxPart) -> &'a [u8],
) -> bool {
    let mut sum = front
        .ends
        .pseudo_header(TCP, u16::try_from(front.tcp_len).unwrap_or(u16::MAX));
    let mut left = front.tcp_len;
    let others = parts.iter().skip(1).map(read);
    for bytes in core::iter::once(first.get(front.before..).unwrap_or_default()).chain(others) {
        let bytes = bytes.get(..left).unwrap_or(bytes);
        sum.add_bytes(bytes);
        left -= bytes.len();
    }
    sum.finish() == 0
}

/// Copies all parts into a large buffer; `None` if there is none, or they do not fit.
fn gather<'a, E: Env>(
    env: &mut E,
    parts: &[RxPart],
    len: usize,
    read: &impl Fn(&RxPart) -> &'a [u8],
) -> Option<Gathered> {
    if len > usize::from(u16::MAX) {
        return None;
    }
    let buf = env.alloc_large()?;
    let mut at = 0;
    for part in parts {
        let bytes = read(part);
        let Some(room) = env.large(&buf).get_mut(at..at + bytes.len()) else {
            env.free_rx(buf);
            return None;
        };
        room.copy_from_slice(bytes);
        at += bytes.len();
    }
    let len = u16::try_from(at).unwrap_or(0);
    Some(Gathered { buf, len })
}
