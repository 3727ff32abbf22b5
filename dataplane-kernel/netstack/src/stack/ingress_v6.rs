//! IPv6 packets in, and whose they are.

use super::Stack;
use super::icmp_errors::Complaint;
use super::ingress::{Frame, later, station, station_from};
use crate::ends::Ends;
use crate::icmp::v6::{self, Way};
use crate::ipv6::Ipv6;
use crate::reassembly::{Fragment, Key};
use crate::tcp::receive::Arrival;
use crate::tcp::tuple::Ports;
use crate::udp::{Groups, Refused};
use crate::wire::ethernet;
use crate::wire::icmpv6::{self, Error, Message};
use crate::wire::ipv6::{self, Packet, Protocol};
use crate::wire::ipv6_extensions::{self, Content, ERRONEOUS_FIELD, Refusal, UNKNOWN_NEXT_HEADER};
use crate::wire::tcp::{self, Segment};
use crate::wire::udp;
use crate::{BufId, Env, Instant, RxChecksum};
use core::net::Ipv6Addr;

/// A received packet with what its frame tells.
pub(super) struct Incoming<'a> {
    pub(super) packet: Packet<'a>,
    pub(super) ether: &'a [u8; ethernet::HEADER_LEN],
    /// To us alone, by IP and by Ethernet address.
    pub(super) to_us_alone: bool,
    checksum: RxChecksum,
    buf: BufId,
    /// Where the IPv6 header begins in the buffer.
    offset: u16,
}

impl Stack {
    /// Takes in the packet of a frame for our station, for all or for a group's.
    pub(super) fn receive_ipv6<E: Env>(&mut self, env: &mut E, now: Instant, frame: Frame<'_>) {
        let counters = &mut self.shared.counters;
        let (Some(packet), Some(ipv6)) = (Packet::parse(frame.payload), &self.shared.ipv6) else {
            counters.rx_ipv6_malformed += 1;
            return env.free_rx(frame.buf);
        };
        let (src, dst) = (packet.src(), packet.dst());
        let to_station = station(frame.ether) == self.station;
        if !is_for_us(ipv6, self.udp.groups(), dst, to_station) {
            if self.is_transit_v6(frame.ether, &packet) {
                let payload = packet.bytes();
                return self.take_transit(env, Frame { payload, ..frame });
            }
            self.shared.counters.rx_ipv6_not_ours += 1;
            return env.free_rx(frame.buf);
        }
        let counters = &mut self.shared.counters;
        // Only a host without an address may have none, and all it says is neighbour discovery's.
        if !ipv6.is_legal_source(src) && !src.is_unspecified() {
            counters.rx_ipv6_bad_source += 1;
            return env.free_rx(frame.buf);
        }
        let incoming = Incoming {
            packet,
            ether: frame.ether,
            to_us_alone: to_station && !dst.is_multicast(),
            checksum: frame.checksum,
            buf: frame.buf,
            offset: frame.offset,
        };
        match packet.content() {
            Ok(Content::Upper { protocol, offset }) => {
                self.receive_upper(env, now, incoming, protocol, offset);
            }
            Ok(Content::Fragment { fragment, offset }) => {
                self.receive_fragment_v6(env, now, incoming, &fragment, offset);
            }
            Err(refusal) => self.refuse_v6(env, now, incoming, refusal),
        }
    }

