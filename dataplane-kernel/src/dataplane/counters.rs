//! What the launcher reads: every counter of the core under its name, brought up to date when it asks.

use super::Core;
use super::link::Link;
use super::team::{Counter, CounterName};
use crate::nic::Nic;
use crate::user::Seat;
use alloc::vec::Vec;

/// The dataplane's own counters; those of the stack and the NIC stand with them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// `run_io` calls.
    pub(super) run_io_calls: u64,
    /// Commands carried out or refused.
    pub(super) commands: u64,
    /// Commands answered with an error.
    pub(super) commands_refused: u64,
    /// Events delivered.
    pub(super) events: u64,
    /// Cycles that found at least one frame.
    pub(super) rx_batches: u64,
    /// Before each of these, the time since the look before: how long the first of its frames may have waited for the core.
    pub(super) rx_wait_ns: u64,
    /// Cycles that found nothing to do.
    pub(super) idle_polls: u64,
    /// Time for which the processor had nothing to do.
    pub(super) idle_ns: u64,
    /// Times the processor slept.
    pub(super) sleeps: u64,
    /// Of these, those that an interrupt ended before their time: a card's, or another processor's.
    pub(super) roused: u64,
    /// Times it has come to another processor.
    pub(super) moves: u64,
    /// Ticks that found ring 3 computing for longer than the watchdog's limit.
    pub(super) late_ticks: u64,
}

impl Tally {
    fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("core.run_io_calls", self.run_io_calls),
            ("core.commands", self.commands),
            ("core.commands_refused", self.commands_refused),
            ("core.events", self.events),
            ("core.rx_batches", self.rx_batches),
            ("core.rx_wait_ns", self.rx_wait_ns),
            ("core.idle_polls", self.idle_polls),
            ("core.idle_ns", self.idle_ns),
            ("core.sleeps", self.sleeps),
            ("core.roused", self.roused),
            ("core.moves", self.moves),
            ("core.late_ticks", self.late_ticks),
        ]
        .into_iter()
    }
}

impl<N: Nic> Link<N> {
    /// Names and values, in order. Out of line: what iterates over those of a card that may be one of many is large.
    #[inline(never)]
    fn tell_counters(&self, tell: &mut dyn FnMut(Counter)) {
        self.nic.counters().for_each(&mut *tell);
        self.nic.offloads().each().for_each(&mut *tell);
        self.stack.counters().each().for_each(tell);
    }
}

impl<N: Nic> Core<N> {
    /// Those of no link.
    fn own_counters(&self) -> impl Iterator<Item = Counter> + use<'_, N> {
        let (tally, pool) = (self.tally.each(), self.pool.counters());
        tally.chain(pool).chain(self.frames.counters())
    }

    /// Names and values of all, in order.
    fn tell_counters(&self, tell: &mut dyn FnMut(Counter)) {
        self.own_counters().for_each(&mut *tell);
        self.links.iter().for_each(|link| link.tell_counters(tell));
    }

    /// Their names, each with the number of its link where there are several.
    pub fn counter_names(&self) -> Vec<CounterName> {
        let own = self.own_counters();
        let mut names: Vec<_> = own.map(|(name, _)| CounterName { link: None, name }).collect();
        let several = self.links.len() > 1;
        for (number, of_link) in self.links.iter().enumerate() {
            let link = several.then_some(number);
            of_link.tell_counters(&mut |(name, _)| names.push(CounterName { link, name }));
        }
        names
    }

    /// Answers a request of the launcher's, if there is a new one.
    pub(super) fn answer_counters(&self, seat: &Seat) {
        let app = || seat.app().counters();
        self.team
            .answer(self.number, |tell| self.tell_counters(tell), app);
    }

    /// Writes all values, as they stand.
    pub(super) fn publish_counters(&self, seat: &Seat) {
        let own = |tell: &mut dyn FnMut(Counter)| self.tell_counters(tell);
        self.team.publish(self.number, own, seat.app().counters());
    }
}
