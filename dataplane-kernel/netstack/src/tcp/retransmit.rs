//! Segments leave again: what was lost (RFC 6298, RFC 6675), and probes of a closed window (RFC 9293 section 3.8.6.1) or
//! of a silent peer (section 3.8.4).

use super::board::{Phase, Probe};
use super::flow::{EndReason, Flow, Marks};
use super::output::Blocked;
use super::scoreboard::{NONE, Stamp};
use super::{Shared, timestamp_clock};
use crate::seq::SeqNum;
use crate::wire::tcp::Flags;
use crate::{Env, Error, Instant, TxTicket};
use core::time::Duration;

/// Longest user timeout: half of what a [`Stamp`] tells apart, 36 minutes.
const MOST_TIMEOUT_MS: u128 = 1 << 21;

impl Flow {
    /// The retransmission timer starts now; if a probe may be of use, it goes off for that first.
    #[inline]
    pub(crate) fn start_rto(&mut self, shared: &mut Shared, now: Instant) {
        let rto_ns = self.rtt.rto_ns(self.backoff, shared.tuning.rto_bounds);
        let first_ns = match self.probe_timeout_ns(rto_ns) {
            Some(probe_ns) if self.may_probe(shared) => {
                self.marks.set(Marks::PROBE_TIMEOUT);
                probe_ns
            }
            _ => {
                self.marks.clear(Marks::PROBE_TIMEOUT);
                rto_ns
            }
        };
        self.rto_at = now.after_ns(first_ns);
        self.arm(shared, self.rto_at);
    }

    /// The same without a probe.
    pub(crate) fn start_timeout(&mut self, shared: &mut Shared, now: Instant) {
        self.marks.clear(Marks::PROBE_TIMEOUT);
        let rto_ns = self.rtt.rto_ns(self.backoff, shared.tuning.rto_bounds);
        self.rto_at = now.after_ns(rto_ns);
        self.arm(shared, self.rto_at);
    }

    /// Data waits and nothing is on its way whose ACK could open the window: ask for it by probes.
    #[cold]
    #[inline(never)]
    pub(crate) fn wait_for_window(&mut self, shared: &mut Shared, now: Instant, in_flight: u32) {
        if in_flight == 0 {
            self.marks.set(Marks::PERSIST);
            if self.rto_at == Instant::FAR {
                self.start_rto(shared, now);
            }
        }
    }

    /// The retransmission timer has run out.
    #[cold]
    #[inline(never)]
    pub(crate) fn on_rto<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        if self.unanswered == 0 {
            self.silent_since = Stamp::of(self.sent_at);
        }
        if self.is_given_up(shared, now) {
            return self.give_up(shared, env);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if self.marks.has(Marks::PERSIST) {
            self.marks.set(Marks::PROBE_WINDOW);
        } else if self.state.is_opening() {
            self.snd_nxt = self.iss;
        } else {
            shared.counters.tcp_timeouts += 1;
            self.take_all_for_lost(shared, now);
            self.suspect_black_hole(shared);
        }
        self.backoff = self.backoff.saturating_add(1);
        // The neighbour may have moved.
        self.neighbor_epoch = 0;
        self.start_timeout(shared, now);
        if let Some(timeout_ns) = self.user_timeout_ns() {
            let left_ns = timeout_ns.saturating_sub(self.silence_ns(now));
            self.rto_at = self.rto_at.min(now.after_ns(left_ns));
            self.arm(shared, self.rto_at);
        }
        self.make_dirty(shared);
    }

