//! A segment arrives (RFC 9293 section 3.10.7). Fourth step of a packet's way.
//!
//! Nearly every segment of a busy flow is the next one in order, on an ESTABLISHED connection, with nothing but data or
//! an ACK in it: [`Flow::receive`] looks for that first, and all else goes through the steps of the RFC.

use super::Shared;
use super::flow::{Flow, Marks, State};
use crate::rx_buffers::Meta;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::Timestamps;
use crate::{BufId, Env, Error, Instant};

/// A TS.Recent older than this says nothing any more (RFC 7323 section 5.5: 24 days).
const TS_RECENT_VALID_NS: u64 = 24 * 86_400 * 1_000_000_000;

/// A segment and the buffer it lies in.
pub(crate) struct Arrival<'a> {
    pub(crate) segment: Segment<'a>,
    pub(crate) buf: BufId,
    /// Where the payload begins in the buffer.
    pub(crate) offset: u16,
}

impl Flow {
    /// Takes a segment of this flow in; gives its buffer back unless it is kept.
    #[inline(never)]
    pub(crate) fn receive<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        self.heard_at = now;
        match self.predict(&arrival.segment) {
            Some(stamps) => self.receive_predicted(shared, now, arrival, stamps),
            None => self.segment_arrives(shared, env, now, arrival),
        }
    }

    /// Header prediction: `Some` if the segment is in order, brings data or news of our data, and needs nothing but
    /// these taken.
    #[inline]
    fn predict(&self, segment: &Segment<'_>) -> Option<Timestamps> {
        let plain = segment.flags | Flags::PSH == Flags::ACK | Flags::PSH;
        let len = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let acked = self.snd_una.distance_to(segment.ack);
        let expected = plain
            && self.state == State::Established
            && segment.seq == self.rcv_nxt
            && self.beyond.is_empty()
            && !self.marks.has(Marks::FIN_AHEAD)
            && acked <= self.in_flight()
            && self.snd_nxt == self.snd_max
            && acked + len > 0
            && len <= self.receive_window();
        if !expected {
            return None;
        }
        if !self.marks.has(Marks::TIMESTAMPS) {
            return Some(Timestamps::default());
        }
        let stamps = Timestamps::parse_alone(segment.options)?;
        let age = stamps.value.wrapping_sub(self.ts_recent).cast_signed();
        (age >= 0).then_some(stamps)
    }

    #[inline]
    fn receive_predicted(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        arrival: Arrival<'_>,
        stamps: Timestamps,
    ) -> Option<BufId> {
        let segment = &arrival.segment;
        shared.counters.tcp_predicted += 1;
        if self.ack_sent == self.rcv_nxt {
            self.ts_recent = stamps.value;
            self.ts_recent_at = now;
        }
        self.take_window(shared, segment);
        if segment.ack != self.snd_una {
            self.take_data_ack(shared, now, segment.ack);
        }
        if segment.payload.is_empty() {
            return Some(arrival.buf);
        }
        self.take_in_order(shared, arrival)
    }

    /// The next bytes in order; gives the buffer back if there is no room for it.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a payload lies in a buffer of 2 KiB"
    )]
    fn take_in_order(&mut self, shared: &mut Shared, arrival: Arrival<'_>) -> Option<BufId> {
        let len = arrival.segment.payload.len() as u16;
        let meta = Meta::of_flow(self.index, self.generation, self.rcv_nxt, arrival.offset, len);
        if !self.may_hold_more(shared) {
            self.drop_for_lack_of_room(shared);
            return Some(arrival.buf);
        }
        match shared.rx.take_in(arrival.buf, meta) {
            Ok(index) => {
                self.append_received(shared, index);
                self.owe_ack(shared);
                None
            }
            Err(buf) => Some(buf),
        }
    }

    /// Bytes that continue what has come, in a buffer that was taken in.
    #[inline]
    pub(crate) fn append_received(&mut self, shared: &mut Shared, index: u32) {
        let len = u32::from(shared.rx.meta(index).len);
        shared.rx.push_back(&mut self.received, index);
        self.rcv_nxt += len;
        self.held_bytes += len;
        self.held_buffers += 1;
        self.make_ready(shared);
    }

    /// RFC 9293 section 3.8.6.3: an ACK for every second full segment, the others may wait; and data that goes out at the
    /// flush takes it along.
    #[inline]
    pub(crate) fn owe_ack(&mut self, shared: &mut Shared) {
        let unacked = self.ack_sent.distance_to(self.rcv_nxt);
        if unacked >= 2 * u32::from(self.mss) {
            self.marks.set(Marks::ACK_NOW);
        } else {
            self.marks.set(Marks::ACK_DELAYED);
        }
        self.make_dirty(shared);
    }

    /// The steps of section 3.10.7.4, and of 3.10.7.3 in SYN-SENT.
    #[cold]
    #[inline(never)]
    fn segment_arrives<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        match self.state {
            State::Closed => return Some(arrival.buf),
            State::SynSent => {
                self.segment_arrives_in_syn_sent(shared, env, now, &arrival.segment);
                return Some(arrival.buf);
            }
            _ => {}
        }
        if !self.passes_checks(shared, env, now, &arrival.segment) {
            return Some(arrival.buf);
        }
        if !self.ack_step(shared, env, now, &arrival.segment) || self.state == State::Closed {
            return Some(arrival.buf);
        }
        let kept = self.take_segment_data(shared, env, now, arrival);
        if self.state.may_receive() {
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
        if segment.sequence_len() > 0 {
            shared.counters.tcp_duplicate += u64::from(!segment.payload.is_empty());
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
            self.take_window(shared, segment);
            self.take_ack(shared, now, segment.ack);
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
        if segment.ack.after(self.snd_una) {
            self.take_window(shared, segment);
            self.take_ack(shared, now, segment.ack);
        } else if segment.ack == self.snd_una {
            self.unanswered = 0;
            self.take_duplicate_ack(shared, segment);
            self.take_window(shared, segment);
        }
        if self.is_fin_acked() {
            self.on_fin_acked(shared, env, now);
        }
        true
    }

    /// Seventh and eighth: the data and where the FIN stands.
    fn take_segment_data<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: Arrival<'_>,
    ) -> Option<BufId> {
        let segment = &arrival.segment;
        if !self.state.may_receive() {
            // After the peer's FIN there is no data; whatever this is, tell where we are.
            if segment.sequence_len() > 0 {
                self.ack_now(shared);
            }
            return Some(arrival.buf);
        }
        if self.marks.has(Marks::FIN_AHEAD) {
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
        let segment = &arrival.segment;
        let end = segment.seq + u32::try_from(segment.payload.len()).unwrap_or(0);
        if !end.after(self.rcv_nxt) {
            self.ack_now(shared);
        } else if self.state == State::FinWait2 {
            self.transmit_reset(shared, env, now);
            self.end(shared, env, super::flow::EndReason::Because(Error::Closed));
        } else if segment.seq.at_or_before(self.rcv_nxt) {
            self.rcv_nxt = end;
            self.ack_now(shared);
        }
        Some(arrival.buf)
    }

    /// The peer's FIN is in the segment, whether or not all before it has come. The first one counts.
    fn note_fin(&mut self, at: crate::seq::SeqNum) {
        if !self.marks.has(Marks::FIN_AHEAD) && at.at_or_after(self.rcv_nxt) {
            self.marks.set(Marks::FIN_AHEAD);
            self.fin_seq = at;
        }
    }

    /// Eighth: the FIN, once all before it has been taken.
    fn check_fin<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
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

    /// An ACK goes out with the next flush.
    #[inline]
    pub(crate) fn ack_now(&mut self, shared: &mut Shared) {
        self.marks.set(Marks::ACK_NOW);
        self.make_dirty(shared);
    }
}
