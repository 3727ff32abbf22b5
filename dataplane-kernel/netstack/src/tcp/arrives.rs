//! The steps that RFC 9293 section 3.10.7.4 prescribes for a segment, for all segments that header prediction has not
//! dealt with.

use super::Shared;
use super::flow::{Flow, Marks, State};
use super::receive::Arrival;
use crate::wire::tcp::{Flags, Segment};
use crate::{BufId, Env, Instant};

/// A TS.Recent older than this says nothing any more (RFC 7323 section 5.5: 24 days).
const TS_RECENT_VALID_NS: u64 = 24 * 86_400 * 1_000_000_000;

impl Flow {
    /// The steps of section 3.10.7.4, and of 3.10.7.3 in SYN-SENT.
    #[cold]
    #[inline(never)]
    pub(crate) fn segment_arrives<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        match self.state {
            State::Closed => {
                self.refuse_after_the_end(shared, env, now, arrival.segment);
                return Some(arrival.buf);
            }
            State::SynSent => {
                self.segment_arrives_in_syn_sent(shared, env, now, arrival.segment);
                return Some(arrival.buf);
            }
            _ => {}
        }
        if !self.passes_checks(shared, env, now, arrival.segment) {
            return Some(arrival.buf);
        }
        if !self.ack_step(shared, env, now, arrival.segment) || self.state == State::Closed {
            return Some(arrival.buf);
        }
        // Of what brings nothing there is nothing to tell, least of all to a peer that waits for a gap to be filled too:
        // each would answer the other's ACK for ever.
        let brings = arrival.segment.sequence_len() > 0;
        if self.marks.has(Marks::ECN) {
            self.take_mark(shared, env, now, &arrival);
        }
        let kept = self.take_segment_data(shared, env, now, arrival);
        if brings && self.state.may_receive() {
            self.check_fin(shared, env, now);
        }
        kept
    }

    /// First to fourth: sequence number (after PAWS), RST, SYN. `false`: the segment has been dealt with.
    fn passes_checks<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) -> bool {
        let is_reset = segment.flags.contains(Flags::RST);
        if !is_reset && !self.passes_paws(shared, now, segment) {
            return false;
        }
        if !self.is_acceptable(segment) {
            self.answer_unacceptable(shared, env, now, segment);
            return false;
        }
        if is_reset {
            self.on_reset(shared, env, now, segment);
            return false;
        }
        if segment.flags.contains(Flags::SYN) {
            self.challenge(shared, now);
            return false;
        }
        segment.flags.contains(Flags::ACK)
    }

    /// RFC 7323 section 5.3, R1 to R3.
    fn passes_paws(&mut self, shared: &mut Shared, now: Instant, segment: &Segment<'_>) -> bool {
        if !self.marks.has(Marks::TIMESTAMPS) {
            return true;
        }
        // Section 3.2: a segment without the option that was agreed on is dropped.
        let Some(stamps) = segment.timestamps() else {
            return segment.flags.contains(Flags::SYN);
        };
        let age = stamps.value.wrapping_sub(self.ts_recent).cast_signed();
        let is_old = age < 0 && now.ns_since(self.ts_recent_at) < TS_RECENT_VALID_NS;
        if is_old && !segment.flags.contains(Flags::SYN) {
            shared.counters.tcp_paws_dropped += 1;
            self.ack_now(shared);
            return false;
        }
        if segment.seq.at_or_before(self.ack_sent) && !is_old {
            self.ts_recent = stamps.value;
            self.ts_recent_at = now;
        }
        true
    }

    /// The table of section 3.4. What lies beyond the window is cut off later.
    fn is_acceptable(&self, segment: &Segment<'_>) -> bool {
        let (len, window) = (segment.sequence_len(), self.receive_window());
        match (len, window) {
            (0, 0) => segment.seq == self.rcv_nxt,
            (0, _) => segment.seq.is_within(self.rcv_nxt, window),
            // What can be taken of a segment at a closed window is its ACK (section 3.10.7.4).
            (_, 0) => false,
            _ => {
                segment.seq.is_within(self.rcv_nxt, window)
                    || (segment.seq + (len - 1)).is_within(self.rcv_nxt, window)
                    || (segment.seq.before(self.rcv_nxt) && (segment.seq + len).after(self.rcv_nxt + window))
            }
        }
    }

    /// Section 3.10.7.4, first: an ACK for what is outside of the window, but never for a reset.
    fn answer_unacceptable<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) {
        if segment.flags.contains(Flags::RST) {
            return;
        }
        shared.counters.tcp_out_of_window += 1;
        if self.state == State::TimeWait && segment.sequence_len() > 0 {
            // What the peer sends once more, its FIN in the end, says that it has not had our ACK.
            self.restart_time_wait(shared, now);
        }
        if self.state == State::SynReceived && segment.flags.contains(Flags::SYN) && segment.seq == self.irs {
            self.on_repeated_syn(shared, env, now, segment);
            return;
        }
        // RFC 5961 section 4.2: a SYN is challenged wherever its number is, and challenges are limited.
        if segment.sequence_len() > 0 && !segment.flags.contains(Flags::SYN) {
            shared.counters.tcp_duplicate += u64::from(!segment.payload.is_empty());
            let end = segment.seq + u32::try_from(segment.payload.len()).unwrap_or(0);
            if end.at_or_before(self.rcv_nxt) {
                self.note_twice(segment.seq, end);
            }
            self.ack_now(shared);
            self.take_late_ack(shared, env, now, segment);
        } else {
            self.challenge(shared, now);
        }
    }

    /// The peer's SYN once more, before the handshake is over.
    fn on_repeated_syn<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) {
        if segment.flags.contains(Flags::ACK) && !self.marks.has(Marks::PASSIVE) {
            // Section 3.5, figure 8: both have called at once, and this answers our SYN.
            if self.complete_passive_open(shared, env, now, segment) {
                self.snd_wnd = segment.window.into();
                self.ack_now(shared);
            }
        } else {
            // The peer has not had our SYN-ACK.
            self.reconsider_ecn(segment.flags);
            self.snd_nxt = self.iss;
            self.make_dirty(shared);
        }
    }

    /// A closed window drops data and not the ACK that came with it (section 3.10.7.4: "special allowance").
    fn take_late_ack<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) {
        let news = segment.flags.contains(Flags::ACK)
            && !segment.flags.contains(Flags::SYN)
            && segment.seq == self.rcv_nxt
            && !self.state.is_opening()
            && segment.ack.after(self.snd_una)
            && segment.ack.at_or_before(self.snd_max);
        if news {
            self.take_ack_fields(shared, now, segment);
            if self.is_fin_acked() {
                self.on_fin_acked(shared, env, now);
            }
        }
    }

    /// Fifth: the ACK field. `false`: the segment is dropped.
    fn ack_step<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) -> bool {
        if self.state == State::SynReceived && !self.complete_passive_open(shared, env, now, segment) {
            return false;
        }
        // RFC 5961 section 5.2: an ACK too old, or of what was never sent, comes from somebody who guesses.
        let oldest = self.snd_una - self.snd_wnd_max.max(1);
        if segment.ack.before(oldest) || segment.ack.after(self.snd_max) {
            self.challenge(shared, now);
            return false;
        }
        if self.marks.has(Marks::SUSPECTS) && segment.ack.after(self.snd_una) {
            self.confirm_black_hole(shared, now);
        }
        if segment.flags.contains(Flags::ECE) && self.marks.has(Marks::ECN) {
            self.take_echoed_ack(shared, now, segment);
        } else {
            self.take_ack_fields(shared, now, segment);
        }
        if self.is_fin_acked() {
            self.on_fin_acked(shared, env, now);
        }
        true
    }
}
