//! Which thread runs. The *foreground* thread is the one that carries the dataplane (it has called `io_setup`); it runs
//! whenever it can. The others take turns, a tick each, while it waits; and so that a foreground that never waits cannot
//! stop them for ever, they get one tick in [`FOREGROUND_TICKS`].

use alloc::collections::VecDeque;

/// Ticks the foreground may run in a row while others are ready.
const FOREGROUND_TICKS: u32 = 16;

/// Threads by their number, as far as they can run.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    /// Others that can run; the first is the one that runs.
    ready: VecDeque<usize>,
    foreground: Option<usize>,
    foreground_ready: bool,
    /// The others' turn, though the foreground could run.
    others_turn: bool,
    foreground_ticks: u32,
}

impl Scheduler {
    /// The foreground thread.
    #[inline]
    pub(super) fn foreground(&self) -> Option<usize> {
        self.foreground
    }

    /// The foreground could run.
    pub(super) fn foreground_is_ready(&self) -> bool {
        self.foreground_ready
    }

    /// Makes a thread the foreground; its readiness does not change.
    pub(super) fn set_foreground(&mut self, thread: usize) {
        let was_ready = self.ready.contains(&thread);
        self.ready.retain(|&other| other != thread);
        self.foreground = Some(thread);
        self.foreground_ready = was_ready;
    }

    /// The thread to run, if one can.
    #[inline]
    pub(super) fn next(&self) -> Option<usize> {
        if self.foreground_ready && !self.others_turn {
            return self.foreground;
        }
        let ready = self.ready.front().copied();
        ready.or(self.foreground.filter(|_| self.foreground_ready))
    }

    /// The thread to run while the foreground waits in `run_io`.
    #[inline]
    pub(super) fn next_background(&self) -> Option<usize> {
        self.ready.front().copied()
    }

    /// A thread can run (again).
    #[inline]
    pub(super) fn wake(&mut self, thread: usize) {
        if self.foreground == Some(thread) {
            self.foreground_ready = true;
        } else {
            self.wake_other(thread);
        }
    }

    fn wake_other(&mut self, thread: usize) {
        if !self.ready.contains(&thread) {
            self.ready.push_back(thread);
        }
    }

    /// A thread cannot run until it is woken.
    #[inline]
    pub(super) fn block(&mut self, thread: usize) {
        if self.foreground == Some(thread) {
            self.foreground_ready = false;
        } else {
            self.block_other(thread);
        }
    }

    fn block_other(&mut self, thread: usize) {
        self.ready.retain(|&other| other != thread);
        self.others_turn = false;
    }

    /// A thread is gone.
    pub(super) fn remove(&mut self, thread: usize) {
        self.block(thread);
        if self.foreground == Some(thread) {
            self.foreground = None;
        }
    }

    /// The running thread lets others run.
    pub(super) fn yield_now(&mut self, thread: usize) {
        if self.foreground == Some(thread) {
            self.others_turn = !self.ready.is_empty();
        } else {
            self.rotate();
        }
    }

    /// A tick has interrupted `thread`.
    pub(super) fn tick(&mut self, thread: usize) {
        if self.foreground != Some(thread) {
            self.rotate();
            return;
        }
        self.foreground_ticks = if self.ready.is_empty() {
            0
        } else {
            self.foreground_ticks + 1
        };
        self.others_turn = self.foreground_ticks >= FOREGROUND_TICKS;
    }

    /// The end of a turn of one of the others.
    fn rotate(&mut self) {
        self.others_turn = false;
        self.foreground_ticks = 0;
        if self.ready.len() > 1 {
            self.ready.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FOREGROUND_TICKS, Scheduler};
    use std::vec::Vec;

    #[test]
    fn without_a_foreground_all_take_turns() {
        let mut scheduler = Scheduler::default();
        (0..3).for_each(|thread| scheduler.wake(thread));
        let turns: Vec<_> = (0..7)
            .map(|_| {
                let thread = scheduler.next().unwrap();
                scheduler.tick(thread);
                thread
            })
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
        scheduler.block(1);
        scheduler.yield_now(scheduler.next().unwrap());
        assert_eq!(scheduler.next(), Some(0));
    }

    #[test]
    fn the_foreground_comes_first_but_not_always() {
        let mut scheduler = Scheduler::default();
        (0..3).for_each(|thread| scheduler.wake(thread));
        scheduler.set_foreground(1);
        let mut turns = [0u32; 3];
        for _ in 0..34 {
            let thread = scheduler.next().unwrap();
            turns[thread] += 1;
            scheduler.tick(thread);
        }
        assert_eq!(turns, [1, 2 * FOREGROUND_TICKS, 1]);
        scheduler.block(1);
        assert_eq!(scheduler.next(), scheduler.next_background());
        scheduler.wake(1);
        assert_eq!(scheduler.next(), Some(1));
        scheduler.yield_now(1);
        assert_ne!(scheduler.next(), Some(1));
        scheduler.block(scheduler.next().unwrap());
        assert_eq!(scheduler.next(), Some(1), "a turn ends when the other waits");
    }

    #[test]
    fn nobody_runs_when_nobody_can() {
        let mut scheduler = Scheduler::default();
        scheduler.wake(0);
        scheduler.set_foreground(0);
        scheduler.block(0);
        assert_eq!(scheduler.next(), None);
        scheduler.wake(4);
        scheduler.wake(4);
        scheduler.remove(4);
        assert_eq!(scheduler.next_background(), None);
        scheduler.remove(0);
        assert_eq!(scheduler.foreground(), None);
    }
}
