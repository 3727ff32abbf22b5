//! Tasks in their slots, and those to be polled next.

use super::waker::{Executors, MAX_TASKS};
use crate::slab::{Key, Slab};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::VecDeque;

pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Slot {
    /// Not here while it is being polled.
    task: Option<Task>,
    queued: bool,
}

pub(super) struct Tasks {
    pub(super) executors: Executors,
    slots: Slab<Slot>,
    ready: VecDeque<Key>,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Tasks {
            executors: Executors::join(),
            slots: Slab::new(),
            ready: VecDeque::new(),
        }
    }

    /// # Panics
    /// At 2^24 tasks.
    pub(super) fn add(&mut self, task: Task) -> Key {
        let key = self.slots.insert(Slot {
            task: Some(task),
            queued: true,
        });
        assert!(key.index() < MAX_TASKS, "fewer than 2^24 tasks");
        self.ready.push_back(key);
        key
    }

    /// Takes note of who has been woken; tells whether anybody is ready.
    pub(super) fn gather(&mut self) -> bool {
        let Tasks {
            executors,
            slots,
            ready,
        } = self;
        executors.take_woken(|key| {
            if let Some(slot) = slots.get_mut(key)
                && !core::mem::replace(&mut slot.queued, true)
            {
                ready.push_back(key);
            }
        });
        !ready.is_empty()
    }

    /// The same for those woken from other threads.
    pub(super) fn gather_remote(&mut self) {
        let Tasks {
            executors,
            slots,
            ready,
        } = self;
        executors.take_woken_remotely(|key| {
            if let Some(slot) = slots.get_mut(key)
                && !core::mem::replace(&mut slot.queued, true)
            {
                ready.push_back(key);
            }
        });
    }

    /// Takes the next task out of its slot, to be polled.
    pub(super) fn next(&mut self) -> Option<(Key, Task)> {
        loop {
            let key = self.ready.pop_front()?;
            if let Some(slot) = self.slots.get_mut(key) {
                slot.queued = false;
                if let Some(task) = slot.task.take() {
                    return Some((key, task));
                }
            }
        }
    }

    /// Puts it back, if it goes on and has not been cancelled meanwhile.
    pub(super) fn put_back(&mut self, key: Key, task: Task) -> Option<Task> {
        match self.slots.get_mut(key) {
            Some(slot) => {
                slot.task = Some(task);
                None
            }
            None => Some(task),
        }
    }

    /// Frees the slot; the task, if it is not being polled, is the caller's to drop.
    pub(super) fn remove(&mut self, key: Key) -> Option<Task> {
        self.slots.remove(key).and_then(|slot| slot.task)
    }

    /// All tasks, for the caller to drop.
    pub(super) fn clear(&mut self) -> Vec<Task> {
        self.ready.clear();
        let keys = self.slots.keys();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }
}

/// Polls a task; `true` if it has ended.
pub(super) fn poll(task: &mut Task, waker: &core::task::Waker) -> bool {
    task.as_mut().poll(&mut Context::from_waker(waker)) == Poll::Ready(())
}
