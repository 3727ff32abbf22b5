//! Packets for other hosts: taken to who forwards them, where somebody does, and sent on from here.

use super::Stack;
use super::ingress::{Frame, station};
use crate::forwarding::{NotForwarded, Passing, Transit, Transits};
use crate::icmp::{v4, v6};
use crate::interface::Interface;
use crate::ipv6::is_host as is_host_v6;
use crate::neighbor::Lookup;
use crate::route::{self, NextHop};
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::icmpv4::{self, DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED, TIME_EXCEEDED};
use crate::wire::icmpv6;
use crate::wire::ipv4::{self, Protocol};
use crate::wire::ipv6_extensions::Content;
use crate::wire::{ipv6, vlan};
use crate::{Env, Instant, TxTicket};
use core::net::Ipv6Addr;

type EtherHeader = [u8; ethernet::HEADER_LEN];

/// Longest IPv4 header.
const LONGEST_HEADER: usize = 60;

impl Stack {
    /// Whether it sees to tags of frames itself.
    #[must_use]
    pub fn sees_tags(&self) -> bool {
        self.vlan.is_some()
    }

    /// From now on, packets for other hosts that come to our station are not dropped: [`Stack::poll_transit`] gives them, and
    /// is to be asked after each batch.
    pub fn start_forwarding(&mut self) {
        self.transits.get_or_insert_with(Transits::new);
    }

    /// They are dropped again.
    pub fn stop_forwarding<E: Env>(&mut self, env: &mut E) {
        while let Some(transit) = self.poll_transit() {
            env.free_rx(transit.buf);
        }
        self.transits = None;
    }

    /// The next packet that is another host's.
    #[inline]
    pub fn poll_transit(&mut self) -> Option<Transit> {
        self.transits.as_mut()?.pop()
    }

    /// `true` for a packet that is to be forwarded: from one host to another, to our station alone, beyond the link (RFC 3927
    /// section 2.7). Of what each core has a copy, the first takes it.
    pub(super) fn is_transit_v4(&self, ether: &EtherHeader, packet: &ipv4::Packet<'_>) -> bool {
        let (src, dst) = (packet.src(), packet.dst());
        let is_flow = matches!(packet.protocol(), Protocol::Tcp | Protocol::Udp);
        self.transits.is_some()
            && station(ether) == self.station
            && self.shared.interface.route.is_legal_source(src)
            && route::is_host(dst)
            && !src.is_link_local()
            && !dst.is_link_local()
            && (is_flow || self.speaks_for_host())
    }

    /// The same of IPv6 (RFC 4007 section 9).
    pub(super) fn is_transit_v6(&self, ether: &EtherHeader, packet: &ipv6::Packet<'_>) -> bool {
        let is_beyond = |ip: Ipv6Addr| is_host_v6(ip) && !ip.is_unicast_link_local();
        let (src, dst) = (packet.src(), packet.dst());
        let is_flow = matches!(packet.bytes().get(6), Some(6 | 17));
        self.transits.is_some()
            && station(ether) == self.station
            && is_beyond(src)
            && is_beyond(dst)
            && (is_flow || self.speaks_for_host())
    }

    /// Keeps a packet for who forwards it.
    pub(super) fn take_transit<E: Env>(&mut self, env: &mut E, frame: Frame<'_>) {
        // Both are parts of one frame: the header, a tag if there was one, the packet.
        let ahead = frame
            .payload
            .as_ptr()
            .addr()
            .wrapping_sub(frame.ether.as_ptr().addr());
        let ahead = u16::try_from(ahead).ok().filter(|ahead| *ahead <= frame.offset);
        let ahead = ahead.unwrap_or(frame.offset);
        let transit = Transit {
            buf: frame.buf,
            offset: frame.offset,
            len: u16::try_from(frame.payload.len()).unwrap_or(u16::MAX),
            ahead,
            checksum: frame.checksum.behind(ahead),
        };
        let counters = &mut self.shared.counters;
        match self.transits.as_mut().map(|transits| transits.push(transit)) {
            Some(Ok(())) => counters.rx_forward += 1,
            Some(Err(buf)) => {
                counters.rx_forward_no_room += 1;
                env.free_rx(buf);
            }
            None => {}
        }
    }

