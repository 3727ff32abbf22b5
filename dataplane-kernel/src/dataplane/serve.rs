//! The life of the app on a core: ring 3 runs, and what makes it leave is served, until it ends.

use super::transmit::Wire;
use super::{Core, now};
use crate::host;
use crate::nic::Nic;
use crate::user::{Leave, Process};
use core::sync::atomic::Ordering;
use core::time::Duration;
use ix_abi::app::Status;
use ix_abi::host::area::Outcome;

/// How long what was sent before the end may take to be acknowledged.
const LINGER: Duration = Duration::from_millis(500);

/// Stop word by which the launcher ends the app instead of asking it.
const STOP_NOW: u32 = 2;

/// SIGKILL, the outcome of an app that was ended.
const SIGKILL: u8 = 9;

impl<N: Nic> Core<N> {
    /// Runs the app to its end, and its connections to theirs.
    pub fn serve(&mut self, process: &mut Process, watchdog: Duration) -> Outcome {
        self.describe_counters(process);
        self.stack
            .announce(&mut Wire::new(&mut self.nic, &mut self.pool), now());
        let outcome = self.run(process, watchdog);
        self.linger(process);
        self.nic.stop();
        self.publish_counters(process);
        outcome
    }

    fn run(&mut self, process: &mut Process, watchdog: Duration) -> Outcome {
        loop {
            match process.run() {
                Leave::RunIo(call) => {
                    let result = self.run_io(process, &call);
                    process.finish_call(result.map_or_else(|e| e.negated().into(), i64::from));
                }
                Leave::IoSetup => {
                    let result = process.claim_dataplane_thread().map(|()| self.io.address().0);
                    process.finish_call(result.map_or_else(
                        |e: Status| e.negated().into(),
                        |address| i64::try_from(address).unwrap_or(i64::MAX),
                    ));
                }
                Leave::Tick => {
                    self.watch(process, watchdog);
                    self.attend();
                }
                Leave::Idle { deadline_ns } => self.sleep(process, deadline_ns),
                Leave::Ended(outcome) => return outcome,
            }
            if told_to_stop_now() {
                log::warn!("the app did not finish in time; ending it");
                return Outcome::Signalled(SIGKILL);
            }
        }
    }

    /// No thread can run until `deadline_ns`, or until the launcher has answered one: the network goes on.
    fn sleep(&mut self, process: &Process, deadline_ns: Option<u64>) {
        while deadline_ns.is_none_or(|deadline| now().0 < deadline)
            && !process.has_answer()
            && !told_to_stop_now()
        {
            self.attend();
            self.pause(process, now());
        }
    }

    fn watch(&mut self, process: &Process, limit: Duration) {
        self.answer_counters(process);
        let computing = Duration::from_nanos(process.in_ring3_since_ns(now().0));
        if computing > limit {
            if self.tally.late_ticks == 0 {
                log::warn!(
                    "ring 3 has computed for {computing:?} since its last run_io; its peers get ACKs only"
                );
            }
            self.tally.late_ticks += 1;
        }
    }

    /// Ends the connections the app left open: what it had sent is delivered if that takes no longer than [`LINGER`];
    /// then whatever is left is reset, so that no peer waits for a machine that is gone.
    fn linger(&mut self, process: &Process) {
        let until = Duration::from_nanos(now().0) + LINGER;
        let Core { nic, pool, stack, .. } = self;
        stack.close_all(&mut Wire::new(nic, pool), now());
        while self.stack.has_unfinished_flows() && Duration::from_nanos(now().0) < until {
            self.attend();
            self.pause(process, now());
        }
        let Core { nic, pool, stack, .. } = self;
        stack.abort_all(&mut Wire::new(nic, pool), now());
        self.attend();
        while !self.nic.tx_idle() && Duration::from_nanos(now().0) < until + LINGER {
            self.nic.reclaim_tx();
            self.pause(process, now());
        }
    }
}

/// The launcher has run out of patience with the app.
pub(super) fn told_to_stop_now() -> bool {
    host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) >= STOP_NOW)
}
