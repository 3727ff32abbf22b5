//! A segment arrives (RFC 9293 section 3.10.7). Fourth step of a packet's way.
//!
//! Nearly every segment of a busy flow is the next one in order, on an ESTABLISHED connection, with nothing but data or
//! an ACK in it: [`Flow::receive`] looks for that first, and all else goes through the steps of [`super::arrives`].

use super::Shared;
use super::flow::{Flow, Marks, State};
use crate::rx_buffers::Meta;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::Timestamps;
use crate::{BufId, Env, Instant};

/// A segment and the buffer it lies in.
pub(crate) struct Arrival<'a> {
    pub(crate) segment: &'a Segment<'a>,
    pub(crate) buf: BufId,
    /// Where the payload begins in the buffer.
    pub(crate) offset: u16,
    /// What stood in the IP header.
    pub(crate) ecn: Ecn,
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
        match self.predict(&arrival) {
            Some(stamps) => self.receive_predicted(shared, now, arrival, stamps),
            None => self.segment_arrives(shared, env, now, arrival),
        }
    }

    /// Header prediction: `Some` if the segment is in order, brings data or news of our data, and needs nothing but
    /// these taken.
    #[inline]
    fn predict(&self, arrival: &Arrival<'_>) -> Option<Timestamps> {
        let segment = arrival.segment;
        let plain = segment.flags | Flags::PSH == Flags::ACK | Flags::PSH;
        let len = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let acked = self.snd_una.distance_to(segment.ack);
        let expected = plain
            && self.state == State::Established
            && segment.seq == self.rcv_nxt
            && self.beyond.is_empty()
            && !self.marks.has_any(Marks::FIN_AHEAD.or(Marks::ECHO))
            && arrival.ecn != Ecn::CE
            && acked <= self.in_flight()
            && self.snd_nxt == self.snd_max
            && acked + len > 0
            && len <= self.receive_window();
        if !expected {
            return None;
        }
        if !self.marks.has(Marks::TIMESTAMPS) {
            // Else there may be SACK blocks.
            return segment.options.is_empty().then(Timestamps::default);
        }
        let stamps = Timestamps::parse_alone(segment.options)?;
        let age = stamps.value.wrapping_sub(self.ts_recent).cast_signed();
        (age >= 0).then_some(stamps)
    }

    #[inline(always)]
    fn receive_predicted(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        arrival: Arrival<'_>,
        stamps: Timestamps,
    ) -> Option<BufId> {
        let segment = arrival.segment;
        shared.counters.tcp_predicted += 1;
        if self.ack_sent == self.rcv_nxt {
            self.ts_recent = stamps.value;
            self.ts_recent_at = now;
        }
        self.take_window(shared, segment);
        if segment.ack != self.snd_una {
            let echo = self.marks.has(Marks::TIMESTAMPS).then_some(stamps.echo);
            self.take_data_ack(shared, now, segment.ack, echo);
        }
        if segment.payload.is_empty() {
            return Some(arrival.buf);
        }
        self.take_in_order(shared, segment.payload, arrival.buf, arrival.offset)
    }

    /// The segment is of the predicted form, and brings nothing but data that continues what has come since our last ACK.
    #[inline]
    pub(crate) fn is_continued_by(&self, segment: &Segment<'_>, ecn: Ecn) -> bool {
        let plain = segment.flags | Flags::PSH == Flags::ACK | Flags::PSH;
        let len = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let same_stamps = if self.marks.has(Marks::TIMESTAMPS) {
            Timestamps::parse_alone(segment.options).is_some_and(|stamps| stamps.value == self.ts_recent)
        } else {
            segment.options.is_empty()
        };
        plain
            && self.state == State::Established
            && segment.seq == self.rcv_nxt
            && self.ack_sent != self.rcv_nxt
            && segment.ack == self.snd_una
            && self.snd_nxt == self.snd_max
            && u32::from(segment.window) << self.snd_shift == self.snd_wnd
            && self.beyond.is_empty()
            && !self.marks.has_any(Marks::FIN_AHEAD.or(Marks::ECHO))
            && ecn != Ecn::CE
            && same_stamps
            && len > 0
            && len <= self.receive_window()
    }

    /// Takes such a segment in; gives its buffer back if there is no room for it.
    #[inline]
    pub(crate) fn take_next(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        segment: &Segment<'_>,
        buf: BufId,
        offset: u16,
    ) -> Option<BufId> {
        shared.counters.tcp_predicted += 1;
        shared.counters.tcp_merged += 1;
        self.heard_at = now;
        self.snd_wl1 = segment.seq;
        self.take_in_order(shared, segment.payload, buf, offset)
    }

    /// The next bytes in order; gives the buffer back if there is no room for it.
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a payload lies in a buffer of 2 KiB"
    )]
    fn take_in_order(
        &mut self,
        shared: &mut Shared,
        payload: &[u8],
        buf: BufId,
        offset: u16,
    ) -> Option<BufId> {
        let len = payload.len() as u16;
        let meta = Meta::of_flow(self.index, self.generation, self.rcv_nxt, offset, len);
        if !self.may_hold_more(shared) {
            self.drop_for_lack_of_room(shared);
            return Some(buf);
        }
        match shared.rx.take_in(buf, meta) {
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

    /// An ACK goes out with the next flush.
    #[inline]
    pub(crate) fn ack_now(&mut self, shared: &mut Shared) {
        self.marks.set(Marks::ACK_NOW);
        self.make_dirty(shared);
    }
}