    /// RFC 8200 section 4.5; RFC 6946: one that is all of its packet is taken by itself.
    fn receive_fragment_v6<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        incoming: Incoming<'_>,
        fragment: &ipv6_extensions::Fragment,
        at: usize,
    ) {
        let packet = incoming.packet;
        if fragment.is_atomic() {
            match packet.content_behind(fragment.next_header, at) {
                Ok(Content::Upper { protocol, offset }) => {
                    self.receive_upper(env, now, incoming, protocol, offset);
                }
                Ok(Content::Fragment { .. }) => self.refuse_v6(env, now, incoming, Refusal::Malformed),
                Err(refusal) => self.refuse_v6(env, now, incoming, refusal),
            }
            return;
        }
        let data = packet.from_offset(at);
        if fragment.has_more && !data.len().is_multiple_of(8) {
            // The payload length, RFC 8200 section 4.5.
            let refusal = Refusal::Problem {
                code: ERRONEOUS_FIELD,
                pointer: 4,
                even_of_group: false,
            };
            return self.refuse_v6(env, now, incoming, refusal);
        }
        if packet.src().is_unspecified() {
            self.shared.counters.rx_ipv6_bad_source += 1;
            return env.free_rx(incoming.buf);
        }
        let fragment = Fragment {
            key: Key {
                ends: Ends::V6 {
                    local: packet.dst(),
                    remote: packet.src(),
                },
                protocol: 0, // may differ from fragment to fragment: section 4.5
                identification: fragment.identification,
            },
            at: fragment.at,
            has_more: fragment.has_more,
            data,
            header: &packet.header_for(fragment.next_header),
            ether: incoming.ether,
        };
        self.receive_fragment(env, now, &fragment);
        env.free_rx(incoming.buf);
    }

    fn receive_upper<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        incoming: Incoming<'_>,
        protocol: Protocol,
        at: usize,
    ) {
        let has_source = !incoming.packet.src().is_unspecified();
        match protocol {
            Protocol::Icmpv6 => return self.receive_icmpv6(env, now, incoming, at),
            _ if !has_source => self.shared.counters.rx_ipv6_bad_source += 1,
            // RFC 9293 section 3.9.2.3: only to one host.
            Protocol::Tcp if incoming.to_us_alone => return self.receive_tcp_v6(env, now, incoming, at),
            Protocol::Udp => return self.receive_udp_v6(env, now, incoming, at),
            Protocol::Tcp | Protocol::Other(_) => self.shared.counters.rx_ipv6_unknown_protocol += 1,
        }
        env.free_rx(incoming.buf);
    }

    /// RFC 8200 section 4.2 and RFC 4443 section 3.4.
    fn refuse_v6<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>, refusal: Refusal) {
        let counters = &mut self.shared.counters;
        match refusal {
            Refusal::Malformed => counters.rx_ipv6_malformed += 1,
            Refusal::Problem {
                code: UNKNOWN_NEXT_HEADER,
                ..
            } => counters.rx_ipv6_unknown_protocol += 1,
            Refusal::Silent | Refusal::Problem { .. } => counters.rx_ipv6_refused += 1,
        }
        if let Refusal::Problem {
            code,
            pointer,
            even_of_group,
        } = refusal
            && (incoming.to_us_alone || even_of_group)
        {
            let pointer = pointer.into();
            self.send_error_v6(env, now, &incoming, Error::ParameterProblem { code, pointer });
        }
        env.free_rx(incoming.buf);
    }

    fn receive_tcp_v6<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>, at: usize) {
        let packet = &incoming.packet;
        let (local, remote) = (packet.dst(), packet.src());
        let parsed = Segment::parse(packet.from_offset(at), remote, local, incoming.checksum);
        let counters = &mut self.shared.counters;
        let segment = match parsed {
            Ok(segment) => segment,
            Err(malformed) => {
                match malformed {
                    tcp::Malformed::Header => counters.rx_tcp_malformed += 1,
                    tcp::Malformed::Checksum => counters.rx_tcp_checksum += 1,
                }
                return env.free_rx(incoming.buf);
            }
        };
        let ports = Ports {
            local: segment.dst_port,
            remote: segment.src_port,
        };
        let ends = Ends::V6 { local, remote };
        let tuple = self.shared.tuple(&ends, ports);
        let slot = tuple.and_then(|tuple| self.find_flow(&tuple));
        let arrival = Arrival {
            segment: &segment,
            buf: incoming.buf,
            offset: later(incoming.offset, at + segment.header_len()),
            ecn: incoming.packet.ecn(),
        };
        let src_mac = station_from(incoming.ether);
        self.take_segment(env, now, slot, arrival, || (ends, src_mac));
    }

    fn receive_udp_v6<E: Env>(&mut self, env: &mut E, now: Instant, mut incoming: Incoming<'_>, at: usize) {
        let packet = incoming.packet;
        let (local, remote) = (packet.dst(), packet.src());
        let counters = &mut self.shared.counters;
        let datagram = match udp::Datagram::parse(packet.from_offset(at), remote, local, incoming.checksum) {
            Ok(datagram) => datagram,
            Err(malformed) => {
                match malformed {
                    udp::Malformed::Header => counters.rx_udp_malformed += 1,
                    udp::Malformed::Checksum => counters.rx_udp_checksum += 1,
                }
                return env.free_rx(incoming.buf);
            }
        };
        let offset = later(incoming.offset, at + udp::HEADER_LEN);
        let ends = Ends::V6 { local, remote };
        if let Err((refused, buf)) = self.take_datagram(now, &datagram, &ends, incoming.buf, offset) {
            incoming.buf = buf;
            if refused == Refused::PortClosed && incoming.to_us_alone {
                self.send_error_v6(env, now, &incoming, Error::PortUnreachable);
            }
            env.free_rx(incoming.buf);
        }
    }

    fn receive_icmpv6<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>, at: usize) {
        let packet = &incoming.packet;
        let body = packet.from_offset(at);
        match Message::parse(body, packet.src(), packet.dst()) {
            Err(icmpv6::Malformed::Header | icmpv6::Malformed::Checksum) => {
                self.shared.counters.rx_icmpv6_malformed += 1;
            }
            Ok(Message::Discovery) => self.receive_discovery(env, now, &incoming, body),
            Ok(message) => {
                self.shared.counters.rx_icmpv6 += 1;
                if message == Message::ListenerQuery {
                    self.receive_mld_query(now, packet.src(), packet.hop_limit(), body);
                } else if message == Message::EchoRequest {
                    self.answer_echo_v6(env, now, &incoming, body);
                } else if let Some(complaint) = Complaint::v6(&message) {
                    self.on_complaint(env, now, &complaint);
                }
            }
        }
        env.free_rx(incoming.buf);
    }

    /// RFC 4443 section 4.2; a request to a group is not answered, since an answer would help an attacker multiply.
    fn answer_echo_v6<E: Env>(&mut self, env: &mut E, now: Instant, incoming: &Incoming<'_>, request: &[u8]) {
        if !incoming.to_us_alone {
            return;
        }
        let Some(way) = self.way_back(incoming, now) else {
            return;
        };
        let ends = Ends::V6 {
            local: way.src,
            remote: way.dst,
        };
        let fits = request.len() + ipv6::HEADER_LEN <= usize::from(self.shared.path_mtu(&ends, now));
        if fits {
            self.answer_icmp(env, |out| v6::emit_echo_reply(&way, request, out));
        } else if let Some((head, tail)) = request.split_first_chunk() {
            let head = icmpv6::echo_reply_header(head);
            let message = (Protocol::Icmpv6.into(), &head[..], tail);
            self.answer_in_fragments(env, now, &ends, way.dst_mac, message);
        }
    }

    /// RFC 4443 section 2.4.
    fn send_error_v6<E: Env>(&mut self, env: &mut E, now: Instant, incoming: &Incoming<'_>, error: Error) {
        if let Some(way) = self.way_back(incoming, now)
            && self.icmp_errors.allows(now)
        {
            self.answer_icmp(env, |out| {
                v6::emit_error(&way, error, incoming.packet.bytes(), out)
            });
        }
    }

    /// To where a packet came from; `None` if it came from nobody.
    pub(super) fn way_back(&self, incoming: &Incoming<'_>, now: Instant) -> Option<Way> {
        let (asked, dst) = (incoming.packet.dst(), incoming.packet.src());
        let src = if asked.is_multicast() {
            self.shared.ipv6.as_ref()?.addresses.source_for(dst, now)?
        } else {
            asked
        };
        (!dst.is_unspecified()).then(|| Way {
            src_mac: self.shared.interface.mac,
            dst_mac: station_from(incoming.ether),
            src,
            dst,
        })
    }
}

/// `true` for a packet to an address of ours that came to our station, or to a group of ours. A host's address by
/// broadcast is not heeded.
fn is_for_us(ipv6: &Ipv6, groups: &Groups, dst: Ipv6Addr, to_station: bool) -> bool {
    if dst.is_multicast() {
        ipv6.is_in(dst) || groups.has(dst.into())
    } else {
        to_station && ipv6.addresses.is_ours(dst)
    }
}
