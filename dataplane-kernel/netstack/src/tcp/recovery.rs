//! Loss recovery: what an ACK tells of the data on its way, and what follows (RFC 6675 section 5 with RFC 8985 to find
//! the losses; RFC 6937 for how much leaves meanwhile; RFC 6582 for peers without SACK; RFC 4015 should there have been
//! no loss).
//!
//! Only flows with a [`Board`] come here.

use super::board::{Board, Phase, Probe};
use super::flow::{Flow, Marks};
use super::scoreboard::{Delivered, Stamp};
use super::{Shared, timestamp_clock};
use crate::Instant;
use crate::seq::SeqNum;
use crate::wire::tcp_options::{SackBlock, SackBlocks};

/// Duplicate ACKs that say a segment is lost (RFC 5681 section 3.2), for peers without SACK.
const DUPLICATES: u8 = 3;

/// What one ACK has told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// By how much it moved SND.UNA.
    pub(crate) acked: u32,
    /// TSecr, if timestamps are used.
    pub(crate) echo: Option<u32>,
    /// A duplicate ACK by RFC 5681 section 2.
    pub(crate) is_duplicate: bool,
    /// Bytes delivered that were not known to be.
    delivered: u32,
    /// When the latest of those that were sent once were sent.
    original: Option<Stamp>,
    /// Data was among them that had been sent more than once.
    repeated: bool,
    /// Data came twice (RFC 2883).
    dsack: Option<SackBlock>,
    /// It told of data beyond a hole.
    sacked: bool,
}

impl News {
    /// An ACK with this TSecr, of which nothing more is known yet.
    pub(crate) fn new(echo: Option<u32>) -> Self {
        News {
            echo,
            ..News::default()
        }
    }

    /// RFC 8985 section 7.4: the segment that ends at `end` came twice.
    pub(crate) fn tells_twice(&self, end: SeqNum) -> bool {
        self.dsack.is_some_and(|block| block.end == end)
    }

    /// A duplicate ACK that tells of nothing beyond a hole.
    pub(crate) fn is_bare_duplicate(&self) -> bool {
        self.is_duplicate && !self.sacked
    }

    fn take(&mut self, range: Delivered) {
        self.delivered += range.start.distance_to(range.end);
        if range.repeated {
            self.repeated = true;
        } else {
            let later = self.original.is_none_or(|at| range.at.is_after(at));
            self.original = if later { Some(range.at) } else { self.original };
        }
    }
}

impl Flow {
    /// SND.UNA has moved from `from`. To be called before [`Flow::learn_sacked`] and [`Flow::conclude`].
    pub(crate) fn learn_acked(&mut self, shared: &mut Shared, now: Instant, from: SeqNum, news: &mut News) {
        let (una, min_rtt_ns) = (self.snd_una, self.rtt.min_ns());
        let Some((board, records)) = shared.boards.get(self.board) else {
            return;
        };
        news.acked = from.distance_to(una);
        let end = board.ranges.end;
        let first_again = board.undo.map(|undo| undo.first_again);
        let is_original = is_before(news.echo, first_again);
        let Board { ranges, rack, .. } = board;
        ranges.acknowledge(records, from, una, |range| {
            news.take(range);
            rack.delivered(now, range, min_rtt_ns, is_original);
        });
        if una.after(end) {
            // What lies behind the ranges was sent at one time.
            let start = end.later_of(from);
            let open = Delivered {
                start,
                end: una,
                at: Stamp::of(self.sent_at),
                repeated: self.marks.has(Marks::AMBIGUOUS),
            };
            news.take(open);
            board.rack.delivered(now, open, min_rtt_ns, false);
        }
        let presumed = news.acked.saturating_sub(self.mss.into());
        board.presumed = board.presumed.saturating_sub(presumed).min(self.in_flight());
        board.duplicates = 0;
        self.time_delivered(shared, now, news);
    }

