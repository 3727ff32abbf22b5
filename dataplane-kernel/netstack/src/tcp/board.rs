//! What a flow needs while its data is not simply on its way: the scoreboard, and what loss recovery keeps. Out of a
//! pool, taken when it is needed and given back when all that was sent is acknowledged.

use super::congestion::Congestion;
use super::flow::{Flow, Marks};
use super::rack::Rack;
use super::scoreboard::{NONE, Ranges, Records, Stamp};
use super::{Shared, Tuning};
use crate::Instant;
use crate::seq::SeqNum;
use alloc::boxed::Box;

/// RFC 5681, RFC 6675: what the sender is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// From the first loss found until all that was out then is acknowledged.
    Recovery,
    /// The same after a timeout.
    Loss,
}

/// What was changed by a loss, to be taken back should there have been none (RFC 4015).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    pub(crate) before: Congestion,
    /// Our clock at the first retransmission: an echo from before it tells that the original had arrived (RFC 3522).
    pub(crate) first_again: u32,
    /// Retransmissions of which the peer has not said that it had the data already (RFC 3708).
    pub(crate) unproven: u32,
}

/// A tail loss probe on its way (RFC 8985 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    None,
    /// Of data that had not been sent before.
    New,
    /// Of the last segment, once more.
    Again,
}

/// The state of one flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Board {
    pub(crate) ranges: Ranges,
    /// When the first part of what lies behind the ranges was sent.
    pub(crate) open_since: Stamp,
    pub(crate) rack: Rack,
    pub(crate) phase: Phase,
    /// SND.NXT when the phase began (RFC 6582: recover).
    pub(crate) recover: SeqNum,
    /// Duplicate ACKs of a peer without SACK.
    pub(crate) duplicates: u8,
    /// Bytes that these say have arrived.
    pub(crate) presumed: u32,
    /// RFC 6937: bytes delivered in this recovery, and in flight when it began.
    pub(crate) prr_delivered: u32,
    pub(crate) prr_flight: u32,
    /// The end of what was sent again.
    pub(crate) again_end: SeqNum,
    /// Bytes sent again in this recovery.
    pub(crate) sent_again: u32,
    pub(crate) undo: Option<Undo>,
    pub(crate) probe: Probe,
    /// SND.NXT when the probe was sent.
    pub(crate) probe_end: SeqNum,
    next_free: u32,
}

impl Board {
    fn new(una: SeqNum) -> Self {
        Board {
            ranges: Ranges::new(una),
            open_since: Stamp::default(),
            rack: Rack::new(una),
            phase: Phase::Open,
            recover: una,
            duplicates: 0,
            presumed: 0,
            prr_delivered: 0,
            prr_flight: 0,
            again_end: una,
            sent_again: 0,
            undo: None,
            probe: Probe::None,
            probe_end: una,
            next_free: NONE,
        }
    }

    /// What is to be taken back if the loss that is found now is none. While something that was sent again before is still
    /// out there is no telling: its ACK would speak for what is sent again now.
    pub(crate) fn prepare_undo(&self, una: SeqNum, before: Congestion, first_again: u32) -> Option<Undo> {
        self.again_end.at_or_before(una).then_some(Undo {
            before,
            first_again,
            unproven: 0,
        })
    }

    /// Of `in_flight` bytes from SND.UNA to SND.NXT, those thought to be in the network (RFC 6675 section 4: pipe).
    pub(crate) fn pipe(&self, in_flight: u32) -> u32 {
        let gone = self.ranges.sacked + self.ranges.lost + self.presumed;
        in_flight.saturating_sub(gone)
    }
}

/// All boards of a core, and the records in them.
#[derive(Debug)]
pub(crate) struct Boards {
    boards: Box<[Board]>,
    pub(crate) records: Records,
    free: u32,
    used: u32,
}

impl Boards {
    pub(crate) fn new(boards: u32, records: u32) -> Self {
        let board = |index| Board {
            next_free: if index + 1 < boards { index + 1 } else { NONE },
            ..Board::new(SeqNum(0))
        };
        Boards {
            boards: (0..boards).map(board).collect(),
            records: Records::new(records),
            free: if boards == 0 { NONE } else { 0 },
            used: 0,
        }
    }

