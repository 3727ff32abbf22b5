//! Frames in: Ethernet, IP, and whose packet it is. Third step of a packet's way.

use super::Stack;
use crate::icmp;
use crate::route::Destination;
use crate::seq::SeqNum;
use crate::tcp::flow::State;
use crate::tcp::receive::Arrival;
use crate::tcp::tuple::Tuple;
use crate::udp::Refused;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::icmpv4::{self, Message};
use crate::wire::ipv4::{self, Packet, Protocol};
use crate::wire::tcp::{self, Flags, Segment};
use crate::wire::{arp, udp};
use crate::{BufId, Env, Instant, RxChecksum};
use core::net::SocketAddrV4;

/// A received IPv4 packet with what its frame tells.
struct Incoming<'a> {
    packet: Packet<'a>,
    ether: &'a [u8; ethernet::HEADER_LEN],
    /// To us alone, by IP and by Ethernet address.
    to_us_alone: bool,
    checksum: RxChecksum,
    buf: BufId,
    /// Where the IPv4 header begins in the buffer.
    offset: u16,
}

impl Incoming<'_> {
    /// The station it came from.
    fn src_mac(&self) -> MacAddr {
        let [_, _, _, _, _, _, a, b, c, d, e, f, _, _] = *self.ether;
        MacAddr([a, b, c, d, e, f])
    }
}

/// The station a frame is for, as a number that is compared at once.
#[inline]
pub(super) fn station(ether: &[u8; ethernet::HEADER_LEN]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *ether;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) & 0xffff_ffff_ffff
}

/// The same of an address.
pub(super) fn station_of(MacAddr([a, b, c, d, e, f]): MacAddr) -> u64 {
    station(&[a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0])
}