    /// RFC 6298 section 3 (Karn), or by the echo where that is no help (RFC 7323 section 4.1).
    fn time_delivered(&mut self, shared: &Shared, now: Instant, news: &News) {
        let bounds = shared.tuning.rto_bounds;
        if let Some(at) = news.original.filter(|_| !news.repeated) {
            self.rtt.sample(Stamp::of(now).ns_since(at).max(1), bounds);
        } else if let Some(echo) = news.echo.filter(|echo| *echo != 0 && news.delivered > 0) {
            let ticks = timestamp_clock(now)
                .wrapping_add(self.ts_offset)
                .wrapping_sub(echo);
            let ns = (u64::from(ticks) << 20).max(1 << 19);
            if ns < bounds.max_ns {
                self.rtt.sample(ns, bounds);
            }
        }
    }

    /// The peer's SACK blocks (RFC 2018; RFC 2883 for the first of them). What cannot be is ignored.
    pub(crate) fn learn_sacked(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        blocks: &SackBlocks,
        news: &mut News,
    ) {
        let blocks = blocks.as_slice();
        let [first, rest @ ..] = blocks else { return };
        let una = self.snd_una;
        // RFC 2883 section 4: below the ACK, or within the second block.
        let inside =
            |outer: &SackBlock| first.start.at_or_after(outer.start) && first.end.at_or_before(outer.end);
        let is_dsack = first.start.before(una) || rest.first().is_some_and(inside);
        if is_dsack && first.start.at_or_after(una - self.snd_wnd_max.max(1)) && first.start.before(first.end)
        {
            news.dsack = Some(*first);
        }
        if una == self.snd_nxt || !self.ensure_board(shared) {
            return;
        }
        let (nxt, min_rtt_ns) = (self.snd_nxt, self.rtt.min_ns());
        let Some((board, records)) = shared.boards.get(self.board) else {
            return;
        };
        let Board { ranges, rack, .. } = board;
        for block in blocks.iter().filter(|block| is_possible(block, una, nxt)) {
            let block = SackBlock {
                start: block.start.later_of(una),
                end: block.end,
            };
            ranges.sack(records, una, block, |range| {
                news.take(range);
                news.sacked = true;
                rack.delivered(now, range, min_rtt_ns, false);
            });
        }
    }

    /// Everything an ACK had to tell is known: what follows for the window, and for what is to be sent.
    #[inline(never)]
    pub(crate) fn conclude(&mut self, shared: &mut Shared, now: Instant, news: &News) {
        self.conclude_probe(shared, news);
        self.undo_if_spurious(shared, news);
        let left = self.leave_phase(shared);
        self.find_losses(shared, now, news);
        if !left {
            self.set_window(shared, now, news);
        }
        self.release_board_if_done(shared);
        self.make_dirty(shared);
    }

    /// RFC 4015: back to what was before, if the echo of what moved SND.UNA is older than the first retransmission (RFC
    /// 3522), or all retransmissions have come twice (RFC 3708).
    fn undo_if_spurious(&mut self, shared: &mut Shared, news: &News) {
        let una = self.snd_una;
        let Some((board, records)) = shared.boards.get(self.board) else {
            return;
        };
        if news.dsack.is_some() {
            board.rack.on_dsack(una, self.snd_nxt);
        }
        let Some(undo) = &mut board.undo else { return };
        if news.dsack.is_some() {
            undo.unproven = undo.unproven.saturating_sub(1);
        }
        let by_echo = news.acked > 0 && is_before(news.echo, Some(undo.first_again));
        let by_dsack = news.dsack.is_some() && undo.unproven == 0;
        if !by_echo && !by_dsack {
            return;
        }
        shared.counters.tcp_spurious += 1;
        self.congestion = undo.before;
        self.backoff = 0;
        board.undo = None;
        board.phase = Phase::Open;
        board.presumed = 0;
        board.ranges.unmark_lost(records);
    }

