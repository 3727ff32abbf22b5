//! What a segment acknowledges (RFC 9293 section 3.10.7.4, fifth; RFC 5681; RFC 6298 section 5).

use super::Shared;
use super::congestion::Acked;
use super::flow::{Flow, Marks, State};
use super::recovery::News;
use super::scoreboard::NONE;
use crate::seq::SeqNum;
use crate::wire::tcp::Segment;
use crate::{Env, Instant};

impl Flow {
    /// SND.UNA < `ack` =< SND.MAX, of a flow without a board.
    pub(crate) fn take_ack(&mut self, shared: &mut Shared, now: Instant, ack: SeqNum) {
        let acked = self.move_una(shared, ack);
        self.advance_by(shared, now, acked);
        self.restart_rto(shared, now);
        self.send_more(shared);
    }

    /// SND.UNA moves to `ack`; the app's bytes among what it passes are counted as sent. Gives how far it moves.
    fn move_una(&mut self, shared: &mut Shared, ack: SeqNum) -> u32 {
        let acked = self.snd_una.distance_to(ack);
        // Before the data stands SYN, behind it FIN: neither is in the queue.
        let syn = u32::from(self.snd_una == self.iss);
        let queued = self.snd_una.distance_to(self.snd_end);
        let data = acked.min(queued) - syn.min(acked);
        if data > 0 {
            self.take_sent(shared, data);
        }
        self.snd_una = ack;
        if self.snd_nxt.before(ack) {
            self.skip_to(ack);
        }
        acked
    }

    /// The same where nothing but data is open, none of it being sent again from the front: ESTABLISHED, SND.NXT =
    /// SND.MAX.
    #[inline(always)]
    pub(crate) fn take_data_ack(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        ack: SeqNum,
        echo: Option<u32>,
    ) {
        let (from, acked) = (self.snd_una, self.snd_una.distance_to(ack));
        self.take_sent(shared, acked);
        self.snd_una = ack;
        if self.board == NONE {
            self.advance_by(shared, now, acked);
        } else {
            let mut news = News::new(echo);
            self.learn_acked(shared, now, from, &mut news);
            self.conclude(shared, now, &news);
        }
        self.restart_rto(shared, now);
        self.send_more(shared);
    }

    /// `data` bytes from the front of the queue have arrived.
    #[inline(always)]
    fn take_sent(&mut self, shared: &mut Shared, data: u32) {
        self.send.release(&mut shared.spans, data);
        self.sent_untold += data;
        self.make_ready(shared);
    }

    /// SND.UNA has moved by `acked` bytes that all left at one time: round-trip time and congestion window.
    #[inline(always)]
    fn advance_by(&mut self, shared: &mut Shared, now: Instant, acked: u32) {
        if !self.marks.has(Marks::AMBIGUOUS) {
            self.rtt
                .sample(now.ns_since(self.sent_at), shared.tuning.rto_bounds);
        }
        let acked = self.acked(acked, self.snd_una);
        self.congestion.on_ack(&acked, now, &self.rtt);
    }

    /// What congestion control hears of an ACK: `bytes` more have arrived, and all before `una`.
    #[inline]
    pub(crate) fn acked(&self, bytes: u32, una: SeqNum) -> Acked {
        Acked {
            bytes,
            una,
            nxt: self.snd_nxt,
            peak: self.flight_peak,
            mss: self.mss.into(),
        }
    }

    #[inline]
    fn send_more(&mut self, shared: &mut Shared) {
        if self.snd_nxt != self.snd_end || self.marks.has(Marks::FIN_QUEUED) {
            self.make_dirty(shared);
        }
    }

    /// RFC 6298 sections 5.2 and 5.3: no timer once all is acknowledged, a fresh one otherwise; and the peer lives.
    #[inline]
    fn restart_rto(&mut self, shared: &mut Shared, now: Instant) {
        self.backoff = 0;
        self.unanswered = 0;
        if self.snd_una == self.snd_max {
            self.marks.clear(Marks::AMBIGUOUS);
            self.rto_at = Instant::FAR;
            return;
        }
        self.start_rto(shared, now);
    }

    /// The ACK goes beyond where retransmitting had got to: what is left to send begins there.
    #[cold]
    #[inline(never)]
    fn skip_to(&mut self, ack: SeqNum) {
        self.snd_nxt = ack;
        self.send.rewind();
        if ack.after(self.snd_end) {
            self.marks.set(Marks::FIN_SENT);
        }
    }

