//! Segments leave again: what was lost (RFC 6298, RFC 6582), and probes of a closed window (RFC 9293 section 3.8.6.1) or
//! of a silent peer (section 3.8.4).

use super::Shared;
use super::flow::{EndReason, Flow, Marks};
use super::output::Blocked;
use crate::wire::tcp::Flags;
use crate::{Env, Error, Instant, TxTicket};

impl Flow {
    /// The retransmission timer starts now.
    #[inline]
    pub(crate) fn start_rto(&mut self, shared: &mut Shared, now: Instant) {
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
        if self.is_given_up(shared) {
            return self.give_up(shared, env);
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.marks.clear(Marks::TIMING);
        if self.marks.has(Marks::PERSIST) {
            self.marks.set(Marks::PROBE_WINDOW);
        } else if self.state.is_opening() {
            self.snd_nxt = self.iss;
        } else {
            shared.counters.tcp_timeouts += 1;
            let out = self.snd_una.distance_to(self.snd_max);
            self.congestion
                .on_timeout(self.snd_max, out, u32::from(self.mss), self.backoff == 0);
            self.snd_nxt = self.snd_una;
            self.send.rewind();
            self.marks.clear(Marks::FIN_SENT);
        }
        self.backoff = self.backoff.saturating_add(1);
        // The neighbour may have moved.
        self.neighbor_epoch = 0;
        self.start_rto(shared, now);
        self.make_dirty(shared);
    }

    /// RFC 9293 section 3.8.3, and the same for flows that nobody owns any more, even if the peer still answers probes.
    fn is_given_up(&self, shared: &Shared) -> bool {
        let tuning = &shared.tuning;
        if self.state.is_opening() {
            return self.unanswered >= tuning.max_syn_retransmits;
        }
        let orphan = self.marks.has(Marks::CLOSED_BY_APP) && self.backoff >= tuning.max_orphan_retransmits;
        orphan || self.unanswered >= tuning.max_retransmits
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
        self.marks.clear(Marks::TIMING);
    }

    /// What the marks ask for: the first unacknowledged segment, or a probe.
    #[cold]
    #[inline(never)]
    pub(crate) fn transmit_again<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.marks.has(Marks::RETRANSMIT) {
            self.retransmit_first(shared, env, now)?;
            self.marks.clear(Marks::RETRANSMIT);
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

    fn retransmit_first<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.snd_una == self.snd_max {
            return Ok(());
        }
        let data = self.snd_una.distance_to(self.snd_max.earlier_of(self.snd_end));
        let cut = self.send.cut_front(&shared.spans, data.min(self.mss.into()));
        let fin = cut.len == data && self.snd_max.after(self.snd_end);
        let mut flags = Flags::ACK | Flags::PSH;
        if fin {
            flags = flags | Flags::FIN;
        }
        let ticket = self
            .emit(shared, env, now, self.snd_una, flags, cut.spans(), cut.len)
            .ok_or(Blocked::RingFull)?;
        self.data_in_ring(ticket, self.snd_una + cut.len);
        self.repeated(shared, ticket);
        Ok(())
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