    /// RFC 6675 section 5 step A: all that was out when the losses were found is acknowledged. `true` if that is so; such
    /// an ACK does not grow the window.
    fn leave_phase(&mut self, shared: &mut Shared) -> bool {
        let una = self.snd_una;
        let Some((board, _)) = shared.boards.get(self.board) else {
            return false;
        };
        if board.phase == Phase::Open || una.before(board.recover) {
            return false;
        }
        if board.phase == Phase::Recovery {
            self.congestion.on_recovered();
            board.rack.on_recovered();
        }
        board.phase = Phase::Open;
        board.presumed = 0;
        // `undo` stays until the next loss: a DSACK comes after the ACK.
        true
    }

    /// RFC 8985, or RFC 6582 for peers without SACK; and the begin of a recovery.
    fn find_losses(&mut self, shared: &mut Shared, now: Instant, news: &News) {
        let has_sack = self.marks.has(Marks::SACK);
        let (una, mss) = (self.snd_una, u32::from(self.mss));
        let is_new = if has_sack {
            self.find_losses_by_time(shared, now)
        } else {
            let in_flight = self.in_flight();
            let Some((board, records)) = shared.boards.get(self.board) else {
                return;
            };
            if news.is_duplicate {
                board.duplicates = board.duplicates.saturating_add(1);
                board.presumed = (board.presumed + mss).min(in_flight.saturating_sub(mss));
            }
            let third = board.phase == Phase::Open && board.duplicates == DUPLICATES;
            let partial = board.phase == Phase::Recovery && news.acked > 0;
            if third || partial {
                board.ranges.mark_front_lost(records, una, mss) > 0
            } else {
                false
            }
        };
        if is_new {
            self.enter_recovery(shared, now);
        }
    }

    /// What RACK finds; `true` if that is anything. To be called again when the timer says so.
    pub(crate) fn find_losses_by_time(&mut self, shared: &mut Shared, now: Instant) -> bool {
        let (una, mss) = (self.snd_una, u32::from(self.mss));
        let Some((board, records)) = shared.boards.get(self.board) else {
            return false;
        };
        if board.ranges.sacked == 0 && board.phase == Phase::Open {
            board.rack.all_in_order();
            return false;
        }
        let sure = board.phase != Phase::Open || board.ranges.sacked >= u32::from(DUPLICATES) * mss;
        let Board { ranges, rack, .. } = board;
        let lost = rack.find_lost(ranges, records, una, now, &self.rtt, sure);
        let look_at = rack.look_at;
        if look_at != Instant::FAR {
            self.arm(shared, look_at);
        }
        lost > 0
    }

    /// Losses were found. One window reduction per round trip (RFC 6675 section 5 step 4).
    pub(crate) fn enter_recovery(&mut self, shared: &mut Shared, now: Instant) {
        let (nxt, in_flight, mss) = (self.snd_nxt, self.in_flight(), u32::from(self.mss));
        let (una, flight) = (self.snd_una, self.flight_size());
        let first_again = timestamp_clock(now).wrapping_add(self.ts_offset);
        let Some((board, _)) = shared.boards.get(self.board) else {
            return;
        };
        if board.phase != Phase::Open {
            return;
        }
        shared.counters.tcp_fast_retransmits += 1;
        board.undo = board.prepare_undo(una, self.congestion, first_again);
        board.phase = Phase::Recovery;
        board.recover = nxt;
        (board.prr_delivered, board.prr_flight, board.sent_again) = (0, flight.max(mss), 0);
        board.probe = Probe::None;
        self.congestion.on_loss(flight, mss);
        let pipe = board.pipe(in_flight);
        self.congestion.set_window(pipe.saturating_add(mss));
    }

    /// FlightSize (RFC 5681 section 2), as it was before the ACKs of this batch: what they have acknowledged would have
    /// been replaced, one by one. No more than the window: SND.UNA..SND.NXT also holds what the peer has beyond a hole,
    /// and where that is more than the window, a loss would widen it.
    pub(crate) fn flight_size(&self) -> u32 {
        self.in_flight()
            .max(self.flight_peak)
            .min(self.congestion.window())
    }

