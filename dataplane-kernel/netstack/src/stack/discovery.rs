//! Neighbour discovery: its messages in and out (RFC 4861), and what waits for them.

use super::Stack;
use super::ingress::station_from;
use super::ingress_v6::Incoming;
use crate::icmp::v6::{self, Way};
use crate::ipv6::{Ipv6, Question};
use crate::wire::ethernet::MacAddr;
use crate::wire::ndp::Message;
use crate::{Env, Instant};
use core::net::Ipv6Addr;

impl Stack {
    /// A message of neighbour discovery.
    pub(super) fn receive_discovery<E: Env>(
        &mut self,
        env: &mut E,
        now: Instant,
        incoming: &Incoming<'_>,
        body: &[u8],
    ) {
        let packet = &incoming.packet;
        let src = packet.src();
        let message = Message::parse(body, src, packet.dst(), packet.hop_limit());
        let (Some(message), Some(ipv6)) = (message, &mut self.shared.ipv6) else {
            self.shared.counters.rx_nd_invalid += 1;
            return;
        };
        self.shared.counters.rx_nd += 1;
        let from = station_from(incoming.ether);
        if from == self.shared.interface.mac {
            return; // our own, come back
        }
        let heard = ipv6.receive(src, &message, now);
        self.shared.new_neighbor_epoch();
        if heard.is_conflict {
            self.shared.counters.nd_conflicts += 1;
        }
        if let Some(answer) = heard.answer
            && self.speaks_for_host()
        {
            let dst_mac = if answer.to.is_multicast() {
                MacAddr::of_group_v6(answer.to)
            } else {
                from
            };
            let way = self.way(answer.target, answer.to, dst_mac);
            self.send_nd(env, |out| v6::emit_advertisement(&way, answer.target, out));
        }
        if let Some(ip) = heard.resolved {
            self.udp.on_resolved(ip.into());
            self.retry_unresolved();
        }
    }

    /// Sends the questions there are, as far as the transmit ring takes them.
    #[inline(never)]
    pub(super) fn ask_neighbors_v6<E: Env>(&mut self, env: &mut E, now: Instant) {
        while env.begin_tx().is_some() {
            let Some(ipv6) = &mut self.shared.ipv6 else { return };
            let Some(question) = ipv6.poll_question(now) else {
                return;
            };
            let Some(src) = source_of(ipv6, question, now) else {
                continue; // our address is gone: nobody waits for the answer
            };
            if !matches!(question, Question::Neighbor { .. }) && !self.speaks_for_host() {
                continue; // another core asks, and all hear the answer
            }
            if let Question::Probe(_) = question {
                // RFC 4862 section 5.4.2: its group is joined before.
                self.udp.groups_mut().tell_own(now);
            }
            let way = self.way(src, question.destination(), question.station());
            self.send_nd(env, |out| match question {
                Question::Probe(target) | Question::Neighbor { target, .. } => {
                    v6::emit_solicitation(&way, target, out)
                }
                Question::Routers => v6::emit_router_solicitation(&way, out),
            });
        }
    }

    /// What is due in IPv6.
    #[inline(never)]
    pub(super) fn on_timer_v6<E: Env>(&mut self, env: &mut E, now: Instant) {
        if let Some(ipv6) = &mut self.shared.ipv6 {
            ipv6.on_timer(now);
        }
        while let Some(ip) = self.shared.ipv6.as_mut().and_then(Ipv6::poll_failure) {
            self.udp.on_unreachable(ip.into());
            self.fail_unresolved(env, ip.into(), now);
        }
    }

    fn way(&self, src: Ipv6Addr, dst: Ipv6Addr, dst_mac: MacAddr) -> Way {
        Way {
            src_mac: self.shared.interface.mac,
            dst_mac,
            src,
            dst,
        }
    }

    fn send_nd<E: Env>(&mut self, env: &mut E, emit: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let sent = self.answer(env, emit);
        self.shared.counters.tx_nd += u64::from(sent);
    }
}

/// Whom a question is from: of an address that is not ours yet, from nobody (RFC 4862 section 5.4.2).
fn source_of(ipv6: &Ipv6, question: Question, now: Instant) -> Option<Ipv6Addr> {
    match question {
        Question::Probe(_) => Some(Ipv6Addr::UNSPECIFIED),
        Question::Neighbor { .. } | Question::Routers => {
            ipv6.addresses.source_for(question.destination(), now)
        }
    }
}
