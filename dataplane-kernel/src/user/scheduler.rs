//! Which threads can run, and where. A *bound* thread carries the dataplane of a core (it has called `io_setup`) and runs
//! there and nowhere else, whenever it can. The others run wherever a core has time for them, in turns.
//!
//! A thread that runs is its core's ([`super::seat`]) and stands in none of the lists here.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Threads by their number.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    /// Others that can run; the first has waited longest.
    ready: VecDeque<usize>,
    /// The bound thread of each core that has one.
    bound: Vec<Bound>,
}

/// A core's own thread.
#[derive(Debug)]
struct Bound {
    core: usize,
    thread: usize,
    /// It can run, and its core has not taken it yet.
    is_ready: bool,
}

impl Scheduler {
    /// The core that carries a thread, if one does.
    pub(super) fn core_of(&self, thread: usize) -> Option<usize> {
        let bound = self.bound.iter().find(|bound| bound.thread == thread)?;
        Some(bound.core)
    }

    /// The thread bound to a core.
    pub(super) fn bound_to(&self, core: usize) -> Option<usize> {
        let bound = self.bound.iter().find(|bound| bound.core == core)?;
        Some(bound.thread)
    }

    /// Binds a thread, which runs now, to a core that has none.
    pub(super) fn bind(&mut self, core: usize, thread: usize) {
        self.bound.push(Bound {
            core,
            thread,
            is_ready: false,
        });
    }

    /// A thread can run (again).
    pub(super) fn wake(&mut self, thread: usize) {
        match self.bound.iter_mut().find(|bound| bound.thread == thread) {
            Some(bound) => bound.is_ready = true,
            None if self.ready.contains(&thread) => {}
            None => self.ready.push_back(thread),
        }
    }

    /// Takes the thread bound to a core, if it can run.
    pub(super) fn take_bound(&mut self, core: usize) -> Option<usize> {
        let mut ready = self.bound.iter_mut().filter(|bound| bound.is_ready);
        let bound = ready.find(|bound| bound.core == core)?;
        bound.is_ready = false;
        Some(bound.thread)
    }

    /// Takes one of the others that can run.
    pub(super) fn take_other(&mut self) -> Option<usize> {
        self.ready.pop_front()
    }

    /// A thread is gone.
    pub(super) fn remove(&mut self, thread: usize) {
        self.ready.retain(|&other| other != thread);
        self.bound.retain(|bound| bound.thread != thread);
    }

    /// How many of the others can run.
    pub(super) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// The cores whose thread can run and waits for them.
    pub(super) fn wanted_cores(&self) -> impl Iterator<Item = usize> {
        let ready = self.bound.iter().filter(|bound| bound.is_ready);
        ready.map(|bound| bound.core)
    }
}

#[cfg(test)]
mod tests {
    use super::Scheduler;
    use std::vec::Vec;

    #[test]
    fn others_take_turns() {
        let mut scheduler = Scheduler::default();
        (0..3).for_each(|thread| scheduler.wake(thread));
        scheduler.wake(1);
        assert_eq!(scheduler.ready_count(), 3);
        let turns: Vec<_> = (0..7)
            .map(|_| {
                let thread = scheduler.take_other().unwrap();
                scheduler.wake(thread);
                thread
            })
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
        scheduler.remove(2);
        assert_eq!(
            [
                scheduler.take_other(),
                scheduler.take_other(),
                scheduler.take_other()
            ],
            [Some(1), Some(0), None]
        );
    }

    #[test]
    fn a_bound_thread_runs_on_its_core_only() {
        let mut scheduler = Scheduler::default();
        scheduler.bind(3, 7);
        assert_eq!((scheduler.bound_to(3), scheduler.core_of(7)), (Some(7), Some(3)));
        assert_eq!(scheduler.take_bound(3), None, "it runs");
        scheduler.wake(7);
        assert_eq!(scheduler.wanted_cores().collect::<Vec<_>>(), [3]);
        assert_eq!((scheduler.take_other(), scheduler.take_bound(2)), (None, None));
        assert_eq!(scheduler.take_bound(3), Some(7));
        assert_eq!(scheduler.wanted_cores().next(), None);
        scheduler.wake(7);
        scheduler.remove(7);
        assert_eq!((scheduler.take_bound(3), scheduler.bound_to(3)), (None, None));
    }
}