    /// How much may be out: RFC 6937 in recovery, else what congestion control says.
    fn set_window(&mut self, shared: &mut Shared, now: Instant, news: &News) {
        let (in_flight, nxt, mss) = (self.in_flight(), self.snd_nxt, u32::from(self.mss));
        let acked = self.acked(news.acked, self.snd_una);
        let Some((board, _)) = shared.boards.get(self.board) else {
            return;
        };
        match board.phase {
            Phase::Open if news.acked > 0 => self.congestion.on_ack(&acked, now, &self.rtt),
            Phase::Loss if news.acked > 0 => self.congestion.on_ack_after_timeout(&acked, now, &self.rtt),
            Phase::Open | Phase::Loss => {}
            Phase::Recovery => {
                let presumed = if news.is_duplicate && !self.marks.has(Marks::SACK) {
                    mss
                } else {
                    0
                };
                let delivered = news.delivered + presumed;
                if delivered == 0 {
                    return;
                }
                board.prr_delivered = board.prr_delivered.saturating_add(delivered);
                let sent = board.recover.distance_to(nxt) + board.sent_again;
                let may_send = proportional(board, board.pipe(in_flight), delivered, sent, mss, {
                    let threshold = self.congestion.threshold();
                    if news.acked > 0 && board.ranges.lost == 0 {
                        Reduction::SlowStart(threshold)
                    } else {
                        Reduction::Conservative(threshold)
                    }
                });
                // The first retransmission leaves in any case.
                let least = if board.sent_again == 0 { mss } else { 0 };
                let window = board.pipe(in_flight).saturating_add(may_send.max(least));
                self.congestion.set_window(window.max(mss));
            }
        }
    }

    /// Nothing is out and nothing is wrong: the board is of no use. While there are plenty it stays for a DSACK that may
    /// come.
    fn release_board_if_done(&mut self, shared: &mut Shared) {
        let idle = self.snd_una == self.snd_max;
        let plenty = shared.boards.are_plenty();
        let Some((board, _)) = shared.boards.get(self.board) else {
            return;
        };
        let waits = board.probe == Probe::Again || board.undo.is_some_and(|undo| undo.unproven > 0);
        if idle && board.phase == Phase::Open && !(waits && plenty) {
            self.drop_board(shared);
        }
    }
}

/// How PRR goes on once the pipe has come down to the threshold.
#[derive(Clone, Copy, Debug)]
enum Reduction {
    /// PRR-SSRB: SND.UNA moved and nothing more was found lost.
    SlowStart(u32),
    /// PRR-CRB.
    Conservative(u32),
}

/// RFC 6937 section 3: how many bytes may leave now. (A division, once per ACK of a recovery.)
#[allow(clippy::cast_possible_truncation, reason = "clamped to 32 bits")]
fn proportional(board: &Board, pipe: u32, delivered: u32, sent: u32, mss: u32, reduction: Reduction) -> u32 {
    let (Reduction::SlowStart(threshold) | Reduction::Conservative(threshold)) = reduction;
    if pipe > threshold {
        let product = u64::from(board.prr_delivered) * u64::from(threshold);
        let share = product.div_ceil(u64::from(board.prr_flight.max(1)));
        return (share.min(u64::from(u32::MAX)) as u32).saturating_sub(sent);
    }
    let kept = board.prr_delivered.saturating_sub(sent);
    let limit = match reduction {
        Reduction::SlowStart(_) => kept.max(delivered).saturating_add(mss),
        Reduction::Conservative(_) => kept,
    };
    limit.min(threshold - pipe)
}

/// A block of what was sent: RFC 2018 section 3, and whoever forges one gains nothing.
fn is_possible(block: &SackBlock, una: SeqNum, nxt: SeqNum) -> bool {
    block.start.before(block.end) && block.end.after(una) && block.end.at_or_before(nxt) && {
        // Half of the number space is before, half after.
        una.distance_to(nxt) >= block.start.later_of(una).distance_to(block.end)
    }
}

/// An echo of a time before this one.
fn is_before(echo: Option<u32>, time: Option<u32>) -> bool {
    match (echo, time) {
        (Some(echo), Some(time)) => time.wrapping_sub(echo).cast_signed() > 0,
        _ => false,
    }
}