    /// A timeout: whatever is out and not known to have arrived is lost (RFC 8985 section 6.3). Without a board, or when
    /// the peer's window has shrunk since (RFC 7323 section 2.4), everything is to be sent anew.
    fn take_all_for_lost(&mut self, shared: &mut Shared, now: Instant) {
        let (una, nxt, in_flight) = (self.snd_una, self.snd_nxt, self.in_flight());
        let flight = self.flight_size();
        let (mss, first) = (u32::from(self.mss), self.backoff == 0);
        let first_again = timestamp_clock(now).wrapping_add(self.ts_offset);
        if in_flight > self.snd_wnd && self.board != NONE {
            self.drop_board(shared);
        }
        if in_flight <= self.snd_wnd
            && self.ensure_board(shared)
            && let Some((board, records)) = shared.boards.get(self.board)
        {
            // RFC 2018 section 8: the peer may have dropped what it had.
            if !first || board.ranges.front_is_sacked(records) {
                board.ranges.forget_sacked(records);
            }
            board.presumed = 0;
            board.duplicates = 0;
            board.probe = Probe::None;
            board.ranges.mark_all_lost(records, una);
            if board.phase == Phase::Open {
                board.undo = board.prepare_undo(una, self.congestion, first_again);
                self.congestion.on_loss(flight, mss);
            }
            board.phase = Phase::Loss;
            board.recover = nxt;
        } else {
            if first {
                self.congestion
                    .on_loss(self.snd_una.distance_to(self.snd_max), mss);
            }
            self.snd_nxt = self.snd_una;
            self.send.rewind();
            self.marks.clear(Marks::FIN_SENT);
            self.marks.set(Marks::AMBIGUOUS);
        }
        self.congestion.on_timeout(mss);
    }

    /// RFC 9293 section 3.8.3, and the same for flows that nobody owns any more, even if the peer still answers probes.
    fn is_given_up(&self, shared: &Shared, now: Instant) -> bool {
        let tuning = &shared.tuning;
        if let Some(timeout_ns) = self.user_timeout_ns() {
            return self.silence_ns(now) >= timeout_ns;
        }
        if self.state.is_opening() {
            return self.unanswered >= tuning.max_syn_retransmits;
        }
        let orphan = self.marks.has(Marks::CLOSED_BY_APP) && self.backoff >= tuning.max_orphan_retransmits;
        orphan || self.unanswered >= tuning.max_retransmits
    }

    /// RFC 9293 section 3.8.3, RFC 5482: the app's own limit.
    fn user_timeout_ns(&self) -> Option<u64> {
        (self.user_timeout_ms != 0).then(|| u64::from(self.user_timeout_ms) * 1_000_000)
    }

    fn silence_ns(&self, now: Instant) -> u64 {
        Stamp::of(now).ns_since(self.silent_since)
    }

