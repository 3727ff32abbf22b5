//! The frames of a transmit queue, in the order in which they were queued and are let go of. A frame's ticket is the number of
//! frames before it, modulo 2^32.

use super::pairs::{Progress, Standstill};
use netstack::TxTicket;

#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// Frames queued, and of those let go of.
    queued: u32,
    done: u32,
    standstill: Standstill,
}

impl Tickets {
    /// For a frame that is queued.
    #[inline(always)]
    pub(super) fn issue(&mut self) -> TxTicket {
        let ticket = TxTicket(self.queued);
        self.queued = self.queued.wrapping_add(1);
        ticket
    }

    /// For a frame that is not, and so is done at once.
    #[inline(always)]
    pub(super) fn refuse(&self) -> TxTicket {
        TxTicket(self.done.wrapping_sub(1))
    }

    /// Frames queued so far.
    #[inline(always)]
    pub(super) fn queued(&self) -> u32 {
        self.queued
    }

    /// See [`super::Nic::tx_done`].
    #[inline(always)]
    pub(super) fn is_done(&self, ticket: TxTicket) -> bool {
        let ahead = self.done.wrapping_sub(ticket.0);
        ahead != 0 && ahead < 1 << 31
    }

    /// All are done.
    #[inline(always)]
    pub(super) fn is_idle(&self) -> bool {
        self.done == self.queued
    }

    /// The oldest frame is done.
    #[inline(always)]
    pub(super) fn let_go(&mut self) {
        self.done = self.done.wrapping_add(1);
    }

    /// All frames are, sent or not, because the device is not going to touch them any more.
    pub(super) fn abandon(&mut self) {
        self.done = self.queued;
        self.standstill = Standstill::default();
    }

    /// Whether any was let go of since this was last asked.
    pub(super) fn progress(&mut self) -> Progress {
        self.standstill.look(self.done, self.is_idle())
    }
}

#[cfg(test)]
mod tests {
    use super::Tickets;
    use netstack::TxTicket;

    #[test]
    fn frames_are_done_in_their_order_for_ever() {
        let mut tickets = Tickets {
            queued: u32::MAX - 1,
            done: u32::MAX - 1,
            ..Tickets::default()
        };
        assert!(tickets.is_idle() && tickets.is_done(tickets.refuse()));
        let all: [TxTicket; 4] = core::array::from_fn(|_| tickets.issue());
        assert_eq!(
            (all[1], all[2], tickets.queued()),
            (TxTicket(u32::MAX), TxTicket(0), 2)
        );
        for done in 0..4 {
            assert!(!tickets.is_idle());
            for (number, ticket) in all.into_iter().enumerate() {
                assert_eq!(tickets.is_done(ticket), number < done);
            }
            assert!(tickets.is_done(tickets.refuse()));
            tickets.let_go();
        }
        assert!(tickets.is_idle());
        let last = tickets.issue();
        tickets.abandon();
        assert!(tickets.is_done(last) && tickets.is_idle());
    }
}