impl Stack {
    /// Takes a frame in, whose first byte lies at `frame_offset` of `buf`. The buffer is kept, or freed.
    pub fn receive<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        buf: BufId,
        frame: &[u8],
        frame_offset: u16,
        checksum: RxChecksum,
    ) {
        let counters = &mut self.shared.counters;
        let Some((ether, payload)) = frame.split_first_chunk::<{ ethernet::HEADER_LEN }>() else {
            counters.rx_ethernet_short += 1;
            return env.free_rx(buf);
        };
        let dst = station(ether);
        if dst != self.station && dst != station(&[0xff; ethernet::HEADER_LEN]) {
            counters.rx_ethernet_not_ours += 1;
            return env.free_rx(buf);
        }
        if [ether[12], ether[13]] != [8, 0] {
            return self.receive_non_ip(env, now, buf, frame);
        }
        match Packet::parse(payload) {
            Ok(packet) => {
                let to_us = packet.dst() == self.shared.interface.route.address();
                let incoming = Incoming {
                    packet,
                    ether,
                    to_us_alone: to_us && dst == self.station,
                    checksum: if self.trusts_rx_checksum {
                        checksum
                    } else {
                        RxChecksum::Unknown
                    },
                    buf,
                    offset: frame_offset.saturating_add(14),
                };
                self.receive_ipv4(env, now, incoming);
            }
            Err(malformed) => {
                match malformed {
                    ipv4::Malformed::Header => counters.rx_ipv4_malformed += 1,
                    ipv4::Malformed::Checksum => counters.rx_ipv4_checksum += 1,
                }
                env.free_rx(buf);
            }
        }
    }

    #[inline(never)]
    fn receive_non_ip<E: Env>(&mut self, env: &mut E, now: Instant, buf: BufId, frame: &[u8]) {
        match ethernet::Header::parse(frame) {
            Some((ether, payload)) if ether.ether_type == EtherType::Arp => {
                self.receive_arp(env, now, payload)
            }
            _ => self.shared.counters.rx_ethernet_unknown_type += 1,
        }
        env.free_rx(buf);
    }

    #[inline]
    fn receive_ipv4<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>) {
        let packet = &incoming.packet;
        // RFC 9293 section 3.9.2.3: only to one host.
        if incoming.to_us_alone && packet.protocol() == Protocol::Tcp && !packet.is_fragment() {
            return self.receive_tcp(env, now, incoming);
        }
        self.receive_other(env, now, incoming);
    }

    #[inline(never)]
    fn receive_other<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>) {
        let packet = &incoming.packet;
        let route = &self.shared.interface.route;
        let counters = &mut self.shared.counters;
        let destination = route.classify(packet.dst());
        let refused = if !matches!(destination, Destination::Us | Destination::Broadcast) {
            &mut counters.rx_ipv4_not_ours
        } else if !route.is_legal_source(packet.src()) {
            &mut counters.rx_ipv4_bad_source
        } else if packet.is_fragment() {
            &mut counters.rx_ipv4_fragment
        } else {
            match packet.protocol() {
                Protocol::Udp => return self.receive_udp(env, now, incoming),
                Protocol::Icmp => return self.receive_icmp(env, incoming),
                Protocol::Tcp | Protocol::Other(_) => &mut counters.rx_ipv4_unknown_protocol,
            }
        };
        *refused += 1;
        env.free_rx(incoming.buf);
    }

    #[inline]
    fn receive_tcp<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>) {
        let packet = &incoming.packet;
        let segment = match Segment::parse(packet.payload(), packet.src(), packet.dst(), incoming.checksum) {
            Ok(segment) => segment,
            Err(malformed) => {
                match malformed {
                    tcp::Malformed::Header => self.shared.counters.rx_tcp_malformed += 1,
                    tcp::Malformed::Checksum => self.shared.counters.rx_tcp_checksum += 1,
                }
                return env.free_rx(incoming.buf);
            }
        };
        let tuple = Tuple {
            local: packet.dst(),
            remote: packet.src(),
            local_port: segment.dst_port,
            remote_port: segment.src_port,
        };
        let Some(slot) = self.find_flow(&tuple) else {
            self.receive_without_flow(env, now, incoming.src_mac(), &segment, tuple, None);
            return env.free_rx(incoming.buf);
        };
        let headers = packet.header_len() + segment.header_len();
        let offset = incoming
            .offset
            .saturating_add(u16::try_from(headers).unwrap_or(u16::MAX));
        let flow = self.flows.at(slot);
        if flow.state == State::TimeWait && flow.is_reopened_by(&segment) {
            let last = Some(flow.snd_max);
            self.end_time_wait(env, slot);
            self.receive_without_flow(env, now, incoming.src_mac(), &segment, tuple, last);
            return env.free_rx(incoming.buf);
        }
        self.shared.counters.rx_tcp += 1;
        let arrival = Arrival {
            segment: &segment,
            buf: incoming.buf,
            offset,
        };
        if let Some(buf) = flow.receive(&mut self.shared, env, now, arrival) {
            env.free_rx(buf);
        }
        if matches!(flow.state, State::Closed | State::TimeWait) {
            self.settle(env, slot);
            self.bound_time_wait(env);
        }
    }

    fn receive_udp<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>) {
        let packet = &incoming.packet;
        let src_mac = incoming.src_mac();
        let counters = &mut self.shared.counters;
        let datagram =
            match udp::Datagram::parse(packet.payload(), packet.src(), packet.dst(), incoming.checksum) {
                Ok(datagram) => datagram,
                Err(malformed) => {
                    match malformed {
                        udp::Malformed::Header => counters.rx_udp_malformed += 1,
                        udp::Malformed::Checksum => counters.rx_udp_checksum += 1,
                    }
                    return env.free_rx(incoming.buf);
                }
            };
        let headers = packet.header_len() + udp::HEADER_LEN;
        let offset = incoming
            .offset
            .saturating_add(u16::try_from(headers).unwrap_or(u16::MAX));
        let len = u16::try_from(datagram.payload.len()).unwrap_or(u16::MAX);
        let peer = SocketAddrV4::new(packet.src(), datagram.src_port);
        match self
            .udp
            .receive(datagram.dst_port, peer, incoming.buf, offset, len)
        {
            Ok(()) => {
                counters.rx_udp += 1;
            }
            Err((Refused::QueueFull, buf)) => {
                counters.rx_udp_no_room += 1;
                env.free_rx(buf);
            }
            Err((Refused::PortClosed, buf)) => {
                counters.rx_udp_no_port += 1;
                if incoming.to_us_alone && self.icmp_errors.allows(now) {
                    let interface = self.shared.interface;
                    self.answer_icmp(env, |out| {
                        icmp::emit_port_unreachable(packet, src_mac, &interface, out)
                    });
                }
                env.free_rx(buf);
            }
        }
    }

    fn receive_icmp<E: Env>(&mut self, env: &mut E, incoming: Incoming<'_>) {
        let packet = &incoming.packet;
        match Message::parse(packet.payload()) {
            Ok(message) => {
                self.shared.counters.rx_icmp += 1;
                match message {
                    Message::EchoRequest if incoming.to_us_alone => {
                        let interface = self.shared.interface;
                        self.answer_icmp(env, |out| {
                            icmp::emit_echo_reply(packet, incoming.src_mac(), &interface, out)
                        });
                    }
                    Message::DestinationUnreachable { code, quoted, .. } => {
                        self.on_unreachable(env, code, quoted);
                    }
                    _ => {}
                }
            }
            Err(icmpv4::Malformed::Header | icmpv4::Malformed::Checksum) => {
                self.shared.counters.rx_icmp_malformed += 1;
            }
        }
        env.free_rx(incoming.buf);
    }

    /// RFC 9293 section 3.9.2.2: a hard error ends a connection that is being opened (RFC 5927 section 4: and no other,
    /// since anybody can forge it); the number quoted must be one that is on its way.
    fn on_unreachable<E: Env>(&mut self, env: &mut E, code: u8, quoted: &[u8]) {
        let Some(quoted) = icmpv4::Quoted::parse(quoted) else {
            return;
        };
        let tuple = Tuple {
            local: quoted.src,
            remote: quoted.dst,
            local_port: quoted.src_port,
            remote_port: quoted.dst_port,
        };
        let hard = matches!(code, 2 | 3);
        if !hard || quoted.protocol != u8::from(Protocol::Tcp) {
            return;
        }
        let Some(slot) = self.find_flow(&tuple) else {
            return;
        };
        let flow = self.flows.at(slot);
        if flow.state == State::SynSent && quoted.sequence == flow.iss.0 {
            let reason = crate::tcp::flow::EndReason::Because(crate::Error::ConnectionRefused);
            flow.end(&mut self.shared, env, reason);
            self.settle(env, slot);
        }
    }

    #[inline(never)]
    fn receive_arp<E: Env>(&mut self, env: &mut E, now: Instant, payload: &[u8]) {
        let Some(packet) = arp::Packet::parse(payload) else {
            self.shared.counters.rx_arp_malformed += 1;
            return;
        };
        self.shared.counters.rx_arp += 1;
        let is_neighbor = self.shared.interface.route.is_neighbor(packet.sender_ip);
        let received = self.shared.neighbors.receive(&packet, is_neighbor, now);
        self.shared.new_neighbor_epoch();
        if received.conflict {
            self.shared.counters.arp_conflicts += 1;
        }
        if let Some(answer) = received.answer {
            self.send_arp(env, answer.target_mac, &answer);
        }
        if let Some(ip) = received.resolved {
            self.udp.on_resolved(ip);
            self.retry_unresolved();
        }
    }

    /// LISTEN and CLOSED (RFC 9293 sections 3.10.7.2 and 3.10.7.1).
    #[cold]
    #[inline(never)]
    fn receive_without_flow<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        src_mac: MacAddr,
        segment: &Segment<'_>,
        tuple: Tuple,
        last: Option<SeqNum>,
    ) {
        if !self.shared.interface.route.is_legal_source(tuple.remote) {
            self.shared.counters.rx_ipv4_bad_source += 1;
            return;
        }
        match self.shared.listeners.on_port(tuple.local_port) {
            Some((slot, listener)) if segment.is_open() => {
                if listener.is_full() {
                    self.shared.counters.rx_tcp_backlog_full += 1;
                    return;
                }
                self.open_passive(env, now, segment, tuple, slot, last);
            }
            on_port => {
                self.shared.counters.rx_tcp_no_flow += 1;
                // A listener says nothing to what is neither SYN nor ACK.
                let is_answered = on_port.is_none() || segment.flags.contains(Flags::ACK);
                if is_answered && !segment.flags.contains(Flags::RST) {
                    self.send_reset_for(env, src_mac, &tuple, segment);
                }
            }
        }
    }

    /// A SYN for a listener. Data in it is left to the peer to send again.
    fn open_passive<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
        tuple: Tuple,
        listener: u32,
        last: Option<SeqNum>,
    ) {
        if self.create_flow(env, tuple).is_none() {
            self.shared.counters.rx_tcp_backlog_full += 1;
            return;
        }
        self.shared.counters.rx_tcp += 1;
        if let Some(slot) = self.find_flow(&tuple) {
            self.flows
                .at(slot)
                .open_passive(&mut self.shared, now, segment, listener, last);
        }
    }
}
