//! Groups: joining and leaving, routers' questions, and our reports (RFC 2236, RFC 3376, RFC 3810).

use super::Stack;
use crate::ipv6::Ipv6;
use crate::wire::ethernet::{self, EtherType, MacAddr};
use crate::wire::igmp::{self, Change, Query};
use crate::wire::{icmpv6, ipv4, ipv6, ndp};
use crate::{Env, Error, Id, Instant};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The router-alert option of IPv4 (RFC 2113), with which reports go.
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
/// The same of IPv6 (RFC 2711), a whole Hop-by-Hop header in front of ICMPv6.
const ROUTER_ALERT_V6: [u8; 8] = [58, 0, 5, 2, 0, 0, 1, 0];

impl Stack {
    /// Datagrams to `group` and this socket's port are for the socket, too.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid` (no group), `NotSupported` (a family that is not spoken), `NoMemory`.
    pub fn udp_join(&mut self, now: Instant, id: Id, group: IpAddr) -> Result<(), Error> {
        let is_spoken = match group {
            IpAddr::V4(_) => self.speaks_v4(),
            IpAddr::V6(_) => self.shared.ipv6.is_some(),
        };
        if !is_spoken {
            return Err(Error::NotSupported);
        }
        self.udp.join(id, group, now)
    }

    /// They are no more.
    ///
    /// # Errors
    /// `BadHandle`, `Invalid` (it had not joined).
    pub fn udp_leave(&mut self, now: Instant, id: Id, group: IpAddr) -> Result<(), Error> {
        self.udp.leave(id, group, now)
    }

    /// A message of IGMP's.
    pub(super) fn receive_igmp(&mut self, now: Instant, body: &[u8]) {
        match igmp::Message::parse(body) {
            None => self.shared.counters.rx_igmp_malformed += 1,
            Some(message) => {
                self.shared.counters.rx_igmp += 1;
                if let igmp::Message::Query(query) = message {
                    self.on_query(false, query, now);
                }
            }
        }
    }

    /// A query of MLD's: from a router on this link (RFC 3810 section 6.2).
    pub(super) fn receive_mld_query(&mut self, now: Instant, src: Ipv6Addr, hop_limit: u8, body: &[u8]) {
        if let Some(query) = igmp::parse_mld_query(body)
            && src.is_unicast_link_local()
            && hop_limit == 1
        {
            self.on_query(true, query, now);
        }
    }

    fn on_query(&mut self, is_v6: bool, query: Query, now: Instant) {
        let random = self.shared.secrets.random();
        self.udp.groups_mut().on_query(is_v6, query, random, now);
    }

    /// Tells our groups, where that is due.
    #[inline(never)]
    pub(super) fn report_groups<E: Env>(&mut self, env: &mut E, now: Instant) {
        for is_v6 in [false, true] {
            if !self.udp.groups().is_due(is_v6, now) {
                continue;
            }
            let sent = match (is_v6, self.udp.groups().speaks_v2(now)) {
                (true, _) => self.report_v6(env, now),
                (false, false) => self.report_v3(env),
                (false, true) => self.report_v2(env),
            };
            if !sent {
                return; // the transmit ring is full
            }
            self.udp.groups_mut().told(is_v6, now);
        }
    }

    fn report_v3<E: Env>(&mut self, env: &mut E) -> bool {
        if self.udp.groups().records(false).next().is_none() {
            return true;
        }
        let mut message = [0; 1024];
        let len = igmp::emit_report(false, self.udp.groups().records(false), &mut message);
        let message = len.and_then(|len| message.get(..len)).unwrap_or_default();
        self.send_igmp(env, igmp::ROUTERS, message)
    }

    /// RFC 2236 section 3: each group by itself, to the group; that it is left, to all routers.
    fn report_v2<E: Env>(&mut self, env: &mut E) -> bool {
        let mut records = [None; 96];
        for (place, record) in records.iter_mut().zip(self.udp.groups().records(false)) {
            *place = Some(record);
        }
        for (change, group) in records.into_iter().flatten() {
            let IpAddr::V4(group) = group else { continue };
            let mut message = [0; 8];
            igmp::emit_v2(change, group, &mut message);
            let to = if change == Change::Left {
                igmp::ALL_ROUTERS
            } else {
                group
            };
            if !self.send_igmp(env, to, &message) {
                return false;
            }
        }
        true
    }