    /// The window the peer announces (RFC 9293 section 3.10.7.4). The segment is acceptable and its ACK not older than
    /// SND.UNA.
    #[inline]
    pub(crate) fn take_window(&mut self, shared: &mut Shared, segment: &Segment<'_>) {
        if segment.seq.before(self.snd_wl1) {
            return;
        }
        self.snd_wl1 = segment.seq;
        let window = u32::from(segment.window) << self.snd_shift;
        if window == self.snd_wnd {
            return;
        }
        let grows = window > self.snd_wnd;
        self.snd_wnd = window;
        self.snd_wnd_max = self.snd_wnd_max.max(window);
        if grows {
            if self.marks.take(Marks::PERSIST) {
                // What was probed for has come: probes are over, and their back-off with them.
                self.backoff = 0;
                self.unanswered = 0;
                self.rto_at = if self.snd_una == self.snd_max {
                    Instant::FAR
                } else {
                    self.rto_at
                };
            }
            self.make_dirty(shared);
        }
    }

    /// RFC 5681 section 2: a duplicate ACK has no data, no SYN, no FIN and no news of the window, and comes while
    /// something is on its way.
    fn is_duplicate_ack(&self, segment: &Segment<'_>) -> bool {
        let same_window = u32::from(segment.window) << self.snd_shift == self.snd_wnd;
        let out = self.snd_una != self.snd_max;
        segment.sequence_len() == 0 && same_window && out && !self.marks.has(Marks::PERSIST)
    }

    /// The ACK field and the SACK blocks of an acceptable segment, whose ACK is within what RFC 5961 section 5.2 allows.
    pub(crate) fn take_ack_fields(&mut self, shared: &mut Shared, now: Instant, segment: &Segment<'_>) {
        if segment.ack.before(self.snd_una) {
            return;
        }
        let has_sack = self.marks.has(Marks::SACK);
        if self.board != NONE || has_sack && !segment.has_plain_options() {
            return self.take_news(shared, now, segment);
        }
        if segment.ack != self.snd_una {
            self.take_window(shared, segment);
            return self.take_ack(shared, now, segment.ack);
        }
        if !has_sack && self.is_duplicate_ack(segment) {
            return self.take_news(shared, now, segment);
        }
        self.unanswered = 0;
        self.take_window(shared, segment);
    }

    /// The same of a flow with a board, or one that needs a board now.
    #[cold]
    #[inline(never)]
    fn take_news(&mut self, shared: &mut Shared, now: Instant, segment: &Segment<'_>) {
        let (options, ack) = (segment.all_options(), segment.ack);
        let stamps = options.timestamps.filter(|_| self.marks.has(Marks::TIMESTAMPS));
        let mut news = News::new(stamps.map(|stamps| stamps.echo));
        news.is_duplicate = ack == self.snd_una && self.is_duplicate_ack(segment);
        self.take_window(shared, segment);
        let from = self.snd_una;
        self.unanswered = 0;
        if ack != from {
            let acked = self.move_una(shared, ack);
            if self.board == NONE {
                self.advance_by(shared, now, acked);
                news.acked = acked;
            } else {
                self.learn_acked(shared, now, from, &mut news);
            }
            self.send_more(shared);
        }
        if self.marks.has(Marks::SACK) {
            self.learn_sacked(shared, now, &options.sack, &mut news);
        } else if news.is_duplicate {
            self.ensure_board(shared);
        }
        if self.board != NONE {
            self.conclude(shared, now, &news);
        }
        if news.acked > 0 {
            self.restart_rto(shared, now);
        }
    }

    /// Our FIN has been acknowledged: RFC 9293 section 3.10.7.4, fifth, by state.
    pub(crate) fn on_fin_acked<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                if self.marks.has(Marks::CLOSED_BY_APP) {
                    self.linger_at = now.after_ns(shared.tuning.fin_wait_2_ns);
                    self.arm(shared, self.linger_at);
                }
            }
            State::Closing => self.enter_time_wait(shared, now),
            State::LastAck => self.end_in_order(shared, env),
            _ => {}
        }
    }

    /// `true` if all that was sent, our FIN included, is acknowledged.
    #[inline]
    pub(crate) fn is_fin_acked(&self) -> bool {
        self.marks.has(Marks::FIN_SENT) && self.snd_una.after(self.snd_end)
    }
}
