//! Frames in: Ethernet, IP, and whose packet it is. Third step of a packet's way.

use super::Stack;
use super::icmp_errors::Complaint;
use crate::ends::Ends;
use crate::icmp;
use crate::reassembly::{Fragment, Key};
use crate::route::Destination;
use crate::seq::SeqNum;
use crate::tcp::flow::State;
use crate::tcp::listener::Room;
use crate::tcp::receive::Arrival;
use crate::tcp::tuple::{Ports, Tuple};
use crate::udp::Refused;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::icmpv4::{self, Message, PORT_UNREACHABLE, PROTOCOL_UNREACHABLE};
use crate::wire::ipv4::{self, Packet, Protocol};
use crate::wire::tcp::{self, Flags, Segment};
use crate::wire::{arp, dhcp, igmp, udp, vlan};
use crate::{BufId, Env, Instant, RxChecksum};
use core::net::Ipv4Addr;

/// All hosts of the link (RFC 1112 section 4).
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// A received IPv4 packet with what its frame tells.
struct Incoming<'a> {
    packet: Packet<'a>,
    ether: &'a [u8; ethernet::HEADER_LEN],
    /// To us alone, by IP and by Ethernet address.
    to_us_alone: bool,
    /// What the card says of it, as far as the card is believed.
    checksum: RxChecksum,
    buf: BufId,
    /// Where the IPv4 header begins in the buffer.
    offset: u16,
}

/// A received frame, its header taken off.
pub(super) struct Frame<'a> {
    pub(super) ether: &'a [u8; ethernet::HEADER_LEN],
    pub(super) payload: &'a [u8],
    pub(super) checksum: RxChecksum,
    pub(super) buf: BufId,
    /// Where the payload begins in the buffer.
    pub(super) offset: u16,
}

impl Frame<'_> {
    /// To the stations of an IPv4 group (RFC 1112 section 6.4).
    fn is_for_group_v4(&self) -> bool {
        self.ether.starts_with(&[1, 0, 0x5e])
    }

    /// To the stations of an IPv6 group (RFC 2464 section 7).
    fn is_for_group_v6(&self) -> bool {
        self.ether.starts_with(&[0x33, 0x33])
    }
}

/// The station a frame came from.
#[inline]
pub(super) fn station_from(ether: &[u8; ethernet::HEADER_LEN]) -> MacAddr {
    let [_, _, _, _, _, _, a, b, c, d, e, f, _, _] = *ether;
    MacAddr([a, b, c, d, e, f])
}

