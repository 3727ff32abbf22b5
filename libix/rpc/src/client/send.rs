//! What goes out, and when.

use super::Client;
use super::call::Progress;
use super::session::{Phase, State};
use crate::table::Session;
use crate::wire::{DATA_BYTES, DELAYED, HEADER_BYTES, Header, Kind};

/// Of a full packet, in bytes.
const PACKET_BYTES: usize = HEADER_BYTES + DATA_BYTES;

impl<R: AsRef<[u8]>> Client<R> {
    /// Sends what there is for this session, as far as credits and its rate allow.
    #[inline]
    pub(super) fn pump(&mut self, now_ns: u64, session: Session) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        if state.phase != Phase::Open {
            return;
        }
        while state.ready != 0 && state.credits > 0 {
            if let Some(at_ns) = state.timely.wait_until(now_ns) {
                self.pacing.set(session, &mut state.pacing, at_ns);
                break;
            }
            // Slots take turns, so that a short message is not behind all of a long one.
            let slot = next_slot(state.ready, state.turn);
            state.turn = slot + 1;
            let header = state.header(Kind::Fetch);
            let peer = state.peer;
            let Some((call, number, times)) = state.call_in(slot) else {
                state.ready &= !(1 << slot);
                continue;
            };
            let step = call.next_step;
            let is_first_time = call.sent(now_ns, times);
            let last = call.last_request_step();
            if step <= last {
                self.outbox.push(peer, &call.request, step);
            } else {
                let header = Header {
                    slot,
                    packet: step - last,
                    number,
                    ..header
                };
                self.outbox.push_header(peer, &header);
            }
            self.counters.sent_again += u64::from(!is_first_time);
            let wait_ns = wait_ns(state.round_trip.timeout_ns(self.retransmit_after_ns), 0);
            if !state
                .call_in(slot)
                .is_some_and(|(call, ..)| call.has_more_to_send())
            {
                state.ready &= !(1 << slot);
            }
            state.credits -= 1;
            // Its answer may be as long as a packet can be, and takes the same way back.
            state.timely.sent(now_ns, PACKET_BYTES);
            self.timeouts.set(session, &mut state.timeout, now_ns + wait_ns);
        }
    }
}

/// The first slot of `ready`, which is not empty, from `turn` on.
#[inline]
fn next_slot(ready: u8, turn: u8) -> u8 {
    let turn = u32::from(turn % 8);
    let place = (ready.rotate_right(turn).trailing_zeros() + turn) % 8;
    u8::try_from(place).unwrap_or(0)
}

/// How long to wait for an answer after so many repetitions.
#[inline]
pub(super) fn wait_ns(timeout_ns: u64, repeats: u32) -> u64 {
    /// Beyond that it does not double any more.
    const MOST_DOUBLINGS: u32 = 5;
    timeout_ns << repeats.min(MOST_DOUBLINGS)
}

impl State {
    /// The call in the slot of `header` has got on by it.
    #[inline]
    pub(super) fn progressed(&mut self, header: &Header, progress: Progress, now_ns: u64) {
        self.heard(now_ns);
        self.credits += progress.credits;
        if let Some(sent_at_ns) = progress.sent_at_ns
            && header.flags & DELAYED == 0
        {
            let round_trip_ns = now_ns.saturating_sub(sent_at_ns);
            self.round_trip.sample(round_trip_ns);
            self.timely.sample(now_ns, round_trip_ns);
        }
        if let Some((call, ..)) = self.call_in(header.slot)
            && call.has_more_to_send()
        {
            self.ready |= 1 << header.slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::next_slot;

    #[test]
    fn slots_take_turns() {
        assert_eq!(
            [0, 1, 2, 3, 7, 8].map(|turn| next_slot(0b0000_0101, turn)),
            [0, 2, 2, 0, 0, 0]
        );
        assert_eq!(next_slot(0b1000_0000, 3), 7);
    }
}
