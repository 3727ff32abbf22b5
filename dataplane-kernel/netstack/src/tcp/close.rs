//! The end of a flow: CLOSE and ABORT (RFC 9293 sections 3.10.4 and 3.10.5), TIME-WAIT, and what is left for the app to
//! be told.

use super::Shared;
use super::flow::{EndReason, Flow, Marks, State};
use super::listener::Pending;
use super::scoreboard::NONE;
use crate::{Env, Error, Instant};

impl Flow {
    /// The app sends no more, and if `wants_no_more` takes no more either.
    ///
    /// # Errors
    /// `Closed` if it has said so before.
    pub(crate) fn close<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        wants: Wants,
    ) -> Result<(), Error> {
        let already = match wants {
            Wants::Nothing => Marks::CLOSED_BY_APP,
            Wants::ToReceive => Marks::CLOSED_BY_APP.or(Marks::FIN_QUEUED),
        };
        if self.marks.has_any(already) {
            return Err(Error::Closed);
        }
        if wants == Wants::Nothing {
            self.marks.set(Marks::CLOSED_BY_APP);
            self.marks.clear(Marks::TELL_EOF);
            self.drop_received(shared, env);
        }
        match self.state {
            State::SynSent if wants == Wants::Nothing && self.snd_end == self.iss + 1 => {
                self.end(shared, env, EndReason::Because(Error::Aborted));
            }
            // Section 3.10.4: queued until the handshake is over.
            State::SynSent | State::SynReceived => self.queue_fin(shared, self.state),
            State::Established => self.queue_fin(shared, State::FinWait1),
            State::CloseWait => self.queue_fin(shared, State::LastAck),
            State::FinWait2 if wants == Wants::Nothing => {
                self.linger_at = now.after_ns(shared.tuning.fin_wait_2_ns);
                self.arm(shared, self.linger_at);
            }
            _ => {}
        }
        Ok(())
    }

    fn queue_fin(&mut self, shared: &mut Shared, state: State) {
        self.state = state;
        self.marks.set(Marks::FIN_QUEUED);
        self.make_dirty(shared);
    }

    /// Frees what has come in order and the app has not fetched.
    pub(crate) fn drop_received<E: Env>(&mut self, shared: &mut Shared, env: &mut E) {
        while let Some(index) = shared.rx.pop_front(&mut self.received) {
            let len = shared.rx.meta(index).len;
            env.free_rx(shared.rx.give_back(index));
            self.held_bytes = self.held_bytes.saturating_sub(len.into());
            self.held_buffers = self.held_buffers.saturating_sub(1);
        }
    }

    /// Resets the connection.
    pub(crate) fn abort<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        if !matches!(self.state, State::Closed | State::SynSent | State::TimeWait) {
            self.transmit_reset(shared, env, now);
        }
        if self.state != State::Closed {
            shared.counters.tcp_aborted += 1;
            self.end(shared, env, EndReason::Because(Error::Aborted));
        }
    }

    /// Aborts a connection the app has not accepted; it hears no more of it.
    pub(crate) fn abort_unaccepted<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        self.marks.clear(Marks::TELL_OPEN.or(Marks::OFFERED));
        self.abort(shared, env, now);
        self.drop_received(shared, env);
        self.marks.clear(Marks::TELL_DEAD);
        self.marks.set(Marks::DETACHED);
    }

    /// Both sides are done and this one need not wait.
    pub(crate) fn end_in_order<E: Env>(&mut self, shared: &mut Shared, env: &mut E) {
        shared.counters.tcp_closed += 1;
        self.end(shared, env, EndReason::InOrder);
    }

    /// RFC 9293 section 3.6: this side closed first. The app is told that it is over; the flow stays, to answer what is
    /// still on its way.
    pub(crate) fn enter_time_wait(&mut self, shared: &mut Shared, now: Instant) {
        self.state = State::TimeWait;
        self.shrink_window(shared, 0);
        self.end_pacing(shared);
        self.rto_at = Instant::FAR;
        if self.board != NONE {
            self.drop_board(shared);
        }
        shared.counters.tcp_closed += 1;
        shared.counters.flows_time_wait += 1;
        if !self.marks.has(Marks::ON_TIME_WAIT) {
            self.marks.set(Marks::ON_TIME_WAIT);
            shared.time_wait.push(self.index);
        }
        self.end_reason = EndReason::InOrder;
        self.marks.set(Marks::TELL_DEAD);
        self.make_ready(shared);
        self.restart_time_wait(shared, now);
    }

    pub(crate) fn restart_time_wait(&mut self, shared: &mut Shared, now: Instant) {
        self.linger_at = now.after_ns(shared.tuning.time_wait_ns);
        self.arm(shared, self.linger_at);
    }

    /// The connection is over. The slot stays until the app knows; whoever calls this lets [`crate::Stack`] see to it.
    pub(crate) fn end<E: Env>(&mut self, shared: &mut Shared, env: &mut E, reason: EndReason) {
        if self.state == State::TimeWait {
            shared.counters.flows_time_wait -= 1;
        } else {
            self.end_reason = reason;
        }
        self.state = State::Closed;
        self.shrink_window(shared, 0);
        self.end_pacing(shared);
        self.drop_beyond(shared, env);
        self.send.clear(&mut shared.spans);
        if self.board != NONE {
            self.drop_board(shared);
        }
        self.leave_backlog(shared);
        let deadlines = [
            &mut self.rto_at,
            &mut self.delayed_ack_at,
            &mut self.keepalive_at,
            &mut self.linger_at,
        ];
        deadlines.into_iter().for_each(|at| *at = Instant::FAR);
        if self.marks.has(Marks::DETACHED) {
            return;
        }
        if self.marks.has(Marks::CLOSED_BY_APP) {
            self.drop_received(shared, env);
        }
        if self.marks.has_any(Marks::ATTACHED.or(Marks::OFFERED)) {
            self.marks.set(Marks::TELL_DEAD);
        } else if self.marks.has(Marks::PASSIVE) {
            self.marks.clear(Marks::TELL_OPEN);
            self.marks.set(Marks::DETACHED);
            self.drop_received(shared, env);
        } else {
            self.marks.set(Marks::TELL_OPEN);
        }
        self.make_ready(shared);
    }

    pub(crate) fn leave_backlog(&mut self, shared: &mut Shared) {
        let (slot, generation) = (self.listener, self.listener_generation);
        if self.marks.take(Marks::IN_BACKLOG) {
            shared.listeners.leave(slot, generation, Pending::HalfOpen);
        } else if self.marks.take(Marks::AWAITS_ACCEPT) {
            shared.listeners.leave(slot, generation, Pending::Waiting);
        }
    }

    /// Nobody needs the slot any more.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Closed && self.marks.has(Marks::DETACHED.or(Marks::LIVE))
    }
}

/// What an app that closes still wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// CLOSE.
    Nothing,
    /// A half close.
    ToReceive,
}
