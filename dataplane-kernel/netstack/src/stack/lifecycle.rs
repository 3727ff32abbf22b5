//! Flows come and go: what concerns the table, and not one flow alone.

use super::Stack;
use crate::ends::Ends;
use crate::seq::SeqNum;
use crate::tcp::close::Wants;
use crate::tcp::flow::{EndReason, Marks, State};
use crate::tcp::tuple::{Ports, Tuple};
use crate::wire::tcp::Segment;
use crate::{Env, Error, Instant};
use core::net::Ipv4Addr;

impl Stack {
    /// The app is gone: its connections are closed in order, those it has not accepted are reset.
    pub fn close_all<E: Env>(&mut self, env: &mut E, now: Instant) {
        self.for_each_live(|stack, slot| {
            let Stack { flows, shared, .. } = stack;
            let flow = flows.at(slot);
            if flow.marks.has(Marks::ATTACHED) {
                // Closed already is as good.
                let _ = flow.close(shared, env, now, Wants::Nothing);
            } else {
                flow.abort(shared, env, now);
            }
            stack.settle(env, slot);
        });
    }

    /// Resets every connection that is not over.
    pub fn abort_all<E: Env>(&mut self, env: &mut E, now: Instant) {
        self.for_each_live(|stack, slot| {
            stack.flows.at(slot).abort(&mut stack.shared, env, now);
            stack.settle(env, slot);
        });
    }

    /// Ends every connection from an address that is ours no more: a reset could not come from it either.
    pub(super) fn end_flows_from<E: Env>(&mut self, env: &mut E, address: Ipv4Addr) {
        self.for_each_live(|stack, slot| {
            let Stack { flows, shared, .. } = stack;
            let flow = flows.at(slot);
            let is_from = matches!(shared.ends(&flow.tuple), Ends::V4 { local, .. } if local == address);
            if is_from && flow.state != State::Closed {
                shared.counters.tcp_address_lost += 1;
                flow.end(shared, env, EndReason::Because(Error::AddressNotAvailable));
                stack.settle(env, slot);
            }
        });
    }

    /// `true` while a peer has not acknowledged all that was sent to it, the FIN included.
    pub fn has_unfinished_flows(&mut self) -> bool {
        let unfinished = [State::FinWait1, State::Closing, State::LastAck];
        (0..self.flows.capacity()).any(|slot| unfinished.contains(&self.flows.at(slot).state))
    }

    fn for_each_live(&mut self, mut each: impl FnMut(&mut Self, u32)) {
        for slot in 0..self.flows.capacity() {
            if self.flows.at(slot).marks.has(Marks::LIVE) {
                each(self, slot);
            }
        }
    }

    /// The flow of this tuple.
    #[inline(always)]
    pub(super) fn find_flow(&self, tuple: &Tuple) -> Option<u32> {
        self.flows.find(self.shared.secrets.place(tuple), tuple)
    }

    /// The slot of a fresh flow. In a full table the oldest one in TIME-WAIT makes way.
    pub(super) fn create_flow<E: Env>(&mut self, env: &mut E, ends: &Ends, ports: Ports) -> Option<u32> {
        if self.flows.is_full() {
            self.recycle_time_wait(env);
        }
        let tuple = self.shared.name(ends, ports)?;
        let hash = self.shared.secrets.place(&tuple);
        let created = self.flows.create(hash, tuple).map(|flow| flow.index);
        if created.is_none() {
            self.shared.unname(&tuple);
        }
        created
    }

    /// Frees the slot if nobody needs it any more.
    #[inline(never)]
    pub(super) fn settle<E: Env>(&mut self, env: &mut E, slot: u32) {
        let flow = self.flows.at(slot);
        if flow.is_over() {
            self.release(env, slot);
        }
    }

    fn release<E: Env>(&mut self, env: &mut E, slot: u32) {
        let flow = self.flows.at(slot);
        flow.drop_received(&mut self.shared, env);
        flow.wheel_at = Instant::FAR;
        self.shared.wheel.cancel(slot);
        let tuple = flow.tuple;
        self.flows.remove(self.shared.secrets.place(&tuple), slot);
        self.shared.unname(&tuple);
    }

    /// Keeps the number of flows in TIME-WAIT within its bound.
    #[inline(never)]
    pub(super) fn bound_time_wait<E: Env>(&mut self, env: &mut E) {
        while self.shared.counters.flows_time_wait > u64::from(self.shared.tuning.max_time_wait)
            && self.recycle_time_wait(env)
        {}
    }

    /// Ends the oldest flow in TIME-WAIT; `false` if there is none.
    fn recycle_time_wait<E: Env>(&mut self, env: &mut E) -> bool {
        while let Some(slot) = self.shared.time_wait.pop() {
            let flow = self.flows.at(slot);
            flow.marks.clear(Marks::ON_TIME_WAIT);
            if flow.state == State::TimeWait {
                self.shared.counters.tcp_time_wait_recycled += 1;
                self.end_time_wait(env, slot);
                return true;
            }
        }
        false
    }

    /// A segment has come for a flow that is over: if it begins another one between the same ends, the old one goes out of the
    /// way, whether or not the app has heard of its end. Gives where its numbers ended.
    #[cold]
    #[inline(never)]
    pub(super) fn make_way<E: Env>(
        &mut self,
        env: &mut E,
        slot: u32,
        segment: &Segment<'_>,
    ) -> Option<SeqNum> {
        let flow = self.flows.at(slot);
        let ends =
            segment.is_open() && (flow.state == State::Closed || flow.is_reopened_by(&self.shared, segment));
        if !ends {
            return None;
        }
        let (last, is_closed, place) = (
            flow.snd_max,
            flow.state == State::Closed,
            self.shared.secrets.place(&flow.tuple),
        );
        self.flows.hide(place, slot);
        if !is_closed {
            self.end_time_wait(env, slot);
        }
        Some(last)
    }

    /// TIME-WAIT is over early; if the app has not been told yet the slot stays till then.
    pub(super) fn end_time_wait<E: Env>(&mut self, env: &mut E, slot: u32) {
        self.flows.at(slot).end(&mut self.shared, env, EndReason::InOrder);
        self.settle(env, slot);
    }
}
