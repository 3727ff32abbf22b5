//! The IPv4 address: from a server, and what happens when it comes and goes.

use super::{Stack, common_type};
use crate::dhcp::{Action, Lease};
use crate::ends::Ends;
use crate::interface::TTL;
use crate::neighbor::Lookup;
use crate::route::{NextHop, Route};
use crate::wire::dhcp::{CLIENT_PORT, MESSAGE_LEN, Message, Reply, SERVER_PORT};
use crate::wire::ethernet::{self, MacAddr};
use crate::wire::ipv4::Packet;
use crate::wire::{arp, udp};
use crate::{Env, Event, Instant, RxChecksum};
use core::net::Ipv4Addr;

/// UDP's number.
const UDP: u8 = 17;
/// When a message is tried again that waited for its server's hardware address.
const RESOLVE_NS: u64 = 100_000_000;

impl Stack {
    /// Our IPv4 address; `None` without one, or before a DHCP server has given one.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        let route = &self.shared.interface.route;
        route.has_address().then(|| route.address())
    }

    /// What the DHCP server gave, as long as it holds.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.dhcp.as_ref()?.lease()
    }

    /// `true` if IPv4 is spoken, be it with an address still to come.
    pub(super) fn speaks_v4(&self) -> bool {
        self.dhcp.is_some() || self.shared.interface.route.has_address()
    }

    /// An IPv4 packet while we have no address: only a DHCP server's can be for us, to whatever address (RFC 2131 section
    /// 4.1).
    pub(super) fn receive_without_address(&mut self, now: Instant, payload: &[u8], checksum: RxChecksum) {
        let counters = &mut self.shared.counters;
        if self.dhcp.is_none() {
            counters.rx_ethernet_unknown_type += 1;
            return;
        }
        let Ok(packet) = Packet::parse(payload) else {
            counters.rx_ipv4_malformed += 1;
            return;
        };
        if u8::from(packet.protocol()) != UDP || packet.is_fragment() {
            counters.rx_ipv4_not_ours += 1;
            return;
        }
        match udp::Datagram::parse(packet.payload(), packet.src(), packet.dst(), checksum) {
            Ok(datagram) if datagram.dst_port == CLIENT_PORT => self.receive_dhcp(now, datagram.payload),
            Ok(_) => counters.rx_ipv4_not_ours += 1,
            Err(udp::Malformed::Header) => counters.rx_udp_malformed += 1,
            Err(udp::Malformed::Checksum) => counters.rx_udp_checksum += 1,
        }
    }

    /// A datagram to the client's port.
    pub(super) fn receive_dhcp(&mut self, now: Instant, payload: &[u8]) {
        let mac = self.shared.interface.mac;
        let reply = Reply::parse(payload, mac);
        let is_taken = match (&mut self.dhcp, reply) {
            (Some(dhcp), Some(reply)) => dhcp.receive(&reply, now),
            _ => false,
        };
        let counters = &mut self.shared.counters;
        if is_taken {
            counters.rx_dhcp += 1;
        } else {
            counters.rx_dhcp_ignored += 1;
        }
    }

    /// Does what the client has to do, as far as the transmit ring takes it.
    #[inline(never)]
    pub(super) fn run_dhcp<E: Env>(&mut self, env: &mut E, now: Instant) {
        while env.begin_tx().is_some() {
            let random = self.shared.secrets.random();
            let Some(action) = self.dhcp.as_mut().and_then(|dhcp| dhcp.step(now, random)) else {
                return;
            };
            match action {
                Action::Send(message, to) => self.send_dhcp(env, now, &message, to),
                Action::Probe(target_ip) => {
                    let probe = arp::Packet {
                        operation: arp::Operation::Request,
                        sender_mac: self.shared.interface.mac,
                        sender_ip: Ipv4Addr::UNSPECIFIED,
                        target_mac: MacAddr::default(),
                        target_ip,
                    };
                    self.send_arp(env, MacAddr::BROADCAST, &probe);
                }
                Action::Take(lease) => {
                    let mtu = lease.mtu.unwrap_or(u16::MAX).min(self.link_mtu);
                    self.shared.interface.mtu = mtu;
                    self.set_route(env, now, lease.route());
                }
                Action::Lose => self.set_route(env, now, Route::NONE),
            }
        }
    }

    fn send_dhcp<E: Env>(&mut self, env: &mut E, now: Instant, message: &Message, to: Option<Ipv4Addr>) {
        let station = to.map_or(Lookup::Known(MacAddr::BROADCAST), |server| {
            self.station_of_v4(server, now)
        });
        let Lookup::Known(dst) = station else {
            if let Some(dhcp) = &mut self.dhcp {
                dhcp.postpone(now, RESOLVE_NS);
            }
            return;
        };
        let ends = Ends::V4 {
            local: message.client.unwrap_or(Ipv4Addr::UNSPECIFIED),
            remote: to.unwrap_or(Ipv4Addr::BROADCAST),
        };
        let src = self.shared.interface.mac;
        let sent = self.answer(env, |out| emit(src, dst, &ends, message, out));
        self.shared.counters.tx_dhcp += u64::from(sent);
    }

    /// The station that takes a packet to `dst` on.
    fn station_of_v4(&mut self, dst: Ipv4Addr, now: Instant) -> Lookup {
        match self.shared.next_hop_v4(dst) {
            NextHop::Neighbor(ip) => self.shared.neighbors.lookup(ip, now),
            NextHop::Broadcast | NextHop::Unreachable => Lookup::Full,
        }
    }

    /// From now on this is our address, and these the ways out. What was ours ends: nobody could answer at it.
    fn set_route<E: Env>(&mut self, env: &mut E, now: Instant, route: Route) {
        let before = self.shared.interface.route;
        self.shared.interface.route = route;
        self.shared.new_neighbor_epoch();
        if before.address() == route.address() {
            return;
        }
        self.shared.neighbors.set_address(route.address());
        self.common_type = common_type(&route, self.vlan);
        if before.has_address() {
            self.udp.on_address_lost(before.address());
            self.end_flows_from(env, before.address());
        }
        if route.has_address() {
            self.announce(env, now);
        }
        // The app starts when there is an address, and knows the first one.
        self.address_is_news = self.had_address;
        self.had_address |= route.has_address();
    }

    /// The news that our address is another one.
    pub(super) fn poll_address(&mut self) -> Option<Event> {
        core::mem::take(&mut self.address_is_news).then(|| Event::Address { ip: self.ipv4() })
    }
}

fn emit(src: MacAddr, dst: MacAddr, ends: &Ends, message: &Message, out: &mut [u8]) -> Option<usize> {
    let udp_len = u16::try_from(udp::HEADER_LEN + MESSAGE_LEN).ok()?;
    let (link, rest) = out.split_first_chunk_mut()?;
    let (ip, rest) = rest.split_at_mut_checked(ends.header_len())?;
    let (header, rest) = rest.split_first_chunk_mut::<{ udp::HEADER_LEN }>()?;
    let body = rest.first_chunk_mut::<MESSAGE_LEN>()?;
    let ether_type = ends.ether_type();
    ethernet::Header { dst, src, ether_type }.emit(link);
    ends.emit(UDP, udp_len, TTL, ip)?;
    udp::Header {
        src_port: CLIENT_PORT,
        dst_port: SERVER_PORT,
        len: udp_len,
    }
    .emit(header);
    message.emit(body);
    let mut sum = ends.pseudo_header(UDP, udp_len);
    sum.add_bytes(header);
    sum.add_bytes(body);
    udp::set_checksum(header, sum.finish_nonzero());
    Some(ethernet::HEADER_LEN + ends.header_len() + usize::from(udp_len))
}
