//! Frames out: what the flows have pending, and answers without a flow. Eleventh step of a packet's way.

use super::Stack;
use crate::ends::Ends;
use crate::interface::TTL;
use crate::seq::SeqNum;
use crate::tcp::flow::Marks;
use crate::tcp::output::Blocked;
use crate::udp::Link;
use crate::wire::arp;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::tcp::{self, Flags, Segment};
use crate::{Env, Instant, TxOffload};

/// Protocol number.
const TCP: u8 = 6;
/// Bytes of a segment that is nothing but a header.
const TCP_LEN: u16 = 20;
const _: () = assert!(TCP_LEN as usize == tcp::HEADER_LEN);

impl Stack {
    /// Sends what is pending: data, acknowledgements, datagrams, ARP requests. What the transmit ring has no room for
    /// stays pending.
    #[inline]
    pub fn flush<E: Env>(&mut self, env: &mut E, now: Instant) {
        self.flush_flows(env, now);
        let mut link = Link {
            interface: &self.shared.interface,
            static_routes: &self.shared.static_routes,
            neighbors: &mut self.shared.neighbors,
            ipv6: self.shared.ipv6.as_mut(),
            path_mtus: &self.shared.path_mtus,
        };
        let sent = self.udp.flush(env, now, &mut link);
        self.shared.counters.tx_udp += u64::from(sent);
        if self.dhcp.as_ref().is_some_and(|dhcp| dhcp.is_due(now)) {
            self.run_dhcp(env, now);
        }
        if self.shared.neighbors.wants_to_ask() {
            self.ask_neighbors(env, now);
        }
        if self.udp.groups().next_deadline().is_some_and(|at| at <= now) {
            self.report_groups(env, now);
        }
        if let Some(ipv6) = &self.shared.ipv6
            && ipv6.wants_to_ask(now)
        {
            self.ask_neighbors_v6(env, now);
        }
    }

    #[inline]
    fn flush_flows<E: Env>(&mut self, env: &mut E, now: Instant) {
        for _ in 0..self.shared.dirty.len() {
            let Some(slot) = self.shared.dirty.pop() else {
                return;
            };
            let flow = self.flows.at(slot);
            flow.marks.clear(Marks::ON_DIRTY);
            match flow.transmit(&mut self.shared, env, now) {
                Ok(()) => {}
                Err(Blocked::RingFull) => {
                    flow.make_dirty(&mut self.shared);
                    return;
                }
                Err(Blocked::Unresolved) => {
                    if !flow.marks.has(Marks::ON_UNRESOLVED) {
                        flow.marks.set(Marks::ON_UNRESOLVED);
                        self.shared.unresolved.push(slot);
                    }
                }
            }
        }
    }

    /// A neighbour has become known: those who wait try again.
    pub(super) fn retry_unresolved(&mut self) {
        while let Some(slot) = self.shared.unresolved.pop() {
            let flow = self.flows.at(slot);
            flow.marks.clear(Marks::ON_UNRESOLVED);
            flow.make_dirty(&mut self.shared);
        }
    }

    fn ask_neighbors<E: Env>(&mut self, env: &mut E, now: Instant) {
        while env.begin_tx().is_some() {
            let Some(request) = self.shared.neighbors.poll_request(now) else {
                return;
            };
            let question = self.shared.neighbors.question(request);
            self.send_arp(env, request.dst, &question);
        }
    }

    /// Tells all stations our addresses (gratuitous ARP), if it is this stack that speaks for the host.
    pub fn announce<E: Env>(&mut self, env: &mut E, _now: Instant) {
        if !self.shared.interface.route.has_address() || !self.speaks_for_host() {
            return;
        }
        let announcement = self.shared.neighbors.announcement();
        self.send_arp(env, MacAddr::BROADCAST, &announcement);
    }

    pub(super) fn send_arp<E: Env>(&mut self, env: &mut E, dst: MacAddr, packet: &arp::Packet) {
        let src = self.shared.interface.mac;
        let emit = |out: &mut [u8]| {
            let (link, rest) = out.split_first_chunk_mut()?;
            ethernet::Header {
                dst,
                src,
                ether_type: EtherType::Arp,
            }
            .emit(link);
            packet.emit(rest.first_chunk_mut()?);
            Some(ethernet::HEADER_LEN + arp::PACKET_LEN)
        };
        let sent = self.answer(env, emit);
        self.shared.counters.tx_arp += u64::from(sent);
    }

    pub(super) fn answer_icmp<E: Env>(&mut self, env: &mut E, emit: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let sent = self.answer(env, emit);
        self.shared.counters.tx_icmp += u64::from(sent);
    }

    /// Sends a frame that is composed whole; if there is no room it is dropped, as the network might have.
    pub(super) fn answer<E: Env>(
        &mut self,
        env: &mut E,
        emit: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        match env.begin_tx().and_then(emit) {
            Some(len) => {
                env.commit_tx(len, &[], TxOffload::Complete);
                true
            }
            None => {
                self.shared.counters.tx_answer_dropped += 1;
                false
            }
        }
    }

    /// A reset for a segment that belongs to no flow, to the station it came from (RFC 9293 section 3.10.7.1).
    pub(super) fn send_reset_for<E: Env>(
        &mut self,
        env: &mut E,
        dst: MacAddr,
        ends: &Ends,
        segment: &Segment<'_>,
    ) {
        let (seq, ack, flags) = if segment.flags.contains(Flags::ACK) {
            (segment.ack, SeqNum(0), Flags::RST)
        } else {
            (
                SeqNum(0),
                segment.seq + segment.sequence_len(),
                Flags::RST | Flags::ACK,
            )
        };
        let header = tcp::Header {
            src_port: segment.dst_port,
            dst_port: segment.src_port,
            seq,
            ack,
            flags,
            window: 0,
        };
        let src = self.shared.interface.mac;
        if self.answer(env, |out| emit_reset(src, dst, ends, &header, out)) {
            self.shared.counters.tx_tcp += 1;
            self.shared.counters.tcp_resets_sent += 1;
        }
    }
}

fn emit_reset(
    src: MacAddr,
    dst: MacAddr,
    ends: &Ends,
    header: &tcp::Header,
    out: &mut [u8],
) -> Option<usize> {
    let len = ethernet::HEADER_LEN + ends.header_len() + tcp::HEADER_LEN;
    let (link, rest) = out.get_mut(..len)?.split_first_chunk_mut()?;
    let (ip, transport) = rest.split_last_chunk_mut::<{ tcp::HEADER_LEN }>()?;
    ethernet::Header {
        dst,
        src,
        ether_type: ends.ether_type(),
    }
    .emit(link);
    ends.emit(TCP, TCP_LEN, TTL, ip)?;
    header.emit(0, transport);
    let mut sum = ends.pseudo_header(TCP, TCP_LEN);
    sum.add_bytes(transport);
    tcp::set_checksum(transport, sum.finish());
    Some(len)
}
