//! A ring-3 thread, and the table of them.

use crate::arch::context::{Context, ExtendedState};
use alloc::boxed::Box;
use alloc::vec::Vec;
use syscalls::Errno;

/// Number of the process, and of its first thread.
pub(super) const PROCESS_ID: u32 = 100;

/// Most threads of a program.
const MAX_THREADS: usize = 1024;

/// What a thread that cannot run waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The futex it waits at, and the bits that wake it.
    pub(super) futex: Option<(u64, u32)>,
    /// When it stops waiting; `u64::MAX`: never.
    pub(super) deadline_ns: u64,
    /// Result of the call if the deadline comes first.
    pub(super) timed_out: Result<u64, Errno>,
}

/// A thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) context: Context,
    pub(super) extended: ExtendedState,
    /// What it waits for, if it does.
    pub(super) wait: Option<Wait>,
    pub(super) id: u32,
    /// As set by `prctl(PR_SET_NAME)`; zeros follow.
    pub(super) name: [u8; 16],
    /// Where to write 0, and wake a futex, when it ends; 0: nowhere.
    pub(super) clear_child_tid: u64,
    pub(super) signal_mask: u64,
    /// `stack_t`: address, flags, size.
    pub(super) signal_stack: [u64; 3],
    /// Since when it waits, in an order of its own: the longest waiting is woken first.
    pub(super) waiting_since: u64,
    /// What its call asks of the core it runs on.
    pub(super) asks: Asks,
}

/// Whether a thread stays on its core when its call has been served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asks {
    /// It does, unless it waits.
    #[default]
    Nothing,
    /// It lets others run, if there are any.
    Yield,
    /// It has been bound to a core, perhaps another.
    Move,
}

/// `ss_flags`: there is no alternate stack.
const SS_DISABLE: u64 = 2;

impl Thread {
    pub(super) fn new(id: u32, context: Context, extended: ExtendedState) -> Self {
        let mut name = [0; 16];
        name[..4].copy_from_slice(b"main");
        Thread {
            context,
            extended,
            wait: None,
            id,
            name,
            clear_child_tid: 0,
            signal_mask: 0,
            signal_stack: [0, SS_DISABLE, 0],
            waiting_since: 0,
            asks: Asks::Nothing,
        }
    }

    /// Its name, for people.
    pub(super) fn display_name(&self) -> &str {
        let end = self.name.iter().position(|&b| b == 0).unwrap_or(self.name.len());
        self.name
            .get(..end)
            .and_then(|name| core::str::from_utf8(name).ok())
            .unwrap_or("?")
    }

    /// Sets the result of the call it made.
    #[inline]
    pub(super) fn set_result(&mut self, result: Result<u64, Errno>) {
        self.context.rax = match result {
            Ok(value) => value,
            Err(errno) => i64::from(-errno.into_raw()).cast_unsigned(),
        };
    }
}

/// A place in the table.
#[derive(Debug)]
enum Slot {
    Free,
    Here(Box<Thread>),
    /// On a core; this is its id.
    Away(u32),
}

/// All threads, by the number the scheduler knows them by. One that runs is on its core, and only its place is here.
#[derive(Debug, Default)]
pub(super) struct Threads {
    slots: Vec<Slot>,
    count: usize,
    last_id: u32,
    waits: u64,
}

impl Threads {
    /// Adds a thread; returns its number. `None`: there are too many.
    pub(super) fn add(&mut self, context: Context, extended: ExtendedState) -> Option<usize> {
        if self.count >= MAX_THREADS {
            return None;
        }
        let id = PROCESS_ID + self.last_id;
        // Skips 0 when it wraps, after four thousand million threads; ids are then no longer unique.
        self.last_id = self
            .last_id
            .checked_add(1)
            .filter(|id| id.checked_add(PROCESS_ID).is_some())
            .unwrap_or(1);
        let thread = Slot::Here(Box::new(Thread::new(id, context, extended)));
        self.count += 1;
        let free = self.slots.iter().position(|slot| matches!(slot, Slot::Free));
        match free.and_then(|number| Some((number, self.slots.get_mut(number)?))) {
            Some((number, slot)) => {
                *slot = thread;
                Some(number)
            }
            None => {
                self.slots.push(thread);
                Some(self.slots.len() - 1)
            }
        }
    }

    /// Forgets a thread.
    pub(super) fn remove(&mut self, number: usize) {
        if let Some(slot) = self
            .slots
            .get_mut(number)
            .filter(|slot| !matches!(slot, Slot::Free))
        {
            *slot = Slot::Free;
            self.count -= 1;
        }
    }

    /// Takes a thread to a core.
    pub(super) fn take(&mut self, number: usize) -> Option<Box<Thread>> {
        let slot = self.slots.get_mut(number)?;
        let Slot::Here(thread) = slot else { return None };
        let away = Slot::Away(thread.id);
        match core::mem::replace(slot, away) {
            Slot::Here(thread) => Some(thread),
            Slot::Free | Slot::Away(_) => None,
        }
    }