    /// Sets how long data may stay unacknowledged; `None`: as long as the stack's configuration says.
    pub(crate) fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        let ms = timeout.map_or(0, |timeout| timeout.as_millis().clamp(1, MOST_TIMEOUT_MS));
        self.user_timeout_ms = u32::try_from(ms).unwrap_or(0);
    }

    fn give_up<E: Env>(&mut self, shared: &mut Shared, env: &mut E) {
        if self.state.is_opening() && self.marks.has(Marks::PASSIVE) {
            shared.counters.tcp_half_open_expired += 1;
        } else {
            shared.counters.tcp_timed_out += 1;
        }
        self.end(shared, env, EndReason::Because(Error::TimedOut));
    }

    /// A segment went out that refers to memory an earlier one referred to: the app has it back only when the device is
    /// through with this one too. Nor does its ACK tell a round-trip time (Karn).
    #[cold]
    #[inline(never)]
    pub(crate) fn repeated(&mut self, shared: &mut Shared, ticket: TxTicket) {
        shared.counters.tcp_retransmits += 1;
        self.repeat_ticket = ticket;
        self.marks.set(Marks::REPEATED);
    }

    /// The probes that the marks ask for.
    #[cold]
    #[inline(never)]
    pub(crate) fn transmit_probes<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.marks.has(Marks::PROBE_TAIL) {
            self.probe_tail(shared, env, now)?;
            self.marks.clear(Marks::PROBE_TAIL);
        }
        if self.marks.has(Marks::PROBE_WINDOW) {
            self.probe_window(shared, env, now)?;
            self.marks.clear(Marks::PROBE_WINDOW);
        }
        if self.marks.has(Marks::PROBE_ALIVE) {
            // Section 3.8.4: an old number, which a live peer answers.
            let seq = self.snd_nxt - 1;
            self.emit(shared, env, now, seq, Flags::ACK, &[], 0)
                .ok_or(Blocked::RingFull)?;
            shared.counters.tcp_keepalive_probes += 1;
            self.marks.clear(Marks::PROBE_ALIVE);
        }
        Ok(())
    }

    /// What is lost, from the front, as far as the window allows (RFC 6675 section 5 step C).
    #[inline(never)]
    pub(crate) fn transmit_lost<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        let (una, in_flight) = (self.snd_una, self.in_flight());
        let mut from = una;
        loop {
            let Some((board, records)) = shared.boards.get(self.board) else {
                return Ok(());
            };
            if board.ranges.lost == 0 {
                return Ok(());
            }
            let pipe = board.pipe(in_flight);
            let Some(lost) = board.ranges.next_lost(records, una, from) else {
                return Ok(());
            };
            let len = lost.start.distance_to(lost.end).min(self.mss.into());
            if pipe > 0 && pipe.saturating_add(len) > self.congestion.window() {
                return Ok(());
            }
            from = self.transmit_range(shared, env, now, lost.start, lost.end)?;
        }
    }

    /// One segment of `from..to` again, as long as it can be; gives where it ends.
    pub(crate) fn transmit_range<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        from: SeqNum,
        to: SeqNum,
    ) -> Result<SeqNum, Blocked> {
        let data = u32::try_from(from.signed_distance_to(to.earlier_of(self.snd_end))).unwrap_or(0);
        let offset = self.snd_una.distance_to(from);
        let cut = self
            .send
            .cut_behind(&shared.spans, offset, data.min(self.mss.into()));
        let fin = cut.len == data && to.after(self.snd_end);
        let mut flags = Flags::ACK | Flags::PSH;
        if fin {
            flags = flags | Flags::FIN;
        }
        let ticket = self
            .emit(shared, env, now, from, flags, cut.spans(), cut.len)
            .ok_or(Blocked::RingFull)?;
        self.data_in_ring(ticket, from + cut.len);
        self.repeated(shared, ticket);
        let end = from + (cut.len + u32::from(fin));
        let una = self.snd_una;
        if let Some((board, records)) = shared.boards.get(self.board) {
            board.again_end = board.again_end.later_of(end);
            board.sent_again = board.sent_again.saturating_add(cut.len);
            board.ranges.sent_again(records, una, from, end, Stamp::of(now));
            if let Some(undo) = &mut board.undo {
                undo.unproven = undo.unproven.saturating_add(1);
            }
        }
        Ok(end)
    }

    /// What fits the window, and one byte (or FIN) beyond it if nothing does. SND.NXT stays, so that it is sent again
    /// unless the peer takes it.
    fn probe_window<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if !self.marks.has(Marks::PERSIST) {
            return Ok(());
        }
        let len = self.snd_wnd.clamp(1, u32::from(self.mss).max(1));
        let cut = self.send.cut(&shared.spans, len);
        let mut flags = Flags::ACK | Flags::PSH;
        let fin = cut.len == 0 && self.marks.has(Marks::FIN_QUEUED);
        if fin {
            flags = flags | Flags::FIN;
        }
        let ticket = self
            .emit(shared, env, now, self.snd_nxt, flags, cut.spans(), cut.len)
            .ok_or(Blocked::RingFull)?;
        shared.counters.tcp_zero_window_probes += 1;
        self.data_in_ring(ticket, self.snd_nxt + cut.len);
        self.repeat_ticket = ticket;
        self.marks.set(Marks::REPEATED);
        self.snd_max = self.snd_max.later_of(self.snd_nxt + cut.len + u32::from(fin));
        Ok(())
    }
}
