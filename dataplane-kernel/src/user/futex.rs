//! Waiting and waking (`futex(2)`). The process is behind a lock, so comparing and going to sleep is
//! one step.

use super::process::Process;
use super::thread::Wait;
use crate::mem::UserVirt;
use syscalls::Errno;

/// All bits: the plain operations wake and are woken by anybody.
pub(super) const ANY: u32 = u32::MAX;

impl Process {
    /// Makes a thread wait.
    pub(super) fn wait(&mut self, number: usize, wait: Wait) {
        self.threads.wait(number, wait);
        self.next_deadline_ns = self.next_deadline_ns.min(wait.deadline_ns);
    }

    /// Ends a thread's wait; `result` is what its call returns.
    pub(super) fn wake_with(&mut self, number: usize, result: Result<u64, Errno>) {
        if let Some(thread) = self.threads.get_mut(number) {
            thread.wait = None;
            thread.set_result(result);
            self.scheduler.wake(number);
        }
    }

    /// The word at a futex's address.
    pub(super) fn futex_word(&self, address: u64) -> Result<u32, Errno> {
        if !address.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        self.memory.read(UserVirt(address)).ok_or(Errno::EFAULT)
    }

    /// Wakes up to `count` threads waiting at `address` for one of `bits`; returns how many.
    pub(super) fn futex_wake(&mut self, address: u64, count: u64, bits: u32) -> u64 {
        let mut woken = 0;
        while woken < count {
            let Some(number) = self.threads.first_waiter(address, bits) else {
                break;
            };
            self.wake_with(number, Ok(0));
            woken += 1;
        }
        woken
    }

    /// Lets up to `count` threads that wait at `from` wait at `to`; returns how many.
    pub(super) fn futex_requeue(&mut self, from: u64, to: u64, count: u64) -> u64 {
        let mut moved = 0;
        while moved < count && from != to {
            let Some(number) = self.threads.first_waiter(from, ANY) else {
                break;
            };
            self.threads.requeue(number, to);
            moved += 1;
        }
        moved
    }
}
