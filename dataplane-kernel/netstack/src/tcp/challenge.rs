//! Segments that somebody who is not the peer could have sent (RFC 5961): only an exact guess does harm, anything near
//! is answered by a challenge ACK, which a true peer answers rightly.

use super::Shared;
use super::flow::{EndReason, Flow, Marks, State};
use super::secrets::Secrets;
use crate::wire::tcp::Segment;
use crate::{Env, Error, Instant};

const SECOND_NS: u64 = 1_000_000_000;

/// Challenge ACKs of the running second (section 7).
#[derive(Debug)]
pub(crate) struct ChallengeLimit {
    per_second: u32,
    left: u32,
    since: Instant,
}

impl ChallengeLimit {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        ChallengeLimit {
            per_second,
            left: per_second,
            since: now,
        }
    }

    /// Each second has another limit, between half and all of the configured one: with a known one an attacker who is not
    /// on the path could count, on a connection of its own, what others were sent (CVE-2016-5696).
    fn allows(&mut self, now: Instant, secrets: &mut Secrets) -> bool {
        if now.ns_since(self.since) >= SECOND_NS {
            self.since = now;
            let less = ((secrets.random() >> 32) * u64::from(self.per_second / 2 + 1)) >> 32;
            self.left = self.per_second.saturating_sub(u32::try_from(less).unwrap_or(0));
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

impl Flow {
    /// Answers by an ACK that tells where this side is.
    pub(crate) fn challenge(&mut self, shared: &mut Shared, now: Instant) {
        if shared.challenges.allows(now, &mut shared.secrets) {
            shared.counters.tcp_challenge_acks += 1;
            self.ack_now(shared);
        } else {
            shared.counters.tcp_challenge_acks_limited += 1;
        }
    }

    /// An acceptable RST (RFC 5961 section 3.2).
    pub(crate) fn on_reset<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) {
        if segment.seq != self.rcv_nxt {
            self.challenge(shared, now);
            return;
        }
        let reason = match self.state {
            // RFC 1337 section 3: TIME-WAIT is not to be assassinated.
            State::TimeWait => return,
            // Section 3.10.7.4: no complaint when nothing but our FIN was open, of which the peer has lost track.
            State::Closing | State::LastAck if self.snd_una.at_or_after(self.snd_end) => EndReason::InOrder,
            State::SynReceived if !self.marks.has(Marks::PASSIVE) => {
                EndReason::Because(Error::ConnectionRefused)
            }
            _ => EndReason::Because(Error::ConnectionReset),
        };
        shared.counters.tcp_reset_by_peer += 1;
        self.end(shared, env, reason);
    }
}
