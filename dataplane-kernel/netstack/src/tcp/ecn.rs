//! Explicit congestion notification (RFC 3168 section 6.1): routers mark packets that they would have to drop otherwise,
//! the receiver tells the sender, and that reduces its window without anything being lost. With DCTCP on our side (RFC
//! 8257) the marks are told one by one.

use super::Shared;
use super::board::Phase;
use super::emit::{Cut, Outgoing};
use super::flow::{Flow, Marks, State};
use super::receive::Arrival;
use crate::config::EcnPolicy;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::{Flags, Segment};
use crate::{Env, Instant, Span, TxTicket};

// Where a mark stands the header has its bit: what data needs of these is one shift away.
const _: () = assert!(Marks::ECN.upper_bits() == Ecn::ECT0.bits());
const _: () = assert!(Marks::ECHO.upper_bits() == Flags::ECE.bits());
const _: () = assert!(Marks::REDUCED.upper_bits() == Flags::CWR.bits());

/// Both bits of a SYN that asks for ECN (section 6.1.1).
const SETUP: u8 = Flags::ECE.bits() | Flags::CWR.bits();

impl Flow {
    /// Section 6.1.1: what our SYN, or SYN and ACK, says about it. The first SYN asks; one that is sent again does not, as
    /// there are ways on which such SYNs are lost (section 6.1.1.1).
    pub(crate) fn ecn_setup(&mut self, shared: &Shared) -> Flags {
        if self.state == State::SynReceived {
            return Flags::of_bits(if self.marks.has(Marks::ECN) {
                Flags::ECE.bits()
            } else {
                0
            });
        }
        let policy = shared.tuning.ecn;
        let wants = policy == EcnPolicy::Ask || self.marks.has(Marks::ASKS_ECN) || self.congestion.is_dctcp();
        let asks = wants && policy != EcnPolicy::Off && self.snd_max == self.iss;
        self.marks.clear(Marks::ASKS_ECN);
        if asks {
            self.marks.set(Marks::ASKS_ECN);
        }
        Flags::of_bits(if asks { SETUP } else { 0 })
    }

    /// The peer's SYN has come with these flags.
    pub(crate) fn agree_on_ecn(&mut self, shared: &Shared, flags: Flags) {
        let said = flags.bits() & SETUP;
        let agreed = if flags.contains(Flags::ACK) {
            // Both bits are those of a host that sends back what it does not know.
            said == Flags::ECE.bits() && self.marks.has(Marks::ASKS_ECN)
        } else {
            said == SETUP && shared.tuning.ecn != EcnPolicy::Off
        };
        if agreed {
            self.marks.set(Marks::ECN);
            self.marked_until = self.iss;
        }
    }

    /// Once more, before the handshake is over: the peer may have given it up.
    pub(crate) fn reconsider_ecn(&mut self, flags: Flags) {
        if flags.bits() & SETUP != SETUP {
            self.marks.clear(Marks::ECN);
        }
    }

