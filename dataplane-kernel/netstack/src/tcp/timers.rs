//! Deadlines. A flow has several and one timer: it is set for the earliest, and moved only when a deadline comes before
//! it. A deadline that is put off or dropped leaves the timer where it is; when that goes off, it is set anew. So a busy
//! flow, whose deadlines only ever move on, does not touch the wheel.

use super::Shared;
use super::flow::{EndReason, Flow, Marks, State};
use crate::{Env, Error, Instant};
use core::time::Duration;

impl Flow {
    /// The timer goes off no later than `at`.
    #[inline]
    pub(crate) fn arm(&mut self, shared: &mut Shared, at: Instant) {
        if at < self.wheel_at {
            self.wheel_at = at;
            shared.wheel.arm(self.index, at);
        }
    }

    /// The timer has gone off.
    pub(crate) fn on_timer<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        self.wheel_at = Instant::FAR;
        if now >= self.delayed_ack_at {
            self.delayed_ack_at = Instant::FAR;
            if self.marks.has(Marks::ACK_DELAYED) {
                shared.counters.tcp_delayed_acks += 1;
                self.ack_now(shared);
            }
        }
        if now >= self.rto_at {
            self.rto_at = Instant::FAR;
            if self.marks.take(Marks::PROBE_TIMEOUT) {
                self.on_probe_timeout(shared, now);
            } else {
                self.on_rto(shared, env, now);
            }
        }
        let look_at = self.look_for_losses(shared, now);
        let pace_at = if self.marks.has(Marks::PACED) {
            self.look_at_pace(shared, now)
        } else {
            Instant::FAR
        };
        if now >= self.keepalive_at {
            self.on_keepalive(shared, env, now);
        }
        if now >= self.linger_at {
            self.linger_at = Instant::FAR;
            self.on_linger_over(shared, env);
        }
        let next = self
            .rto_at
            .min(self.delayed_ack_at)
            .min(self.keepalive_at)
            .min(self.linger_at)
            .min(look_at)
            .min(pace_at);
        if next != Instant::FAR {
            self.arm(shared, next);
        }
    }

    /// The time of RACK's: what might have been reordered is lost (RFC 8985 section 6.2). Gives when to look again.
    fn look_for_losses(&mut self, shared: &mut Shared, now: Instant) -> Instant {
        let Some((board, _)) = shared.boards.get(self.board) else {
            return Instant::FAR;
        };
        if now < board.rack.look_at {
            return board.rack.look_at;
        }
        if self.find_losses_by_time(shared, now) {
            self.enter_recovery(shared, now);
            self.make_dirty(shared);
        }
        shared
            .boards
            .get(self.board)
            .map_or(Instant::FAR, |(board, _)| board.rack.look_at)
    }

    /// An ACK is due, though not at once, and nothing went out that took it along.
    #[inline]
    pub(crate) fn delay_ack(&mut self, shared: &mut Shared, now: Instant) {
        if self.delayed_ack_at == Instant::FAR {
            self.delayed_ack_at = now.after_ns(shared.tuning.delayed_ack_ns);
            self.arm(shared, self.delayed_ack_at);
        }
    }

    /// Switches keepalive on or off (RFC 9293 section 3.8.4: off unless the app asks for it).
    pub(crate) fn set_keepalive(&mut self, shared: &mut Shared, now: Instant, idle: Option<Duration>) {
        let ms = idle.map_or(0, |idle| idle.as_millis().max(1));
        self.keepalive_ms = u32::try_from(ms).unwrap_or(u32::MAX);
        self.keepalive_at = Instant::FAR;
        if self.keepalive_ms != 0 {
            self.heard_at = now;
            self.keepalive_at = now.after_ns(self.keepalive_ns());
            self.arm(shared, self.keepalive_at);
        }
    }

    pub(crate) fn keepalive_ns(&self) -> u64 {
        u64::from(self.keepalive_ms) * 1_000_000
    }

    fn on_keepalive<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        let synchronized = !self.state.is_opening() && !matches!(self.state, State::Closed | State::TimeWait);
        if self.keepalive_ms == 0 || !synchronized {
            self.keepalive_at = Instant::FAR;
            return;
        }
        let idle_ns = self.keepalive_ns();
        let interval_ns = shared.tuning.keepalive_interval_ns;
        if self.snd_una != self.snd_max {
            // Retransmissions ask already.
            self.keepalive_at = now.after_ns(idle_ns);
            return;
        }
        if now.ns_since(self.heard_at) < idle_ns {
            self.unanswered = 0;
        }
        let due = self
            .heard_at
            .after_ns(idle_ns)
            .after_ns(interval_ns.saturating_mul(self.unanswered.into()));
        if now < due {
            // Looked at often enough to notice that the peer has spoken since.
            self.keepalive_at = due.min(now.after_ns(idle_ns));
            return;
        }
        if self.unanswered >= shared.tuning.keepalive_probes {
            shared.counters.tcp_timed_out += 1;
            self.transmit_reset(shared, env, now);
            return self.end(shared, env, EndReason::Because(Error::TimedOut));
        }
        self.unanswered += 1;
        self.marks.set(Marks::PROBE_ALIVE);
        self.keepalive_at = now.after_ns(interval_ns.min(idle_ns));
        self.make_dirty(shared);
    }

    fn on_linger_over<E: Env>(&mut self, shared: &mut Shared, env: &mut E) {
        match self.state {
            State::TimeWait => self.end(shared, env, EndReason::InOrder),
            State::FinWait2 => {
                shared.counters.tcp_timed_out += 1;
                self.end(shared, env, EndReason::Because(Error::TimedOut));
            }
            _ => {}
        }
    }
}
