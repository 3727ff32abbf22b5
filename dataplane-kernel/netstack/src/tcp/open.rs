//! The handshake (RFC 9293 section 3.5), from either side, and what the two sides agree on.

use super::congestion::Congestion;
use super::flow::{EndReason, Flow, Marks, State};
use super::rtt::RttEstimator;
use super::template::Template;
use super::{MIN_SEGMENT, Shared};
use crate::seq::SeqNum;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::{Options, TIMESTAMPS_LEN};
use crate::{Env, Error, Instant};

/// What a peer that names no segment size takes (RFC 9293 section 3.7.1, MUST-15).
const DEFAULT_SEGMENT: u16 = 536;

/// How far beyond the last number of an old connection a new one begins at least: a window that is not scaled.
const REUSE_GAP: u32 = 0x1_0000;

impl Flow {
    /// Begins an active open: a SYN leaves at the next flush.
    pub(crate) fn open_active(&mut self, shared: &mut Shared, now: Instant, cookie: u64) {
        self.state = State::SynSent;
        self.cookie = cookie;
        self.prepare(shared, now, None);
        self.rcv_shift = shared.tuning.window_shift;
        shared.counters.tcp_opened_active += 1;
        self.start_rto(shared, now);
        self.make_dirty(shared);
    }

    /// Begins a passive open: `syn` has come for the listener in `slot` (section 3.10.7.2, third). `last`: where the
    /// numbers of a connection between the same ports ended a moment ago; ours begin beyond (section 3.6.1).
    pub(crate) fn open_passive(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        syn: &Segment<'_>,
        slot: u32,
        last: Option<SeqNum>,
    ) {
        self.state = State::SynReceived;
        self.marks.set(Marks::PASSIVE.or(Marks::IN_BACKLOG));
        self.listener = slot;
        self.listener_generation = shared.listeners.generation(slot);
        shared.listeners.enter(slot);
        self.prepare(shared, now, last);
        self.take_syn(shared, now, syn);
        self.start_rto(shared, now);
        self.make_dirty(shared);
    }

    /// The same where the peer has answered our SYN and ACK already, of which nothing was kept but `cookie`, its number.
    pub(crate) fn open_by_cookie(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        syn: &Segment<'_>,
        slot: u32,
        cookie: SeqNum,
    ) {
        self.open_passive(shared, now, syn, slot, None);
        (self.iss, self.snd_una) = (cookie, cookie);
        (self.gone_seq, self.mark_seq) = (cookie, cookie);
        (self.snd_nxt, self.snd_max, self.snd_end) = (cookie + 1, cookie + 1, cookie + 1);
        self.rcv_edge = self.rcv_nxt + u32::from(shared.tuning.first_window());
        // When it was sent is not known.
        self.marks.set(Marks::AMBIGUOUS);
    }

    /// What both ways begin with.
    fn prepare(&mut self, shared: &mut Shared, now: Instant, last: Option<SeqNum>) {
        let (ends, ports) = (shared.ends(&self.tuple), self.tuple.ports());
        let mut iss = shared.secrets.initial_sequence(&ends, ports, now);
        if let Some(last) = last.filter(|last| !iss.after(*last + REUSE_GAP)) {
            iss = last + REUSE_GAP;
        }
        (self.iss, self.snd_una, self.snd_nxt, self.snd_max) = (iss, iss, iss, iss);
        (self.gone_seq, self.mark_seq) = (iss, iss);
        self.snd_end = iss + 1;
        let max_segment = shared.send_limit(&self.tuple, now);
        self.mss = max_segment;
        self.window_bytes = shared.tuning.window_bytes;
        self.congestion = Congestion::new(max_segment.into(), shared.tuning.congestion);
        self.rtt = RttEstimator::new(shared.tuning.rto_initial_ns);
        self.ts_offset = shared.secrets.timestamp_offset(&ends, ports);
        self.template = Template::new(shared.interface.mac, &ends, &self.tuple);
        (self.heard_at, self.sent_at) = (now, now);
    }

    /// The peer's SYN: where its numbers begin, and which options are in force from now on.
    fn take_syn(&mut self, shared: &Shared, now: Instant, syn: &Segment<'_>) {
        self.irs = syn.seq;
        self.rcv_nxt = syn.seq + 1;
        self.rcv_edge = self.rcv_nxt;
        self.ack_sent = self.rcv_nxt;
        self.begin_right_sizing(shared, now);
        self.snd_wl1 = syn.seq;
        self.snd_wnd = syn.window.into();
        self.snd_wnd_max = self.snd_wnd;
        self.agree(shared, now, &syn.all_options());
        self.agree_on_ecn(shared, syn.flags);
    }

