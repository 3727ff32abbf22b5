//! What the launcher reads: every counter of the core under its name, brought up to date when it asks.

use super::Core;
use crate::host;
use crate::nic::Nic;
use crate::user::Process;
use core::sync::atomic::Ordering;

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
    /// Cycles that found nothing to do.
    pub(super) idle_polls: u64,
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
            ("core.idle_polls", self.idle_polls),
            ("core.late_ticks", self.late_ticks),
        ]
        .into_iter()
    }
}

impl<N: Nic> Core<N> {
    fn each_counter(&self, process: &Process) -> impl Iterator<Item = (&'static str, u64)> + use<'_, N> {
        let (tally, app, pool) = (self.tally.each(), process.counters(), self.pool.counters());
        let stack = self.stack.counters().each();
        tally
            .chain(app)
            .chain(pool)
            .chain(self.nic.counters())
            .chain(stack)
    }

    /// Once, at boot: names.
    pub(super) fn describe_counters(&self, process: &Process) {
        if let Some(area) = host::area() {
            area.counters
                .describe(self.each_counter(process).map(|(name, _)| name));
            self.publish_counters(process);
        }
    }

    /// Answers a request of the launcher's, if there is a new one.
    pub(super) fn answer_counters(&self, process: &Process) {
        let Some(area) = host::area() else { return };
        let requested = area.counters.requested.load(Ordering::Acquire);
        if requested != area.counters.answered.load(Ordering::Relaxed) {
            self.publish_counters(process);
            area.counters.answered.store(requested, Ordering::Release);
        }
    }

    /// Writes all values, as they stand.
    pub(super) fn publish_counters(&self, process: &Process) {
        if let Some(area) = host::area() {
            area.counters
                .publish(self.each_counter(process).map(|(_, value)| value));
        }
    }
}