    /// Puts data at SND.NXT on the wire, of a flow with ECN, or several segments at once. What is sent again does without ECN
    /// (section 6.1.5). Apart, so that for one segment without it both headers are nearly constant: that saves 30 instructions.
    #[inline(never)]
    pub(crate) fn put_apart<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        flags: Flags,
        payload: &[Span],
        len: u32,
    ) -> Option<TxTicket> {
        let (bits, ecn) = self.ecn_of_data();
        let data = Outgoing {
            seq: self.snd_nxt,
            flags: flags | bits,
            window: self.announce_window(shared),
            options: &[],
            payload,
            len,
            ecn,
            cut: if len > u32::from(self.mss) {
                Cut::ByDevice
            } else {
                Cut::One
            },
        };
        self.emit_outgoing(shared, env, now, &data)
    }

    /// What data at SND.NXT says about marks, in its TCP header and in that of IP.
    #[inline]
    pub(crate) fn ecn_of_data(&self) -> (Flags, Ecn) {
        let mut bits = self.marks.upper_bits();
        if self.snd_nxt.before(self.snd_max) {
            bits &= Flags::ECE.bits();
        }
        (
            Flags::of_bits(bits & SETUP),
            Ecn::of_class(bits & Ecn::ECT0.bits()),
        )
    }

    /// What any other segment tells of the marks that have come.
    #[inline]
    pub(crate) fn echo_for(&self, flags: Flags) -> Flags {
        if flags.contains(Flags::RST) {
            return Flags::NONE;
        }
        Flags::of_bits(self.marks.upper_bits() & Flags::ECE.bits())
    }

    /// Receiver: an acceptable segment, marked or not. Section 6.1.3: from a mark on each ACK tells, until the peer says
    /// that it has reduced its window.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_mark<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        arrival: &Arrival<'_>,
    ) {
        let (segment, is_marked) = (arrival.segment, arrival.ecn == Ecn::CE);
        if segment.payload.is_empty() {
            return;
        }
        shared.counters.tcp_ecn_marked += u64::from(is_marked);
        if self.congestion.is_dctcp() {
            return self.follow_marks(shared, env, now, is_marked);
        }
        if segment.flags.contains(Flags::CWR) {
            self.marks.clear(Marks::ECHO);
        }
        if is_marked {
            self.marks.set(Marks::ECHO);
            self.ack_now(shared);
        }
    }

    /// RFC 8257 section 3.2: an ACK stands for marked segments or for others, never for both. When that changes, those
    /// that came before are acknowledged first.
    fn follow_marks<E: Env>(&mut self, shared: &mut Shared, env: &mut E, now: Instant, is_marked: bool) {
        if is_marked == self.marks.has(Marks::ECHO) {
            return;
        }
        let owes = self.marks.has_any(Marks::ACK_NOW.or(Marks::ACK_DELAYED));
        if owes && self.neighbor_epoch != 0 {
            // In a full ring the change is told a little late.
            let _ = self.transmit_ack(shared, env, now);
        }
        self.marks.clear(Marks::ECHO);
        if is_marked {
            self.marks.set(Marks::ECHO);
        }
        self.ack_now(shared);
    }

    /// Sender: an acceptable ACK that tells of marks. Section 6.1.2: the window is reduced as if there had been a loss, once
    /// per window of data, and such an ACK lets nothing grow.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_echoed_ack(&mut self, shared: &mut Shared, now: Instant, segment: &Segment<'_>) {
        let was_open = self.is_open(shared);
        let acked = u32::try_from(self.snd_una.signed_distance_to(segment.ack)).unwrap_or(0);
        self.congestion
            .on_marked(&self.acked(acked, segment.ack.later_of(self.snd_una)));
        if segment.ack.after(self.marked_until) {
            if was_open {
                self.reduce_for_mark(shared);
            }
            self.marked_until = self.snd_nxt;
            self.marks.set(Marks::REDUCED);
        }
        let most = self.congestion.window();
        self.take_ack_fields(shared, now, segment);
        if was_open && self.is_open(shared) {
            self.congestion.set_window(most.min(self.congestion.window()));
        }
    }

    /// Nothing is known to be lost.
    fn is_open(&self, shared: &mut Shared) -> bool {
        let board = shared.boards.get(self.board);
        board.is_none_or(|(board, _)| board.phase == Phase::Open)
    }

    fn reduce_for_mark(&mut self, shared: &mut Shared) {
        let (flight, mss) = (self.flight_size(), u32::from(self.mss));
        shared.counters.tcp_ecn_reductions += 1;
        self.congestion.on_mark(flight, mss);
        if let Some((board, _)) = shared.boards.get(self.board) {
            // What was before is not to come back.
            board.undo = None;
        }
    }

    /// Our SYN is to ask for ECN, whatever the stack's configuration says; `false` if it has left already.
    pub(crate) fn ask_for_ecn(&mut self) -> bool {
        let may = self.state == State::SynSent && self.snd_max == self.iss;
        if may {
            self.marks.set(Marks::ASKS_ECN);
        }
        may
    }
}