    fn send_igmp<E: Env>(&mut self, env: &mut E, to: Ipv4Addr, message: &[u8]) -> bool {
        let interface = self.shared.interface;
        let sent = env.begin_tx().and_then(|out| {
            let (link, rest) = out.split_first_chunk_mut()?;
            let (ip, rest) = rest.split_first_chunk_mut()?;
            let (alert, rest) = rest.split_first_chunk_mut()?;
            ethernet::Header {
                dst: MacAddr::of_group(to),
                src: interface.mac,
                ether_type: EtherType::Ipv4,
            }
            .emit(link);
            let header = ipv4::Header {
                src: interface.route.address(),
                dst: to,
                protocol: igmp::PROTOCOL.into(),
                ttl: 1,
                payload_len: u16::try_from(message.len()).ok()?,
            };
            header.emit_with_option(&ROUTER_ALERT, ip);
            *alert = ROUTER_ALERT;
            rest.get_mut(..message.len())?.copy_from_slice(message);
            Some(ethernet::HEADER_LEN + ipv4::HEADER_LEN + ROUTER_ALERT.len() + message.len())
        });
        self.commit_report(env, sent)
    }

    /// RFC 3810 section 5.2.13: from the link-local address, or from nobody before there is one.
    fn report_v6<E: Env>(&mut self, env: &mut E, now: Instant) -> bool {
        let Some(ipv6) = &self.shared.ipv6 else {
            return true;
        };
        let src = ipv6
            .addresses
            .source_for(igmp::ROUTERS_V6, now)
            .unwrap_or(Ipv6Addr::UNSPECIFIED);
        let hop_by_hop = ROUTER_ALERT_V6.len();
        let mut message = [0; 2048];
        let own = own_groups(ipv6).map(|group| (Change::Joined, group.into()));
        let records = own.chain(self.udp.groups().records(true));
        let Some(len) = igmp::emit_report(true, records, &mut message) else {
            return true;
        };
        let Some(message) = message.get_mut(..len) else {
            return true;
        };
        icmpv6::set_checksum(message, src, igmp::ROUTERS_V6);
        let mac = self.shared.interface.mac;
        let sent = env.begin_tx().and_then(|out| {
            let (link, rest) = out.split_first_chunk_mut()?;
            let (ip, rest) = rest.split_first_chunk_mut()?;
            let (alert, rest) = rest.split_first_chunk_mut()?;
            ethernet::Header {
                dst: MacAddr::of_group_v6(igmp::ROUTERS_V6),
                src: mac,
                ether_type: EtherType::Ipv6,
            }
            .emit(link);
            ipv6::Header {
                src,
                dst: igmp::ROUTERS_V6,
                protocol: ipv6::Protocol::Other(0),
                hop_limit: 1,
                payload_len: u16::try_from(hop_by_hop + len).ok()?,
            }
            .emit(ip);
            *alert = ROUTER_ALERT_V6;
            rest.get_mut(..len)?.copy_from_slice(message);
            Some(ethernet::HEADER_LEN + ipv6::HEADER_LEN + hop_by_hop + len)
        });
        self.commit_report(env, sent)
    }

    fn commit_report<E: Env>(&mut self, env: &mut E, len: Option<usize>) -> bool {
        let Some(len) = len else { return false };
        env.commit_tx(len, &[], crate::TxOffload::Complete);
        self.shared.counters.tx_reports += 1;
        true
    }
}

/// The groups of all that may have our addresses (RFC 4861 section 7.2.1: to be joined like any other).
fn own_groups(ipv6: &Ipv6) -> impl Iterator<Item = Ipv6Addr> + use<'_> {
    ipv6.addresses.all().map(ndp::solicited_node)
}
