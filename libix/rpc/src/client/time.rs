//! What time brings: packets held back go out, unanswered ones are repeated, a silent server is asked, and at last given up.

use super::send::wait_ns;
use super::session::{Phase, State};
use super::{CallError, Client};
use crate::alarms::Alarms;
use crate::table::Session;
use crate::wire::{Kind, SLOTS};

/// So many packets or questions at least go unanswered before a session is given up: an app that did nothing for long has
/// not been silent to by its peers.
const ATTEMPTS: u32 = 3;
/// How often a server is told that a session is closed.
const CLOSE_ATTEMPTS: u32 = 3;

/// What a session wants after a look at it.
enum Next {
    /// To be looked at again then.
    At(u64),
    Connect,
    Close,
    Ping,
    GiveUp(CallError),
}

impl<R: AsRef<[u8]>> Client<R> {
    /// It is `now_ns`: the time of [`Client::next_time`] has come, or any other.
    pub fn on_time(&mut self, now_ns: u64) {
        while let Some((at_ns, session)) = self.pacing.pop(now_ns) {
            if let Some(state) = self.sessions.get_mut(session)
                && Alarms::is_of(&mut state.pacing, at_ns)
            {
                self.pump(now_ns, session);
            }
        }
        while let Some((at_ns, session)) = self.timeouts.pop(now_ns) {
            if let Some(state) = self.sessions.get_mut(session)
                && Alarms::is_of(&mut state.timeout, at_ns)
            {
                self.look_at(now_ns, session);
            }
        }
    }

    fn look_at(&mut self, now_ns: u64, session: Session) {
        let (after, keepalive, patience) =
            (self.retransmit_after_ns, self.keepalive_ns, self.peer_timeout_ns);
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        state.repeat(now_ns, after);
        match state.next(now_ns, after, keepalive, patience) {
            Next::At(at_ns) => self
                .timeouts
                .set(session, &mut state.timeout, at_ns.max(now_ns + 1)),
            Next::GiveUp(reason) => {
                self.end(session, reason);
                return;
            }
            Next::Connect => self.send_connect(now_ns, session),
            Next::Close => self.send_close(now_ns, session),
            Next::Ping => {
                let header = state.header(Kind::Ping);
                self.outbox.push_header(state.peer, &header);
                self.arm_attempt(now_ns, session);
            }
        }
        self.pump(now_ns, session);
    }

    /// A packet that is no part of a call was sent; it will be again, if it is not answered.
    pub(super) fn arm_attempt(&mut self, now_ns: u64, session: Session) {
        let (after, keepalive) = (self.retransmit_after_ns, self.keepalive_ns);
        if let Some(state) = self.sessions.get_mut(session) {
            let wait = match state.phase {
                Phase::Open => keepalive,
                Phase::Connecting { .. } | Phase::Closing => wait_ns(after, state.attempts),
            };
            state.attempts += 1;
            state.attempt_at_ns = now_ns + wait;
            let at_ns = state.attempt_at_ns;
            self.timeouts.set(session, &mut state.timeout, at_ns);
        }
    }
}

impl State {
    /// Rolls back the calls whose answers have not come in time.
    fn repeat(&mut self, now_ns: u64, after_ns: u64) {
        let timeout_ns = self.round_trip.timeout_ns(after_ns);
        for slot in 0..SLOTS {
            let Some((call, ..)) = self.call_in(slot) else {
                continue;
            };
            let in_flight = call.in_flight();
            if in_flight == 0 || now_ns < call.progress_at_ns + wait_ns(timeout_ns, call.repeats) {
                continue;
            }
            let was_worked_on = call.is_worked_on;
            self.credits += call.roll_back(now_ns);
            self.ready |= 1 << slot;
            self.attempts += 1;
            // A single packet without an answer may be one that the server still works on.
            if in_flight > 1 && !was_worked_on {
                self.timely.lost(now_ns);
            }
        }
    }

    fn next(&self, now_ns: u64, after_ns: u64, keepalive_ns: u64, patience_ns: u64) -> Next {
        let is_silent = self.attempts >= ATTEMPTS && now_ns >= self.heard_at_ns.saturating_add(patience_ns);
        match self.phase {
            Phase::Connecting { .. } if is_silent => Next::GiveUp(CallError::NoSession),
            Phase::Open if is_silent => Next::GiveUp(CallError::Gone),
            Phase::Closing if self.attempts >= CLOSE_ATTEMPTS => Next::GiveUp(CallError::Gone),
            Phase::Connecting { .. } if now_ns >= self.attempt_at_ns => Next::Connect,
            Phase::Closing if now_ns >= self.attempt_at_ns => Next::Close,
            Phase::Connecting { .. } | Phase::Closing => Next::At(self.attempt_at_ns),
            Phase::Open => {
                let ping_at_ns = self.attempt_at_ns.max(self.heard_at_ns + keepalive_ns);
                if now_ns >= ping_at_ns {
                    return Next::Ping;
                }
                let timeout_ns = self.round_trip.timeout_ns(after_ns);
                let repeat_at_ns = self
                    .calls()
                    .filter(|call| call.in_flight() > 0)
                    .map(|call| call.progress_at_ns + wait_ns(timeout_ns, call.repeats))
                    .min();
                Next::At(repeat_at_ns.map_or(ping_at_ns, |at_ns| at_ns.min(ping_at_ns)))
            }
        }
    }
}
