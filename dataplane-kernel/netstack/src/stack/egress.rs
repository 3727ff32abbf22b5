//! Frames out: what the flows have pending, and answers without a flow. Eleventh step of a packet's way.

use super::Stack;
use crate::checksum::Sum;
use crate::interface::TTL;
use crate::seq::SeqNum;
use crate::tcp::flow::Marks;
use crate::tcp::output::Blocked;
use crate::tcp::tuple::Tuple;
use crate::wire::arp;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::ipv4::{self, Protocol};
use crate::wire::tcp::{self, Flags, Segment};
use crate::{ChecksumOffload, Env, Instant};

const IP: usize = ethernet::HEADER_LEN;
const TCP: usize = IP + ipv4::HEADER_LEN;
const TCP_END: usize = TCP + tcp::HEADER_LEN;

impl Stack {
    /// Sends what is pending: data, acknowledgements, datagrams, ARP requests. What the transmit ring has no room for
    /// stays pending.
    #[inline]
    pub fn flush<E: Env>(&mut self, env: &mut E, now: Instant) {
        self.flush_flows(env, now);
        let sent = self
            .udp
            .flush(env, now, &self.shared.interface, &mut self.shared.neighbors);
        self.shared.counters.tx_udp += u64::from(sent);
        if self.shared.neighbors.wants_to_ask() {
            self.ask_neighbors(env, now);
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

    /// Tells all stations our addresses (gratuitous ARP).
    pub fn announce<E: Env>(&mut self, env: &mut E, _now: Instant) {
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
    fn answer<E: Env>(&mut self, env: &mut E, emit: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        match env.begin_tx().and_then(emit) {
            Some(len) => {
                env.commit_tx(len, &[], ChecksumOffload::Complete);
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
        tuple: &Tuple,
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
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq,
            ack,
            flags,
            window: 0,
        };
        let src = self.shared.interface.mac;
        if self.answer(env, |out| emit_reset(src, dst, tuple, &header, out)) {
            self.shared.counters.tx_tcp += 1;
            self.shared.counters.tcp_resets_sent += 1;
        }
    }
}

fn emit_reset(
    src: MacAddr,
    dst: MacAddr,
    tuple: &Tuple,
    header: &tcp::Header,
    out: &mut [u8],
) -> Option<usize> {
    let out = out.first_chunk_mut::<TCP_END>()?;
    let (link, rest) = out.split_first_chunk_mut::<IP>()?;
    let (ip, transport) = rest.split_first_chunk_mut::<{ ipv4::HEADER_LEN }>()?;
    let transport = transport.first_chunk_mut::<{ tcp::HEADER_LEN }>()?;
    ethernet::Header {
        dst,
        src,
        ether_type: EtherType::Ipv4,
    }
    .emit(link);
    ipv4::Header {
        src: tuple.local,
        dst: tuple.remote,
        protocol: Protocol::Tcp,
        ttl: TTL,
        payload_len: 20,
    }
    .emit(ip);
    header.emit(0, transport);
    let mut sum = Sum::pseudo_header(tuple.local, tuple.remote, 6, 20);
    sum.add_bytes(transport);
    tcp::set_checksum(transport, sum.finish());
    Some(TCP_END)
}
