//! The last segments of a flight may be lost without anything behind them that could show it: a probe brings the ACK
//! that does, sooner than a timeout (RFC 8985 section 7).

use super::Shared;
use super::board::{Phase, Probe};
use super::flow::{Flow, Marks};
use super::output::Blocked;
use super::recovery::News;
use super::scoreboard::NONE;
use crate::{Env, Instant};

/// How long a peer may delay the ACK of a single segment (WCDelAckT).
const PEER_DELAY_NS: u64 = 200_000_000;
/// Ticks of the timer wheel that the shortest timeout has.
const LEAST_NS: u64 = 16 << 14;

impl Flow {
    /// Section 7.2: the probe timeout, if one is to be sent before a timeout of `rto_ns`.
    #[inline]
    pub(crate) fn probe_timeout_ns(&self, rto_ns: u64) -> Option<u64> {
        // Nearly always: a single segment, whose ACK may be delayed for as long as the timeout.
        if rto_ns <= PEER_DELAY_NS && self.in_flight() <= u32::from(self.mss) {
            return None;
        }
        self.probe_timeout_of_flight(rto_ns)
    }

    #[inline(never)]
    fn probe_timeout_of_flight(&self, rto_ns: u64) -> Option<u64> {
        let unfit = Marks::PERSIST.or(Marks::AMBIGUOUS);
        let srtt_ns = self.rtt.srtt_ns();
        if !self.marks.has(Marks::SACK) || self.marks.has_any(unfit) || self.backoff > 0 || srtt_ns == 0 {
            return None;
        }
        let delay_ns = if self.in_flight() > u32::from(self.mss) {
            0
        } else {
            PEER_DELAY_NS
        };
        let timeout_ns = (2 * srtt_ns + delay_ns).max(LEAST_NS);
        (timeout_ns < rto_ns).then_some(timeout_ns)
    }

    /// Nothing stands against a probe: no recovery, nothing known beyond a hole, no other probe out.
    pub(crate) fn may_probe(&self, shared: &mut Shared) -> bool {
        let Some((board, _)) = shared.boards.get(self.board) else {
            return self.board == NONE;
        };
        board.phase == Phase::Open
            && board.probe == Probe::None
            && board.ranges.sacked == 0
            && board.ranges.lost == 0
    }

    /// Section 7.3: the probe timeout has come.
    #[cold]
    #[inline(never)]
    pub(crate) fn on_probe_timeout(&mut self, shared: &mut Shared, now: Instant) {
        let rto_ns = self.rtt.rto_ns(0, shared.tuning.rto_bounds);
        let waited_ns = self.probe_timeout_ns(rto_ns).unwrap_or(0);
        if self.snd_una != self.snd_max && self.may_probe(shared) && self.ensure_board(shared) {
            self.marks.set(Marks::PROBE_TAIL);
            self.make_dirty(shared);
            return self.start_timeout(shared, now);
        }
        // Then the timeout comes when it would have.
        self.rto_at = now.after_ns(rto_ns - waited_ns);
        self.arm(shared, self.rto_at);
    }

    /// The probe leaves: the next segment of new data if the peer has room for it, else the last one again.
    pub(crate) fn probe_tail<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if self.snd_una == self.snd_nxt || self.board == NONE {
            return Ok(());
        }
        let (una, nxt, mss) = (self.snd_una, self.snd_nxt, u32::from(self.mss));
        let unsent = nxt.distance_to(self.snd_end);
        let room = self.snd_wnd.saturating_sub(self.in_flight());
        let fresh = !self.marks.has(Marks::FIN_SENT) && unsent > 0 && room >= unsent.min(mss);
        if fresh {
            let cut = self.send.cut(&shared.spans, unsent.min(mss));
            self.close_burst(shared, now);
            self.transmit_data(shared, env, now, cut.spans(), cut.len, false)?;
        } else {
            let from = nxt - self.in_flight().min(mss);
            self.transmit_range(shared, env, now, from, nxt)?;
        }
        shared.counters.tcp_tail_probes += 1;
        if let Some((board, _)) = shared.boards.get(self.board) {
            board.probe = if fresh { Probe::New } else { Probe::Again };
            board.probe_end = self.snd_nxt;
        }
        debug_assert!(una.at_or_before(self.snd_nxt));
        Ok(())
    }

    /// Section 7.4: has a probe repaired a loss that nobody else has seen? Then the window has to react to it.
    pub(crate) fn conclude_probe(&mut self, shared: &mut Shared, news: &News) {
        let (una, flight, mss) = (self.snd_una, self.flight_size(), u32::from(self.mss));
        let Some((board, _)) = shared.boards.get(self.board) else {
            return;
        };
        if board.probe == Probe::None || una.before(board.probe_end) {
            return;
        }
        let told_twice = news.tells_twice(board.probe_end);
        if board.probe == Probe::New || told_twice || news.is_bare_duplicate() {
            board.probe = Probe::None;
        } else if una.after(board.probe_end) {
            board.probe = Probe::None;
            self.congestion.on_loss(flight, mss);
            self.congestion.on_recovered();
        }
    }
}