    /// Puts it back.
    pub(super) fn put(&mut self, number: usize, thread: Box<Thread>) {
        if let Some(slot @ Slot::Away(_)) = self.slots.get_mut(number) {
            *slot = Slot::Here(thread);
        }
    }

    /// There is a thread of this id, here or on a core.
    pub(super) fn has_id(&self, wanted: u64) -> bool {
        self.slots.iter().any(|slot| match slot {
            Slot::Free => false,
            Slot::Here(thread) => u64::from(thread.id) == wanted,
            Slot::Away(id) => u64::from(*id) == wanted,
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<&Thread> {
        match self.slots.get(number)? {
            Slot::Here(thread) => Some(thread),
            Slot::Free | Slot::Away(_) => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Thread> {
        match self.slots.get_mut(number)? {
            Slot::Here(thread) => Some(thread),
            Slot::Free | Slot::Away(_) => None,
        }
    }

    /// Those that do not run, with their numbers.
    fn each(&self) -> impl Iterator<Item = (usize, &Thread)> {
        (0..self.slots.len()).filter_map(|number| Some((number, self.get(number)?)))
    }

    /// Makes a thread wait.
    pub(super) fn wait(&mut self, number: usize, wait: Wait) {
        self.waits += 1;
        let order = self.waits;
        if let Some(thread) = self.get_mut(number) {
            thread.wait = Some(wait);
            thread.waiting_since = order;
        }
    }

    /// The earliest deadline of those that wait; `u64::MAX`: there is none.
    pub(super) fn next_deadline_ns(&self) -> u64 {
        let deadlines = self
            .each()
            .filter_map(|(_, thread)| Some(thread.wait?.deadline_ns));
        deadlines.min().unwrap_or(u64::MAX)
    }

    /// A thread whose deadline has come, with the result it gets.
    pub(super) fn expired(&self, now_ns: u64) -> Option<(usize, Result<u64, Errno>)> {
        self.each().find_map(|(number, thread)| {
            let wait = thread.wait.filter(|wait| wait.deadline_ns <= now_ns)?;
            Some((number, wait.timed_out))
        })
    }

    /// The thread that has waited longest at the futex at `address` for one of `bits`.
    pub(super) fn first_waiter(&self, address: u64, bits: u32) -> Option<usize> {
        let waiters = self.each().filter(|(_, thread)| {
            let futex = thread.wait.and_then(|wait| wait.futex);
            futex.is_some_and(|(at, wanted)| at == address && wanted & bits != 0)
        });
        waiters
            .min_by_key(|(_, thread)| thread.waiting_since)
            .map(|(number, _)| number)
    }

    /// Lets a thread that waits at a futex wait at another one.
    pub(super) fn requeue(&mut self, number: usize, address: u64) {
        let wait = self.get_mut(number).and_then(|thread| thread.wait.as_mut());
        if let Some((at, _)) = wait.and_then(|wait| wait.futex.as_mut()) {
            *at = address;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, ExtendedState, Threads, Wait};

    fn threads(count: usize) -> Threads {
        let mut threads = Threads::default();
        for number in 0..count {
            assert_eq!(
                threads.add(Context::new(0, 0), ExtendedState::new()),
                Some(number)
            );
        }
        threads
    }

    const fn wait(futex: u64, bits: u32, deadline_ns: u64) -> Wait {
        Wait {
            futex: Some((futex, bits)),
            deadline_ns,
            timed_out: Ok(0),
        }
    }

    #[test]
    fn the_longest_waiting_is_woken_first() {
        let mut threads = threads(4);
        threads.wait(2, wait(64, 1, u64::MAX));
        threads.wait(0, wait(64, 3, 50));
        threads.wait(1, wait(68, 1, 40));
        assert_eq!(threads.first_waiter(64, u32::MAX), Some(2));
        assert_eq!(threads.first_waiter(64, 2), Some(0));
        assert_eq!(threads.first_waiter(64, 4), None);
        threads.requeue(1, 64);
        assert_eq!(threads.first_waiter(68, 1), None);
        assert_eq!(threads.next_deadline_ns(), 40);
        assert_eq!(threads.expired(39), None);
        assert_eq!(threads.expired(40), Some((1, Ok(0))));
    }

    #[test]
    fn a_thread_on_a_core_keeps_its_place() {
        let mut threads = threads(2);
        let id = threads.get(1).unwrap().id.into();
        let thread = threads.take(1).unwrap();
        assert!(threads.get(1).is_none() && threads.take(1).is_none() && threads.has_id(id));
        assert_eq!(threads.add(Context::new(0, 0), ExtendedState::new()), Some(2));
        threads.put(1, thread);
        assert!(threads.get(1).is_some());
        threads.remove(1);
        assert!(!threads.has_id(id));
    }

    #[test]
    fn numbers_are_used_again_ids_are_not() {
        let mut threads = threads(3);
        let id = threads.get(1).unwrap().id;
        threads.remove(1);
        threads.remove(1);
        assert_eq!(threads.count(), 2);
        assert_eq!(threads.add(Context::new(0, 0), ExtendedState::new()), Some(1));
        assert_ne!(threads.get(1).unwrap().id, id);
    }
}
