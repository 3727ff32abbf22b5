//! Wakers without memory of their own: executor, slot and generation in the one word that a waker carries.
//!
//! Waking from the executor's own thread is a push onto a list of that thread. From another one it goes through a lock,
//! and, in hosted mode, wakes the thread from its sleep.

use crate::arrays::Interrupt;
use crate::slab::Key;
use core::cell::RefCell;
use core::task::{RawWaker, RawWakerVTable, Waker};
use std::sync::{Mutex, PoisonError};

/// Of a waker's word: the slot, the executor, and the rest is the generation, which is 28 bits long.
const SLOT_BITS: u32 = 24;
const EXECUTOR_BITS: u32 = 12;

/// Most tasks of an executor.
pub(super) const MAX_TASKS: usize = 1 << SLOT_BITS;

thread_local! {
    /// The executors of this thread: one, but for tests.
    static HERE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    /// The tasks of theirs that have been woken.
    static WOKEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// Executors by number, for threads that are not theirs.
static EXECUTORS: Mutex<Vec<Option<Remote>>> = Mutex::new(Vec::new());

struct Remote {
    woken: Vec<usize>,
    interrupt: Interrupt,
}

/// An executor's number, as long as it lives.
pub(super) struct Executors(usize);

impl Executors {
    /// # Panics
    /// If there are 4096 already.
    pub(super) fn join() -> Self {
        let mut executors = EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner);
        let number = executors
            .iter()
            .position(Option::is_none)
            .unwrap_or(executors.len());
        assert!(number < 1 << EXECUTOR_BITS, "fewer than 4096 executors");
        let remote = Some(Remote {
            woken: Vec::new(),
            interrupt: Interrupt::LookOften,
        });
        match executors.get_mut(number) {
            Some(free) => *free = remote,
            None => executors.push(remote),
        }
        HERE.with_borrow_mut(|here| here.push(number));
        Executors(number)
    }

    /// Says how its thread is woken from its sleep.
    pub(super) fn set_interrupt(&self, interrupt: Interrupt) {
        let mut executors = EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(remote)) = executors.get_mut(self.0) {
            remote.interrupt = interrupt;
        }
    }

    /// Those of its tasks that have been woken since the last time.
    pub(super) fn take_woken(&self, mut each: impl FnMut(Key)) {
        WOKEN.with_borrow_mut(|woken| {
            woken.retain(|&word| {
                let ours = executor_of(word) == self.0;
                if ours {
                    each(key_of(word));
                }
                !ours
            });
        });
    }

    /// The same of those woken from other threads.
    pub(super) fn take_woken_remotely(&self, mut each: impl FnMut(Key)) {
        let mut executors = EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Some(remote)) = executors.get_mut(self.0) {
            remote.woken.drain(..).for_each(|word| each(key_of(word)));
        }
    }

    /// A waker of the task in this slot.
    pub(super) fn waker(&self, task: Key) -> Waker {
        let slot = task.index() & (MAX_TASKS - 1);
        let generation = task.generation() as usize;
        let word = generation << (SLOT_BITS + EXECUTOR_BITS) | self.0 << SLOT_BITS | slot;
        #[allow(unsafe_code, reason = "there is no safe way to a waker that needs no memory")]
        // SAFETY: the functions of the table use nothing but the word, from any thread, and there is nothing to drop.
        unsafe {
            Waker::from_raw(raw(word))
        }
    }
}

impl Drop for Executors {
    fn drop(&mut self) {
        // Fails while the thread ends, when nobody looks any more.
        let _ = HERE.try_with(|here| here.borrow_mut().retain(|&number| number != self.0));
        let mut executors = EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = executors.get_mut(self.0) {
            *place = None;
        }
    }
}

fn executor_of(word: usize) -> usize {
    word >> SLOT_BITS & ((1 << EXECUTOR_BITS) - 1)
}

#[allow(clippy::cast_possible_truncation, reason = "24 and 28 bits")]
fn key_of(word: usize) -> Key {
    Key::new(
        (word & (MAX_TASKS - 1)) as u32,
        (word >> (SLOT_BITS + EXECUTOR_BITS)) as u32,
    )
}

fn raw(word: usize) -> RawWaker {
    static TABLE: RawWakerVTable =
        RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake, wake, |_| {});
    RawWaker::new(core::ptr::without_provenance(word), &TABLE)
}

fn wake(data: *const ()) {
    let word = data.addr();
    let number = executor_of(word);
    let here = HERE.try_with(|here| here.borrow().contains(&number));
    if here == Ok(true) {
        WOKEN.with_borrow_mut(|woken| woken.push(word));
        return;
    }
    let mut executors = EXECUTORS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Some(remote)) = executors.get_mut(number) {
        remote.woken.push(word);
        if let Interrupt::Waker(waker) = &remote.interrupt {
            // Fails only if epoll is gone, and the executor's loop with it.
            let _ = waker.wake();
        }
    }
}
