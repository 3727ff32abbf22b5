//! Time: retransmissions, delayed acknowledgements, ARP, the app's timers.

use super::Stack;
use crate::dhcp::Role;
use crate::ipv6::Ipv6;
use crate::tcp::flow::{EndReason, Marks, State};
use crate::{Env, Error, Instant};
use core::net::IpAddr;

/// How long a flow uses a hardware address without looking it up again.
const NEIGHBOR_EPOCH_NS: u64 = 1_000_000_000;

impl Stack {
    /// Does what is due. To be called once per cycle.
    #[inline]
    pub fn on_timer<E: Env>(&mut self, env: &mut E, now: Instant) {
        self.shared.wheel.advance(now);
        while let Some(slot) = self.shared.wheel.pop_due() {
            self.flows.at(slot).on_timer(&mut self.shared, env, now);
            self.settle(env, slot);
        }
        self.timers.advance(now);
        if now >= self.shared.neighbor_epoch_ends {
            self.shared.neighbor_epoch_ends = now.after_ns(NEIGHBOR_EPOCH_NS);
            self.shared.new_neighbor_epoch();
        }
        self.shared.neighbors.on_timer(now);
        while let Some(ip) = self.shared.neighbors.poll_failure() {
            self.udp.on_unreachable(ip.into());
            self.fail_unresolved(env, ip.into(), now);
        }
        if self.shared.ipv6.is_some() {
            self.on_timer_v6(env, now);
        }
        if now >= self.reassembly_ends {
            self.expire_fragments(env, now);
        }
        self.retry_held();
    }

    /// Nobody answers for `neighbor`: connections that were to be opened through it fail; those that are open go on
    /// trying, as their retransmission timers say.
    pub(super) fn fail_unresolved<E: Env>(&mut self, env: &mut E, neighbor: IpAddr, now: Instant) {
        for _ in 0..self.shared.unresolved.len() {
            let Some(slot) = self.shared.unresolved.pop() else {
                return;
            };
            let flow = self.flows.at(slot);
            if self.shared.next_hop(&flow.tuple, now) != Some(neighbor) {
                self.shared.unresolved.push(slot);
                continue;
            }
            flow.marks.clear(Marks::ON_UNRESOLVED);
            if flow.state == State::SynSent {
                flow.end(&mut self.shared, env, EndReason::Because(Error::Unreachable));
                self.settle(env, slot);
            }
        }
    }

    /// When [`Stack::on_timer`] has something to do next; `None` if nothing waits for time to pass.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.shared.wheel.next_deadline(),
            self.timers.next_deadline(),
            self.shared.neighbors.next_deadline(),
            self.shared.ipv6.as_ref().and_then(Ipv6::next_deadline),
            self.reassembly.next_deadline(),
            self.udp.groups().next_deadline(),
            self.dhcp.as_ref().and_then(Role::next_deadline),
        ];
        deadlines.into_iter().flatten().min()
    }
}
