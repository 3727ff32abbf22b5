//! What a segment brings, its text and the FIN behind it (RFC 9293 section 3.10.7.4, seventh and eighth).

use super::Shared;
use super::flow::{EndReason, Flow, Marks, State};
use super::receive::Arrival;
use crate::seq::SeqNum;
use crate::wire::tcp::Flags;
use crate::{BufId, Env, Error, Instant};

impl Flow {
    /// Seventh and eighth: the data and where the FIN stands.
    pub(crate) fn take_segment_data<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        let segment = arrival.segment;
        if !self.state.may_receive() {
            // After the peer's FIN there is no data; whatever this is, tell where we are.
            if segment.sequence_len() > 0 {
                self.ack_now(shared);
            }
            return Some(arrival.buf);
        }
        if self.marks.has(Marks::FIN_AHEAD) && segment.sequence_len() > 0 {
            // There is a gap, whether or not this fills it.
            self.ack_now(shared);
        }
        if segment.flags.contains(Flags::FIN) {
            let at = segment.seq + (segment.sequence_len() - 1);
            self.note_fin(at);
        }
        if segment.payload.is_empty() {
            return Some(arrival.buf);
        }
        if self.marks.has(Marks::CLOSED_BY_APP) {
            return self.discard_data(shared, env, now, arrival);
        }
        self.reassemble(shared, env, arrival)
    }

    /// Data for an app that has closed. As long as ours is being delivered it is swallowed; after that RFC 9293 section
    /// 3.6.1 wants a reset, so that the peer knows it was lost.
    fn discard_data<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        let segment = arrival.segment;
        let end = segment.seq + u32::try_from(segment.payload.len()).unwrap_or(0);
        if !end.after(self.rcv_nxt) {
            self.ack_now(shared);
        } else if self.state == State::FinWait2 {
            self.transmit_reset(shared, env, now);
            self.end(shared, env, EndReason::Because(Error::Closed));
        } else if segment.seq.at_or_before(self.rcv_nxt) {
            self.rcv_nxt = end;
            self.ack_now(shared);
        }
        Some(arrival.buf)
    }

    /// The peer's FIN is in the segment, whether or not all before it has come. The first one counts.
    fn note_fin(&mut self, at: SeqNum) {
        if !self.marks.has(Marks::FIN_AHEAD) && at.at_or_after(self.rcv_nxt) {
            self.marks.set(Marks::FIN_AHEAD);
            self.fin_seq = at;
        }
    }

    /// Eighth: the FIN, once all before it has been taken.
    pub(crate) fn check_fin<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        if !self.marks.has(Marks::FIN_AHEAD) {
            return;
        }
        if self.rcv_nxt != self.fin_seq {
            return self.ack_now(shared);
        }
        self.marks.clear(Marks::FIN_AHEAD);
        self.drop_beyond(shared, env);
        self.rcv_nxt += 1;
        if self.state == State::Established {
            // An app that closes now lets its FIN take the ACK along.
            self.owe_ack(shared);
        } else {
            self.ack_now(shared);
        }
        if !self.marks.has(Marks::CLOSED_BY_APP) {
            self.marks.set(Marks::TELL_EOF);
            self.make_ready(shared);
        }
        match self.state {
            State::Established => self.state = State::CloseWait,
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(shared, now),
            _ => {}
        }
    }
}