/// `offset` in a buffer, and so many bytes of headers.
#[inline]
pub(super) fn later(offset: u16, headers: usize) -> u16 {
    offset.saturating_add(u16::try_from(headers).unwrap_or(u16::MAX))
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
        let checksum = if self.trusts_rx_checksum {
            checksum
        } else {
            RxChecksum::Unknown
        };
        let dst = station(ether);
        let is_for_us = dst == self.station || dst == station(&[0xff; ethernet::HEADER_LEN]);
        let ether_type = u16::from_be_bytes([ether[12], ether[13]]);
        let (mut payload, mut buf, mut offset) = (payload, buf, frame_offset.saturating_add(14));
        if !is_for_us || u32::from(ether_type) != self.common_type {
            let frame = Frame {
                ether,
                payload,
                checksum,
                buf,
                offset,
            };
            let Some(left) = self.receive_other_frame(env, now, frame, is_for_us) else {
                return;
            };
            buf = left;
            payload = payload.get(vlan::TAG_LEN..).unwrap_or_default();
            offset = later(offset, vlan::TAG_LEN);
        }
        let frame = Frame {
            ether,
            payload,
            checksum,
            buf,
            offset,
        };
        self.receive_frame_v4(env, now, frame, dst);
    }

    /// A packet put together of fragments.
    pub(super) fn receive_whole_v4<E: Env>(&mut self, env: &mut E, now: Instant, frame: Frame<'_>) {
        let dst = station(frame.ether);
        self.receive_frame_v4(env, now, frame, dst);
    }

    /// A frame for the stations of a group: apart, so that the common ones have their code to themselves.
    #[inline(never)]
    fn receive_group_v4<E: Env>(&mut self, env: &mut E, now: Instant, frame: Frame<'_>) {
        let counters = &mut self.shared.counters;
        match Packet::parse(frame.payload) {
            Ok(packet) => {
                let incoming = Incoming {
                    packet,
                    ether: frame.ether,
                    to_us_alone: false,
                    checksum: frame.checksum,
                    buf: frame.buf,
                    offset: frame.offset,
                };
                return self.receive_other(env, now, incoming);
            }
            Err(ipv4::Malformed::Header) => counters.rx_ipv4_malformed += 1,
            Err(ipv4::Malformed::Checksum) => counters.rx_ipv4_checksum += 1,
        }
        env.free_rx(frame.buf);
    }

    #[inline(always)]
    fn receive_frame_v4<E: Env>(&mut self, env: &mut E, now: Instant, frame: Frame<'_>, dst: u64) {
        let Frame {
            ether,
            payload,
            checksum,
            buf,
            offset,
        } = frame;
        let counters = &mut self.shared.counters;
        match Packet::parse(payload) {
            Ok(packet) => {
                let to_us = packet.dst() == self.shared.interface.route.address();
                let incoming = Incoming {
                    packet,
                    ether,
                    to_us_alone: to_us && dst == self.station,
                    checksum,
                    buf,
                    offset,
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

    /// One that is not IPv4's, or not for our station nor for all, or that has a tag or should have. The buffer it
    /// gives back is that of an IPv4 frame like any other behind its tag: there is one place for these, where their code is inlined.
    #[inline(never)]
    fn receive_other_frame<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        frame: Frame<'_>,
        is_for_us: bool,
    ) -> Option<BufId> {
        let (ether_type, frame) = self.untagged(env, frame)?;
        let speaks_v4 = self.speaks_v4();
        let has_address = self.shared.interface.route.has_address();
        let counters = &mut self.shared.counters;
        match ether_type {
            EtherType::Ipv6 if self.shared.ipv6.is_some() && (is_for_us || frame.is_for_group_v6()) => {
                self.receive_ipv6(env, now, frame);
                return None;
            }
            EtherType::Ipv4 if frame.is_for_group_v4() && has_address => {
                self.receive_group_v4(env, now, frame);
                return None;
            }
            _ if !is_for_us => counters.rx_ethernet_not_ours += 1,
            EtherType::Ipv4 if has_address => return Some(frame.buf),
            EtherType::Ipv4 => self.receive_without_address(now, frame.payload, frame.checksum),
            EtherType::Arp if speaks_v4 => self.receive_arp(env, now, frame.payload),
            _ => counters.rx_ethernet_unknown_type += 1,
        }
        env.free_rx(frame.buf);
        None
    }

    #[inline(always)]
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
        let takes = match route.classify(packet.dst()) {
            // A host's address by the stations of a group is not heeded.
            Destination::Us | Destination::Broadcast => {
                incoming.ether[0] & 1 == 0 || incoming.ether[0] == 0xff
            }
            Destination::Multicast => packet.dst() == ALL_HOSTS || self.udp.groups().has(packet.dst().into()),
            Destination::Other => false,
        };
        if !takes && self.is_transit_v4(incoming.ether, packet) {
            let frame = Frame {
                ether: incoming.ether,
                payload: packet.bytes(),
                checksum: incoming.checksum,
                buf: incoming.buf,
                offset: incoming.offset,
            };
            return self.take_transit(env, frame);
        }
        let counters = &mut self.shared.counters;
        let refused = if !takes {
            &mut counters.rx_ipv4_not_ours
        } else if !route.is_legal_source(packet.src()) {
            &mut counters.rx_ipv4_bad_source
        } else if packet.is_fragment() {
            self.receive_fragment_v4(env, now, &incoming);
            return env.free_rx(incoming.buf);
        } else {
            match packet.protocol() {
                Protocol::Udp => return self.receive_udp(env, now, incoming),
                Protocol::Icmp => return self.receive_icmp(env, now, incoming),
                Protocol::Other(igmp::PROTOCOL) => {
                    self.receive_igmp(now, packet.payload());
                    return env.free_rx(incoming.buf);
                }
                Protocol::Tcp | Protocol::Other(_) => {
                    counters.rx_ipv4_unknown_protocol += 1;
                    self.send_unreachable(env, now, &incoming, PROTOCOL_UNREACHABLE);
                    return env.free_rx(incoming.buf);
                }
            }
        };
        *refused += 1;
        env.free_rx(incoming.buf);
    }

    fn receive_fragment_v4<E: Env>(&mut self, env: &mut E, now: Instant, incoming: &Incoming<'_>) {
        let packet = &incoming.packet;
        let (at, has_more) = packet.place();
        let fragment = Fragment {
            key: Key {
                ends: Ends::V4 {
                    local: packet.dst(),
                    remote: packet.src(),
                },
                protocol: packet.protocol().into(),
                identification: packet.identification().into(),
            },
            at,
            has_more,
            data: packet.payload(),
            header: packet.header(),
            ether: incoming.ether,
        };
        self.receive_fragment(env, now, &fragment);
    }

    #[inline(always)]
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
        let ports = Ports {
            local: segment.dst_port,
            remote: segment.src_port,
        };
        let (local, remote) = (packet.dst(), packet.src());
        let slot = self.find_flow(&Tuple::of_v4(local, remote, ports));
        let headers = packet.header_len() + segment.header_len();
        let arrival = Arrival {
            segment: &segment,
            buf: incoming.buf,
            offset: later(incoming.offset, headers),
            ecn: packet.ecn(),
        };
        let src_mac = station_from(incoming.ether);
        self.take_segment(env, now, slot, arrival, || (Ends::V4 { local, remote }, src_mac));
    }

    /// A segment for the flow in `slot`, or for none; `from` tells where it is from.
    #[inline(always)]
    pub(super) fn take_segment<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        slot: Option<u32>,
        arrival: Arrival<'_>,
        from: impl FnOnce() -> (Ends, MacAddr),
    ) {
        let segment = arrival.segment;
        let Some(slot) = slot else {
            let (ends, src_mac) = from();
            self.receive_without_flow(env, now, src_mac, segment, &ends, None);
            return env.free_rx(arrival.buf);
        };
        if matches!(self.flows.at(slot).state, State::Closed | State::TimeWait)
            && let Some(last) = self.make_way(env, slot, segment)
        {
            let (ends, src_mac) = from();
            self.receive_without_flow(env, now, src_mac, segment, &ends, Some(last));
            return env.free_rx(arrival.buf);
        }
        self.shared.counters.rx_tcp += 1;
        self.give_segment(env, now, slot, arrival);
    }

    /// A segment for the flow in `slot`.
    #[inline(always)]
    pub(super) fn give_segment<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        slot: u32,
        arrival: Arrival<'_>,
    ) {
        self.last_flow = slot;
        let flow = self.flows.at(slot);
        if let Some(buf) = flow.receive(&mut self.shared, env, now, arrival) {
            env.free_rx(buf);
        }
        if matches!(flow.state, State::Closed | State::TimeWait) {
            self.settle(env, slot);
            self.bound_time_wait(env);
        }
    }

    fn receive_udp<E: Env>(&mut self, env: &mut E, now: Instant, mut incoming: Incoming<'_>) {
        let packet = incoming.packet;
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
        let ends = Ends::V4 {
            local: packet.dst(),
            remote: packet.src(),
        };
        let offset = later(incoming.offset, packet.header_len() + udp::HEADER_LEN);
        if let Err((refused, buf)) = self.take_datagram(now, &datagram, &ends, incoming.buf, offset) {
            incoming.buf = buf;
            if refused == Refused::PortClosed {
                self.send_unreachable(env, now, &incoming, PORT_UNREACHABLE);
            }
            env.free_rx(incoming.buf);
        }
    }

    /// RFC 1122 section 3.2.2: to the sender of a packet for us alone.
    fn send_unreachable<E: Env>(&mut self, env: &mut E, now: Instant, incoming: &Incoming<'_>, code: u8) {
        if incoming.to_us_alone && self.icmp_errors.allows(now) {
            let interface = self.shared.interface;
            let src_mac = station_from(incoming.ether);
            self.answer_icmp(env, |out| {
                icmp::v4::emit_unreachable(code, &incoming.packet, src_mac, &interface, out)
            });
        }
    }

    /// A datagram between these ends; gives the buffer back, with the reason, if nobody takes it.
    pub(super) fn take_datagram(
        &mut self,
        now: Instant,
        datagram: &udp::Datagram<'_>,
        ends: &Ends,
        buf: BufId,
        offset: u16,
    ) -> Result<(), (Refused, BufId)> {
        let len = u16::try_from(datagram.payload.len()).unwrap_or(u16::MAX);
        let peer = ends.peer(datagram.src_port);
        let to = (ends.local(), datagram.dst_port);
        let taken = self.udp.receive(to, peer, buf, offset, len);
        match taken {
            Ok(()) => self.shared.counters.rx_udp += 1,
            Err((Refused::PortClosed, buf)) if self.take_own(now, datagram, ends) => {
                return Err((Refused::OurOwn, buf));
            }
            Err((Refused::PortClosed, _)) => self.shared.counters.rx_udp_no_port += 1,
            Err((Refused::QueueFull | Refused::OurOwn, _)) => self.shared.counters.rx_udp_no_room += 1,
        }
        taken
    }

    /// A datagram to no port of the app's. `true` if it is to one of the stack's own.
    #[inline(never)]
    fn take_own(&mut self, now: Instant, datagram: &udp::Datagram<'_>, ends: &Ends) -> bool {
        let is_dhcp = datagram.dst_port == dhcp::CLIENT_PORT && matches!(ends, Ends::V4 { .. });
        if !is_dhcp || self.dhcp.is_none() {
            return false;
        }
        self.receive_dhcp(now, datagram.payload);
        true
    }

    fn receive_icmp<E: Env>(&mut self, env: &mut E, now: Instant, incoming: Incoming<'_>) {
        let packet = &incoming.packet;
        match Message::parse(packet.payload()) {
            Ok(message) => {
                self.shared.counters.rx_icmp += 1;
                match message {
                    Message::EchoRequest if incoming.to_us_alone => {
                        let interface = self.shared.interface;
                        let src_mac = station_from(incoming.ether);
                        if packet.bytes().len() > usize::from(interface.mtu) {
                            self.answer_long_echo(env, now, packet, src_mac);
                        } else {
                            self.answer_icmp(env, |out| {
                                icmp::v4::emit_echo_reply(packet, src_mac, &interface, out)
                            });
                        }
                    }
                    Message::DestinationUnreachable { code, mtu, quoted } => {
                        if let Some(complaint) = Complaint::unreachable(code, mtu, quoted) {
                            self.on_complaint(env, now, &complaint);
                        }
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

    fn answer_long_echo<E: Env>(&mut self, env: &mut E, now: Instant, packet: &Packet<'_>, dst: MacAddr) {
        let ends = Ends::V4 {
            local: packet.dst(),
            remote: packet.src(),
        };
        if let Some((head, tail)) = packet.payload().split_first_chunk() {
            let head = icmpv4::echo_reply_header(head);
            self.answer_in_fragments(env, now, &ends, dst, (Protocol::Icmp.into(), &head, tail));
        }
    }

    #[inline(never)]
    fn receive_arp<E: Env>(&mut self, env: &mut E, now: Instant, payload: &[u8]) {
        let Some(packet) = arp::Packet::parse(payload) else {
            self.shared.counters.rx_arp_malformed += 1;
            return;
        };
        self.shared.counters.rx_arp += 1;
        if let Some(dhcp) = &mut self.dhcp {
            dhcp.on_arp(&packet, now);
        }
        if !self.shared.interface.route.has_address() {
            return; // nothing to answer for, nobody to ask
        }
        let is_neighbor = self.shared.interface.route.is_neighbor(packet.sender_ip);
        let received = self.shared.neighbors.receive(&packet, is_neighbor, now);
        self.shared.new_neighbor_epoch();
        if received.conflict {
            self.shared.counters.arp_conflicts += 1;
        }
        if let Some(answer) = received.answer
            && self.speaks_for_host()
        {
            self.send_arp(env, answer.target_mac, &answer);
        }
        if let Some(ip) = received.resolved {
            self.udp.on_resolved(ip.into());
            self.retry_unresolved();
        }
    }

    /// LISTEN and CLOSED (RFC 9293 sections 3.10.7.2 and 3.10.7.1).
    #[cold]
    #[inline(never)]
    pub(super) fn receive_without_flow<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        src_mac: MacAddr,
        segment: &Segment<'_>,
        ends: &Ends,
        last: Option<SeqNum>,
    ) {
        if let Ends::V4 { remote, .. } = *ends
            && !self.shared.interface.route.is_legal_source(remote)
        {
            self.shared.counters.rx_ipv4_bad_source += 1;
            return;
        }
        let listeners = &self.shared.listeners;
        let on_port = listeners
            .on_port(segment.dst_port)
            .filter(|(_, listener)| listener.takes(ends))
            .map(|(slot, listener)| (slot, listener.room()));
        match on_port {
            Some((slot, room)) if segment.is_open() => {
                let cookies = self.shared.tuning.syn_cookies;
                match room {
                    Room::ForOneMore => self.open_passive(env, now, segment, ends, slot, last),
                    Room::ForCookies if cookies => self.send_syn_cookie(env, now, src_mac, ends, segment),
                    Room::ForCookies | Room::None => self.shared.counters.rx_tcp_backlog_full += 1,
                }
            }
            Some((slot, _)) if self.take_syn_cookie(env, now, ends, segment, slot) => {}
            on_port => {
                self.shared.counters.rx_tcp_no_flow += 1;
                // A listener says nothing to what is neither SYN nor ACK.
                let is_answered = on_port.is_none() || segment.flags.contains(Flags::ACK);
                if is_answered && !segment.flags.contains(Flags::RST) {
                    self.send_reset_for(env, src_mac, ends, segment);
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
        ends: &Ends,
        listener: u32,
        last: Option<SeqNum>,
    ) {
        let ports = Ports {
            local: segment.dst_port,
            remote: segment.src_port,
        };
        let Some(slot) = self.create_flow(env, ends, ports) else {
            self.shared.counters.rx_tcp_backlog_full += 1;
            return;
        };
        self.shared.counters.rx_tcp += 1;
        self.flows
            .at(slot)
            .open_passive(&mut self.shared, now, segment, listener, last);
    }
}
