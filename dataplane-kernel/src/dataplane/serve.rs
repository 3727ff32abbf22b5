//! The life of the app on a core: ring 3 runs, and what makes it leave is served, until it ends.

use super::cycle::Wait;
use super::processor::{Stay, Turn};
use super::{Core, Link, now};
use crate::host;
use crate::nic::Nic;
use crate::user::{Leave, Seat};
use core::sync::atomic::Ordering;
use core::time::Duration;
use netstack::Instant;

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

/// How far a core's part of the app's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not begun.
    Before,
    /// Ring 3 runs, or can.
    Running,
    /// Its thread waits in `run_io`.
    Waiting(Wait),
    /// No thread can run here: the network goes on.
    Vacant,
    /// The app has ended, and what it had sent may be acknowledged until then.
    Closing(Instant),
    /// What was left is reset, and leaves until then.
    Resetting(Instant),
    /// Other cores' last frames may leave through this one, until then; and core 0 stops the card.
    Outlasting(Instant),
    /// All is done.
    Over,
}

impl<N: Nic> Core<N> {
    /// Does this core's part of the app, to its end, for as long as the processor is its own: `stay` says when it is to
    /// look at something else.
    pub(super) fn turn(&mut self, seat: &mut Seat, watchdog: Watchdog, stay: &Stay<'_>) -> Turn {
        self.answer_counters(seat);
        loop {
            let turn = self.step(seat, watchdog, stay);
            if turn == Turn::Over || stay.is_over() {
                return turn;
            }
            if turn == Turn::Idle {
                if self.is_tired(stay.idle_ns()) {
                    return turn;
                }
                self.rest(seat);
            }
        }
    }

    /// The time until the next look is of no use to this core.
    pub(super) fn rest(&mut self, seat: &mut Seat) {
        if let Phase::Waiting(_) = self.phase {
            self.idle(seat);
        } else {
            self.pause(seat);
        }
    }

    #[inline]
    fn step(&mut self, seat: &mut Seat, watchdog: Watchdog, stay: &Stay<'_>) -> Turn {
        match self.phase {
            Phase::Running => {
                if told_to_stop_now() && !seat.has_ended() {
                    log::warn!("the app did not finish in time; ending it");
                    seat.kill(SIGKILL);
                }
                self.run(seat, watchdog, stay)
            }
            Phase::Waiting(wait) => self.look(seat, wait, now()),
            _ => self.step_aside(seat),
        }
    }

    #[inline]
    fn run(&mut self, seat: &mut Seat, watchdog: Watchdog, stay: &Stay<'_>) -> Turn {
        match seat.run() {
            Leave::RunIo(call) => return self.run_io(seat, &call, stay),
            Leave::SetUp => {
                if let Some(home) = &self.home {
                    home.steering.offer(home.core);
                }
            }
            Leave::Tick => {
                self.watch(seat, watchdog);
                self.attend();
            }
            Leave::Idle => self.phase = Phase::Vacant,
            Leave::Ended => self.close_all(),
        }
        Turn::Worked
    }

    /// What is done while ring 3 is not there.
    #[inline(never)]
    fn step_aside(&mut self, seat: &mut Seat) -> Turn {
        match self.phase {
            Phase::Before => {
                if self.number == 0 {
                    for link in &mut self.links {
                        link.announce(&mut self.pool, now());
                    }
                }
                self.phase = Phase::Running;
            }
            Phase::Vacant if !seat.has_work() && !told_to_stop_now() => {
                self.attend();
                return Turn::Idle;
            }
            Phase::Vacant | Phase::Running | Phase::Waiting(_) => self.phase = Phase::Running,
            Phase::Closing(until) if have_unfinished_flows(&mut self.links) && now() < until => {
                self.attend();
                return Turn::Idle;
            }
            Phase::Closing(until) => self.reset_all(until + LINGER),
            Phase::Resetting(until) if !self.tx_idle() && now() < until => {
                for (number, link) in self.links.iter_mut().enumerate() {
                    link.nic.reclaim_tx();
                    self.frames.reclaim(number, &link.nic, &mut self.pool);
                }
                return Turn::Idle;
            }
            Phase::Resetting(_) => self.phase = Phase::Outlasting(now() + LINGER * 3),
            Phase::Outlasting(until) if !self.team.later_have_finished(self.number) && now() < until => {
                self.attend();
                return Turn::Idle;
            }
            Phase::Outlasting(_) => {
                self.links.iter_mut().for_each(|link| link.nic.stop());
                self.publish_counters(seat);
                self.team.finish(self.number);
                self.phase = Phase::Over;
            }
            Phase::Over => return Turn::Over,
        }
        Turn::Worked
    }

    /// All cards have let go of all frames.
    pub(super) fn tx_idle(&self) -> bool {
        self.links.iter().all(|link| link.nic.tx_idle())
    }

    /// Ends the connections the app left open: what it had sent is delivered if that takes no longer than [`LINGER`];
    /// then whatever is left is reset, so that no peer waits for a machine that is gone.
    fn close_all(&mut self) {
        let (frames, mut around) = self.frames(now());
        frames.end(&mut around);
        for link in &mut self.links {
            let (stack, mut wire) = link.ends(&mut self.pool);
            stack.close_all(&mut wire, now());
        }
        self.phase = Phase::Closing(now() + LINGER);
    }

    fn reset_all(&mut self, until: Instant) {
        for link in &mut self.links {
            let (stack, mut wire) = link.ends(&mut self.pool);
            stack.abort_all(&mut wire, now());
        }
        self.attend();
        self.phase = Phase::Resetting(until);
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
}

fn have_unfinished_flows<N>(links: &mut [Link<N>]) -> bool {
    links.iter_mut().any(|link| link.stack.has_unfinished_flows())
}

/// The launcher has run out of patience with the app.
pub(super) fn told_to_stop_now() -> bool {
    host::area().is_some_and(|area| area.stop.load(Ordering::Relaxed) >= STOP_NOW)
}
