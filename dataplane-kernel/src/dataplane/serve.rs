//! The life of the app on a core: ring 3 runs, and what makes it leave is served, until it ends.

use super::transmit::Wire;
use super::{Core, now};
use crate::host;
use crate::nic::Nic;
use crate::user::{Leave, Seat};
use core::sync::atomic::Ordering;
use core::time::Duration;

/// How long what was sent before the end may take to be acknowledged.
const LINGER: Duration = Duration::from_millis(500);

/// Stop word by which the launcher ends the app instead of asking it.
const STOP_NOW: u32 = 2;

/// Outcomes of an app that was ended: by the launcher, and because it computed for too long.
const SIGKILL: u8 = 9;
const SIGXCPU: u8 = 24;

/// How long ring 3 may compute between two `run_io`.
#[derive(Clone, Copy, Debug)]
pub struct Watchdog {
    /// Then it is late, and that is told.
    pub late: Duration,
    /// Then it is ended.
    pub kill: Option<Duration>,
}

impl<N: Nic> Core<N> {
    /// Runs this core's part of the app to its end, and its connections to theirs.
    pub fn serve(&mut self, seat: &mut Seat, watchdog: Watchdog) {
        if self.number == 0 {
            self.stack
                .announce(&mut Wire::new(&mut self.nic, &mut self.pool), now());
        }
        self.run(seat, watchdog);
        self.linger(seat);
        self.wait_for_others(seat);
        self.nic.stop();
        self.publish_counters(seat);
        self.team.finish(self.number);
    }

    fn run(&mut self, seat: &mut Seat, watchdog: Watchdog) {
        loop {
            match seat.run() {
                Leave::RunIo(call) => {
                    let result = self.run_io(seat, &call);
                    seat.finish_call(result.map_or_else(|e| e.negated().into(), i64::from));
                }
                Leave::SetUp => {
                    if let Some(home) = &self.home {
                        home.steering.offer(home.core);
                    }
                }
                Leave::Tick => {
                    self.watch(seat, watchdog);
                    self.attend();
                }
                Leave::Idle => self.sleep(seat),
                Leave::Ended => return,
            }
            if told_to_stop_now() && !seat.has_ended() {
                log::warn!("the app did not finish in time; ending it");
                seat.kill(SIGKILL);
            }
        }
    }

    /// No thread can run here: the network goes on.
    fn sleep(&mut self, seat: &Seat) {
        while !seat.has_work() && !told_to_stop_now() {
            self.attend();
            self.pause(seat, now());
        }
    }

    fn watch(&mut self, seat: &Seat, limit: Watchdog) {
        self.answer_counters(seat);
        let computing = Duration::from_nanos(seat.in_ring3_since_ns(now().0));
        if computing <= limit.late {
            return;
        }
        let core = self.number;
        if self.tally.late_ticks == 0 {
            log::warn!(
                "ring 3 on core {core} has computed for {computing:?} since its last run_io; its peers get ACKs only"
            );
        }
        self.tally.late_ticks += 1;
        if limit.kill.is_some_and(|kill| computing > kill) && !seat.has_ended() {
            log::error!(
                "ring 3 on core {core} has computed for {computing:?} since its last run_io; it is ended"
            );
            seat.kill(SIGXCPU);
        }
    }

    /// Other cores' last frames may leave through this core, and core 0 stops the card.
    fn wait_for_others(&mut self, seat: &Seat) {
        let until = Duration::from_nanos(now().0) + LINGER * 3;
        while !self.team.later_have_finished(self.number) && Duration::from_nanos(now().0) < until {
            self.attend();
            self.pause(seat, now());
        }
    }

    /// Ends the connections the app left open: what it had sent is delivered if that takes no longer than [`LINGER`];
    /// then whatever is left is reset, so that no peer waits for a machine that is gone.
    fn linger(&mut self, seat: &Seat) {
        let until = Duration::from_nanos(now().0) + LINGER;
        let Core { nic, pool, stack, .. } = self;
        stack.close_all(&mut Wire::new(nic, pool), now());
        while self.stack.has_unfinished_flows() && Duration::from_nanos(now().0) < until {
            self.attend();
            self.pause(seat, now());
        }
        let Core { nic, pool, stack, .. } = self;
        stack.abort_all(&mut Wire::new(nic, pool), now());
        self.attend();
        while !self.nic.tx_idle() && Duration::from_nanos(now().0) < until + LINGER {
            self.nic.reclaim_tx();
            self.pause(seat, now());
        }
    }
}

/// The launcher has run out of patience with the app.
pub(super) fn told_to_stop_now() -> bool {
    host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) >= STOP_NOW)
}
