//! Segments leave: what a flow has to send, cut to what windows and segment size allow (RFC 9293 section 3.8).

use super::Shared;
use super::emit::{self, Outgoing};
use super::flow::{Flow, Marks, State};
use super::scoreboard::NONE;
use super::span_queue::Cut;
use crate::neighbor::Lookup;
use crate::wire::ecn::Ecn;
use crate::wire::ethernet::MacAddr;
use crate::wire::tcp::Flags;
use crate::{Env, Instant, Span, TxTicket};
use core::net::IpAddr;

/// Why a flow could not send all it had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The transmit ring is full: to be tried again at the next flush.
    RingFull,
    /// The neighbour's hardware address is not known yet.
    Unresolved,
}

impl Flow {
    /// Sends what there is to send.
    #[inline]
    pub(crate) fn transmit<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.neighbor_epoch != shared.neighbor_epoch {
            self.resolve(shared, now)?;
        }
        if self.state.is_opening() || self.state == State::Closed {
            return self.transmit_handshake(shared, env, now);
        }
        let urgent = Marks::PROBE_TAIL.or(Marks::PROBE_WINDOW).or(Marks::PROBE_ALIVE);
        if self.marks.has_any(urgent) {
            self.transmit_probes(shared, env, now)?;
        }
        if self.board != NONE {
            self.transmit_lost(shared, env, now)?;
        }
        if !self.marks.has(Marks::FIN_SENT) && self.state != State::TimeWait {
            let sent = if self.marks.has(Marks::PACED) {
                self.transmit_paced(shared, env, now)
            } else {
                self.transmit_new(shared, env, now)
            };
            // After all of it: what a probe has to wait for depends on how much is out.
            if self.rto_at == Instant::FAR && self.snd_una != self.snd_max {
                self.start_rto(shared, now);
            }
            sent?;
        }
        if self.marks.has(Marks::ACK_NOW) {
            self.transmit_ack(shared, env, now)?;
        } else if self.marks.has(Marks::ACK_DELAYED) {
            self.delay_ack(shared, now);
        }
        Ok(())
    }

    /// Looks up the hardware address of the next hop.
    #[cold]
    #[inline(never)]
    fn resolve(&mut self, shared: &mut Shared, now: Instant) -> Result<(), Blocked> {
        let station = match shared.next_hop(&self.tuple, now) {
            Some(IpAddr::V4(ip)) => shared.neighbors.lookup(ip, now),
            Some(IpAddr::V6(ip)) => match &mut shared.ipv6 {
                Some(ipv6) => ipv6.neighbors.lookup(ip, now),
                None => Lookup::Full,
            },
            None => Lookup::Known(MacAddr::default()),
        };
        let Lookup::Known(mac) = station else {
            return Err(Blocked::Unresolved);
        };
        self.template.set_destination(mac);
        if self.marks.has(Marks::NARROWED) {
            self.search_up(shared, now);
        }
        self.neighbor_epoch = shared.neighbor_epoch;
        Ok(())
    }

    /// New data, and FIN behind it. Inlined, though paced flows have it, too: a call costs an answer 26 instructions.
    #[inline(always)]
    pub(crate) fn transmit_new<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        loop {
            let unsent = self.snd_nxt.distance_to(self.snd_end);
            let wants_fin = self.marks.has(Marks::FIN_QUEUED);
            if unsent == 0 && !wants_fin {
                return Ok(());
            }
            let in_flight = self.in_flight();
            let room = self
                .congestion
                .window()
                .saturating_sub(self.pipe(shared))
                .min(self.snd_wnd.saturating_sub(in_flight));
            let whole = unsent.min(u32::from(self.mss));
            let len = whole.min(room);
            // RFC 9293 section 3.8.6.2.1: a full segment, all there is (data is always pushed, Nagle's algorithm is not
            // used), or half of the largest window seen; else wait. What was sent before is not held back, even if the
            // window has shrunk since.
            let worth_it =
                len == whole || len >= (self.snd_wnd_max / 2).max(1) || self.snd_nxt.before(self.snd_max);
            if room == 0 || !worth_it {
                self.wait_for_window(shared, now, in_flight);
                return Ok(());
            }
            if in_flight == 0 {
                self.begin_flight(now);
            } else if self.sent_at != now {
                self.close_burst(shared, now);
            }
            let is_several = shared.tuning.several_at_once && len < unsent && len < room;
            // Behind FIN there is nothing, and `unsent` no number of bytes.
            if is_several && !self.marks.has(Marks::FIN_SENT) {
                self.transmit_several(shared, env, now, unsent, room)?;
                continue;
            }
            let (piece, mut cut);
            let (payload, len): (&[Span], u32) = match self.send.piece(&shared.spans, len) {
                Some(span) => {
                    piece = [span];
                    (&piece, len)
                }
                None => {
                    cut = Cut::default();
                    self.send.cut_into(&shared.spans, len, &mut cut);
                    (cut.spans(), cut.len)
                }
            };
            let fin = wants_fin && len == unsent && room > unsent;
            if len == 0 && !fin {
                return Ok(());
            }
            self.transmit_data(shared, env, now, payload, len, fin)?;
        }
    }

    /// Nothing is on its way: is what the congestion window says still true?
    #[inline]
    pub(crate) fn begin_flight(&mut self, now: Instant) {
        if now.ns_since(self.sent_at) > self.rtt.plain_rto_ns() {
            self.congestion.on_idle(u32::from(self.mss));
        }
    }

    /// One segment at SND.NXT, or several for the device to cut. Inlined where data is sent: a call costs it 30 instructions.
    #[inline(always)]
    pub(crate) fn transmit_data<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        payload: &[Span],
        len: u32,
        fin: bool,
    ) -> Result<(), Blocked> {
        let seq = self.snd_nxt;
        let mut flags = Flags::ACK | Flags::PSH;
        if fin {
            flags = flags | Flags::FIN;
        }
        let ticket = if self.marks.has(Marks::ECN) || len > self.mss.into() {
            self.put_apart(shared, env, now, flags, payload, len)
        } else {
            let outgoing = Outgoing {
                seq,
                flags,
                window: self.announce_window(shared),
                options: &[],
                payload,
                len,
                ecn: Ecn::NOT_ECT,
                cut: emit::Cut::One,
            };
            let stamps = self.timestamps(now);
            self.put_on_wire(shared, env, &outgoing, stamps)
        }
        .ok_or(Blocked::RingFull)?;
        self.send.advance(&shared.spans, len);
        self.has_sent(shared, now, ticket, len, fin);
        Ok(())
    }

    /// `len` bytes at SND.NXT, and FIN behind them if there was one, have been put into the transmit ring; their last frame has
    /// this ticket.
    #[inline(always)]
    pub(crate) fn has_sent(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        ticket: TxTicket,
        len: u32,
        fin: bool,
    ) {
        self.acknowledged_all();
        self.sent_at = now;
        let seq = self.snd_nxt;
        let next = seq + len + u32::from(fin);
        self.data_in_ring(ticket, next);
        self.snd_nxt = next;
        self.flight_peak = self.in_flight();
        if fin {
            self.marks.set(Marks::FIN_SENT);
        }
        if seq.before(self.snd_max) {
            self.repeated(shared, ticket);
        }
        self.snd_max = self.snd_max.later_of(next);
        self.marks.clear(Marks::PERSIST.or(Marks::REDUCED));
    }

    /// An ACK and nothing else; with SACK blocks if data beyond a gap has come.
    pub(crate) fn transmit_ack<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.marks.has(Marks::TWICE) || !self.beyond.is_empty() && self.marks.has(Marks::SACK) {
            return self.transmit_sack(shared, env, now);
        }
        let seq = self.snd_nxt.later_of(self.snd_max);
        self.emit(shared, env, now, seq, Flags::ACK, &[], 0)
            .ok_or(Blocked::RingFull)?;
        Ok(())
    }

    /// Resets the connection from this side. If the ring is full the peer will find out by its own next segment.
    pub(crate) fn transmit_reset<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant) {
        if self.neighbor_epoch != shared.neighbor_epoch && self.resolve(shared, now).is_err() {
            return;
        }
        let seq = self.snd_nxt.later_of(self.snd_max);
        if self
            .emit(shared, env, now, seq, Flags::RST | Flags::ACK, &[], 0)
            .is_some()
        {
            shared.counters.tcp_resets_sent += 1;
        }
    }
}