    /// Boards in use.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Less than half are in use.
    pub(crate) fn are_plenty(&self) -> bool {
        (self.used as usize) < self.boards.len() / 2
    }

    /// The board of a flow that has one, and the records.
    pub(crate) fn get(&mut self, index: u32) -> Option<(&mut Board, &mut Records)> {
        self.boards
            .get_mut(index as usize)
            .map(|board| (board, &mut self.records))
    }

    fn take(&mut self, una: SeqNum) -> Option<u32> {
        let index = self.free;
        let board = self.boards.get_mut(index as usize)?;
        self.free = board.next_free;
        *board = Board::new(una);
        self.used += 1;
        Some(index)
    }

    fn give_back(&mut self, index: u32) {
        if let Some(board) = self.boards.get_mut(index as usize) {
            board.ranges.clear(&mut self.records);
            board.next_free = self.free;
            self.free = index;
            self.used -= 1;
        }
    }
}

impl Flow {
    /// Has a board from here on, with all that was sent in its ranges; `false` if there is none to be had.
    #[cold]
    #[inline(never)]
    pub(crate) fn ensure_board(&mut self, shared: &mut Shared) -> bool {
        if self.board == NONE {
            // What a timeout without a board sends again, from SND.UNA on, is not told apart from what it sent before.
            if self.snd_nxt != self.snd_max {
                return false;
            }
            let Some(index) = shared.boards.take(self.snd_una) else {
                return false;
            };
            self.board = index;
        }
        let (una, nxt, sent_at) = (self.snd_una, self.snd_nxt, Stamp::of(self.sent_at));
        let Some((board, records)) = shared.boards.get(self.board) else {
            return false;
        };
        board.ranges.push(records, una, nxt, sent_at);
        if board.ranges.end.before(nxt) {
            self.drop_board(shared);
            return false;
        }
        if self.marks.has(Marks::AMBIGUOUS) {
            board.ranges.mark_repeated(records);
        }
        true
    }

    /// Data is about to leave while what was sent before is still out: that gets a range of its own, unless it left a
    /// short time ago. (Not while something sent again is out: a range that seems to have left later than it has, and is
    /// delivered, would have RACK take that for lost.)
    #[cold]
    #[inline(never)]
    pub(crate) fn close_burst(&mut self, shared: &mut Shared, now: Instant) {
        if self.board == NONE {
            if self.ensure_board(shared)
                && let Some((board, _)) = shared.boards.get(self.board)
            {
                board.open_since = Stamp::of(now);
            } else {
                // Of an ACK it can no longer be told when what it acknowledges was sent.
                self.marks.set(Marks::AMBIGUOUS);
            }
            return;
        }
        let (una, nxt, sent_at) = (self.snd_una, self.snd_nxt, Stamp::of(self.sent_at));
        let grain_ns = self.rtt.srtt_ns() >> 6;
        let Some((board, records)) = shared.boards.get(self.board) else {
            return;
        };
        let this = Stamp::of(now);
        if !nxt.after(board.ranges.end) || board.ranges.end.before(una) {
            board.open_since = this;
        } else if board.again_end.after(una) || this.ns_since(board.open_since) > grain_ns {
            board.ranges.push(records, una, nxt, sent_at);
            board.open_since = this;
        }
    }

    /// Gives the board back, with all that is in it.
    pub(crate) fn drop_board(&mut self, shared: &mut Shared) {
        let index = core::mem::replace(&mut self.board, NONE);
        shared.boards.give_back(index);
    }

    /// Bytes thought to be in the network.
    #[inline]
    pub(crate) fn pipe(&self, shared: &mut Shared) -> u32 {
        let in_flight = self.in_flight();
        if self.board == NONE {
            return in_flight;
        }
        shared
            .boards
            .get(self.board)
            .map_or(in_flight, |(board, _)| board.pipe(in_flight))
    }
}

/// How large the pools are.
pub(crate) fn boards(tuning: &Tuning) -> Boards {
    Boards::new(tuning.max_boards, tuning.max_records)
}