    /// RFC 7323 sections 1.3 and 3.2, RFC 2018 section 2: what both sides have offered.
    fn agree(&mut self, shared: &Shared, now: Instant, options: &Options) {
        let tuning = &shared.tuning;
        let offered = tuning.offer_options;
        if let Some(shift) = options.window_scale.filter(|_| offered) {
            self.marks.set(Marks::SCALED);
            self.snd_shift = shift;
            self.rcv_shift = tuning.window_shift;
        } else {
            self.rcv_shift = 0;
        }
        if options.sack_permitted && offered {
            self.marks.set(Marks::SACK);
        }
        let mut mss = options
            .mss
            .unwrap_or(DEFAULT_SEGMENT)
            .min(shared.send_limit(&self.tuple, now))
            .max(MIN_SEGMENT);
        if let Some(stamps) = options.timestamps.filter(|_| offered) {
            self.marks.set(Marks::TIMESTAMPS);
            self.ts_recent = stamps.value;
            self.ts_recent_at = now;
            // RFC 6691: the size announced does not count options.
            mss -= u16::try_from(TIMESTAMPS_LEN).unwrap_or(0);
        }
        (self.mss, self.agreed_mss) = (mss, mss);
        self.congestion.restart(mss.into());
    }

    /// Section 3.10.7.3.
    pub(crate) fn segment_arrives_in_syn_sent<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) {
        let has_ack = segment.flags.contains(Flags::ACK);
        let acks_syn = has_ack && segment.ack.after(self.iss) && segment.ack.at_or_before(self.snd_max);
        if has_ack && !acks_syn {
            if !segment.flags.contains(Flags::RST) {
                self.refuse(shared, env, now, segment);
            }
            return;
        }
        if segment.flags.contains(Flags::RST) {
            if acks_syn {
                shared.counters.tcp_reset_by_peer += 1;
                self.end(shared, env, EndReason::Because(Error::ConnectionRefused));
            }
            return;
        }
        if !segment.flags.contains(Flags::SYN) {
            return;
        }
        self.take_syn(shared, now, segment);
        if acks_syn {
            self.state = State::Established;
            self.establish(shared, now, segment);
            self.ack_now(shared);
        } else {
            // Both sides have called at once: the SYN goes out again, with an ACK.
            self.state = State::SynReceived;
            self.snd_nxt = self.iss;
            self.make_dirty(shared);
        }
    }

    /// SYN-RECEIVED, with an ACK: `false` if it is not of our SYN (section 3.10.7.4, fifth).
    pub(crate) fn complete_passive_open<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) -> bool {
        if !segment.ack.after(self.iss) || segment.ack.after(self.snd_max) {
            self.refuse(shared, env, now, segment);
            return false;
        }
        self.state = State::Established;
        self.snd_wnd = u32::from(segment.window) << self.snd_shift;
        self.snd_wnd_max = self.snd_wnd;
        self.establish(shared, now, segment);
        true
    }

    /// Our SYN has been acknowledged.
    fn establish(&mut self, shared: &mut Shared, now: Instant, segment: &Segment<'_>) {
        if self.backoff > 0 {
            self.congestion.restart_after_syn_timeout(self.mss.into());
            self.rtt.restart_after_syn_timeout();
        }
        self.snd_nxt = self.snd_max;
        self.snd_wl1 = segment.seq;
        self.take_ack(shared, now, segment.ack);
        shared.counters.tcp_opened_passive += u64::from(self.marks.has(Marks::PASSIVE));
        if self.marks.take(Marks::IN_BACKLOG) {
            self.marks.set(Marks::AWAITS_ACCEPT);
            shared.listeners.complete(self.listener, self.listener_generation);
        }
        self.marks.set(Marks::TELL_OPEN);
        self.make_ready(shared);
        if self.marks.has(Marks::FIN_QUEUED) {
            self.state = State::FinWait1;
        }
        if self.keepalive_ms != 0 {
            self.keepalive_at = now.after_ns(self.keepalive_ns());
            self.arm(shared, self.keepalive_at);
        }
    }

    /// A reset for an ACK of what was never sent, with its number (section 3.5.3, group 2).
    fn refuse<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant, segment: &Segment<'_>) {
        if self.neighbor_epoch != 0
            && self
                .emit(shared, env, now, segment.ack, Flags::RST, &[], 0)
                .is_some()
        {
            shared.counters.tcp_resets_sent += 1;
        }
    }

    /// The app has yet to hear that the flow is over; to its peer there is no connection any more (section 3.10.7.1).
    pub(crate) fn refuse_after_the_end<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        segment: &Segment<'_>,
    ) {
        if segment.flags.contains(Flags::ACK) && !segment.flags.contains(Flags::RST) {
            self.refuse(shared, env, now, segment);
        }
    }

    /// TIME-WAIT: `true` if the segment is a SYN that may begin a new connection between the same ports, by its number
    /// (section 3.6.1) or by its timestamp (RFC 6191 section 2).
    pub(crate) fn is_reopened_by(&self, shared: &Shared, segment: &Segment<'_>) -> bool {
        let stamps = segment.timestamps().filter(|_| shared.tuning.offer_options);
        match stamps {
            // The new connection tells old segments by their lack of timestamps.
            Some(_) if !self.marks.has(Marks::TIMESTAMPS) => true,
            Some(stamps) if stamps.value != self.ts_recent => {
                stamps.value.wrapping_sub(self.ts_recent).cast_signed() > 0
            }
            _ => segment.seq.after(self.rcv_nxt),
        }
    }
}