    /// Sends a packet of another host's on, out of this link, one hop older. The device reads its bytes until the ticket is
    /// done.
    ///
    /// # Errors
    /// Why it was not sent; nothing has become of it.
    #[inline]
    pub fn forward<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        passing: &Passing<'_>,
    ) -> Result<TxTicket, NotForwarded> {
        let sent = match passing.bytes.first().map(|first| first >> 4) {
            Some(4) => self.forward_v4(env, now, passing),
            Some(6) => self.forward_v6(env, now, passing),
            _ => Err(NotForwarded::Malformed),
        };
        self.shared.counters.forwarded += u64::from(sent.is_ok());
        sent
    }

    #[inline]
    fn forward_v4<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        passing: &Passing<'_>,
    ) -> Result<TxTicket, NotForwarded> {
        let packet = ipv4::Packet::parse(passing.bytes).map_err(|_| NotForwarded::Malformed)?;
        if packet.ttl() <= 1 {
            return Err(NotForwarded::HopLimit);
        }
        let Interface {
            mac,
            mtu,
            tx_checksum,
            ..
        } = self.shared.interface;
        let NextHop::Neighbor(hop) = self.shared.next_hop_v4(packet.dst()) else {
            return Err(NotForwarded::NoRoute);
        };
        let is_long = packet.bytes().len() > mtu.into();
        // One with options is not cut: some of these would have to be in each part, and others must not.
        if is_long && (packet.dont_fragment() || packet.header_len() > ipv4::HEADER_LEN) {
            return Err(NotForwarded::TooLong { mtu });
        }
        let dst = station_of(self.shared.neighbors.lookup(hop, now))?;
        let ether = ether(dst, mac, EtherType::Ipv4);
        let mut header = [0; LONGEST_HEADER];
        let header = header
            .get_mut(..packet.header_len())
            .ok_or(NotForwarded::Malformed)?;
        header.copy_from_slice(packet.header());
        ipv4::take_hop(header.first_chunk_mut().ok_or(NotForwarded::Malformed)?);
        let passing = Passing {
            bytes: packet.bytes(),
            ..*passing
        };
        if is_long {
            return passing.send_in_fragments(env, &ether, header, mtu);
        }
        passing.send(env, &ether, header, tx_checksum)
    }

    fn forward_v6<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        passing: &Passing<'_>,
    ) -> Result<TxTicket, NotForwarded> {
        let packet = ipv6::Packet::parse(passing.bytes).ok_or(NotForwarded::Malformed)?;
        if packet.hop_limit() <= 1 {
            return Err(NotForwarded::HopLimit);
        }
        let ipv6 = self.shared.ipv6.as_mut().ok_or(NotForwarded::NoRoute)?;
        let hop = ipv6.next_hop(packet.dst(), now).ok_or(NotForwarded::NoRoute)?;
        let mtu = ipv6.mtu;
        if packet.bytes().len() > mtu.into() {
            return Err(NotForwarded::TooLong { mtu });
        }
        let dst = station_of(ipv6.neighbors.lookup(hop, now))?;
        let interface = &self.shared.interface;
        let ether = ether(dst, interface.mac, EtherType::Ipv6);
        let mut header = *packet.bytes().first_chunk().ok_or(NotForwarded::Malformed)?;
        ipv6::take_hop(&mut header);
        let passing = Passing {
            bytes: packet.bytes(),
            ..*passing
        };
        passing.send(env, &ether, &header, interface.tx_checksum)
    }

    /// Sends a frame as it is out of this link, whatever it carries: `ether`, then the rest.
    ///
    /// # Errors
    /// [`NotForwarded::RingFull`], [`NotForwarded::Malformed`], or `TooLong`: nothing has become of it.
    #[inline]
    pub fn bridge<E: Env>(
        &mut self,
        env: &mut E,
        ether: &EtherHeader,
        rest: &Passing<'_>,
    ) -> Result<TxTicket, NotForwarded> {
        let Interface { mtu, tx_checksum, .. } = self.shared.interface;
        // A tag more is no packet of the link's.
        if rest.bytes.len() > usize::from(mtu) + vlan::TAG_LEN {
            return Err(NotForwarded::TooLong { mtu });
        }
        let sent = rest.send(env, ether, &[], tx_checksum);
        self.shared.counters.bridged += u64::from(sent.is_ok());
        sent
    }

    /// Counts a packet that came by this link, from `station`, and was dropped instead of being forwarded; its sender is told
    /// why, where that is right (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4).
    #[cold]
    pub fn refuse_transit<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        station: MacAddr,
        bytes: &[u8],
        why: NotForwarded,
    ) {
        self.count_not_forwarded(why);
        if bytes.first().is_some_and(|first| first >> 4 == 4) {
            self.complain_v4(env, now, station, bytes, why);
        } else {
            self.complain_v6(env, now, station, bytes, why);
        }
    }

    /// Counts a frame that came by this link and was dropped instead of being bridged.
    #[cold]
    pub fn count_not_forwarded(&mut self, why: NotForwarded) {
        let counters = &mut self.shared.counters;
        *match why {
            NotForwarded::HopLimit => &mut counters.forward_hop_limit,
            NotForwarded::NoRoute => &mut counters.forward_no_route,
            NotForwarded::Unresolved | NotForwarded::Unreached => &mut counters.forward_unreached,
            NotForwarded::TooLong { .. } => &mut counters.forward_too_long,
            NotForwarded::RingFull => &mut counters.forward_ring_full,
            NotForwarded::Malformed => &mut counters.forward_malformed,
        } += 1;
    }

    fn complain_v4<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        station: MacAddr,
        bytes: &[u8],
        why: NotForwarded,
    ) {
        let unreachable = |code| (DESTINATION_UNREACHABLE, code);
        let error = match why {
            NotForwarded::HopLimit => ((TIME_EXCEEDED, 0), 0),
            NotForwarded::NoRoute => (unreachable(icmpv4::NETWORK_UNREACHABLE), 0),
            NotForwarded::Unreached => (unreachable(icmpv4::HOST_UNREACHABLE), 0),
            NotForwarded::TooLong { mtu } => (unreachable(FRAGMENTATION_NEEDED), mtu),
            _ => return,
        };
        let Ok(packet) = ipv4::Packet::parse(bytes) else {
            return;
        };
        let is_error = packet.protocol() == Protocol::Icmp && icmpv4::is_error(packet.payload());
        if is_error || packet.place().0 != 0 || !self.icmp_errors.allows(now) {
            return;
        }
        let interface = self.shared.interface;
        self.answer_icmp(env, |out| {
            v4::emit_not_forwarded(error, &packet, station, &interface, out)
        });
    }

    fn complain_v6<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        station: MacAddr,
        bytes: &[u8],
        why: NotForwarded,
    ) {
        let error = match why {
            NotForwarded::HopLimit => icmpv6::Error::HopLimitExceeded,
            NotForwarded::NoRoute => icmpv6::Error::NoRoute,
            NotForwarded::Unreached => icmpv6::Error::AddressUnreachable,
            NotForwarded::TooLong { mtu } => icmpv6::Error::PacketTooBig { mtu: mtu.into() },
            _ => return,
        };
        let (Some(packet), Some(ipv6)) = (ipv6::Packet::parse(bytes), &self.shared.ipv6) else {
            return;
        };
        // Types below 128 are errors (RFC 4443 section 2.1).
        let is_error = matches!(packet.content(), Ok(Content::Upper { protocol, offset })
            if protocol == ipv6::Protocol::Icmpv6 && bytes.get(offset).is_none_or(|kind| *kind < 128));
        let Some(src) = ipv6.addresses.source_for(packet.src(), now) else {
            return;
        };
        if is_error || !self.icmp_errors.allows(now) {
            return;
        }
        let way = v6::Way {
            src_mac: self.shared.interface.mac,
            dst_mac: station,
            src,
            dst: packet.src(),
        };
        self.answer_icmp(env, |out| v6::emit_error(&way, error, packet.bytes(), out));
    }
}

fn station_of(lookup: Lookup) -> Result<MacAddr, NotForwarded> {
    match lookup {
        Lookup::Known(mac) => Ok(mac),
        Lookup::Pending => Err(NotForwarded::Unresolved),
        Lookup::Full => Err(NotForwarded::Unreached),
    }
}

fn ether(dst: MacAddr, src: MacAddr, ether_type: EtherType) -> EtherHeader {
    let mut out = [0; ethernet::HEADER_LEN];
    ethernet::Header { dst, src, ether_type }.emit(&mut out);
    out
}
