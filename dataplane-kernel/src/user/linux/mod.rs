//! The Linux calls that `std` and a static C library need. Files are the standard streams and what the launcher grants;
//! there are threads but no other processes; signals are not delivered. What is not served returns ENOSYS, is counted, and
//! is logged once by name. Nothing is passed on as it is.

/// Files.
pub(super) mod files;

/// Memory.
mod memory;

/// Threads.
mod threads;

/// Waiting for each other.
mod futex;

/// Clocks and sleep.
mod time;

/// Signals.
pub(super) mod signal;

/// The process and its machine.
mod system;

use super::process::Process;
use super::thread::{Asks, Wait};
use ix_abi::host::area::Outcome;
use syscalls::{Errno, Sysno};

/// A call's six arguments.
type Args = [u64; 6];

/// Length of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// Arguments as C's `int`: the upper half of the register is not looked at.
#[allow(clippy::cast_possible_truncation, reason = "what C's int means")]
const fn int(argument: u64) -> i32 {
    argument as u32 as i32
}

/// What becomes of the thread that has made a call.
enum Answer {
    /// It goes on.
    Return(Result<u64, Errno>),
    /// It waits.
    Wait(Wait),
    /// It makes the same call again, at this time.
    Repeat { at_ns: u64 },
    /// It lets others run.
    Yield,
    /// It has ended.
    EndThread,
    /// The whole program has.
    EndProcess(Outcome),
}

impl From<Result<u64, Errno>> for Answer {
    fn from(result: Result<u64, Errno>) -> Self {
        Answer::Return(result)
    }
}

impl Process {
    /// Serves the Linux call that a thread has made.
    pub(super) fn serve_linux_call(&mut self, number: usize) {
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        let c = &thread.context;
        let (call, args) = (c.rax, [c.rdi, c.rsi, c.rdx, c.r10, c.r8, c.r9]);
        let answer = self.dispatch(number, call, args);
        self.give(number, call, answer);
    }

    fn give(&mut self, number: usize, call: u64, answer: Answer) {
        match answer {
            Answer::Return(result) => {
                if let Some(thread) = self.threads.get_mut(number) {
                    thread.set_result(result);
                }
            }
            Answer::Wait(wait) => self.wait(number, wait),
            Answer::Repeat { at_ns } => {
                if let Some(thread) = self.threads.get_mut(number) {
                    thread.context.rip = thread.context.rip.wrapping_sub(SYSCALL_BYTES);
                }
                // What the call would return is its number again.
                self.wait(
                    number,
                    Wait {
                        futex: None,
                        deadline_ns: at_ns,
                        timed_out: Ok(call),
                    },
                );
            }
            Answer::Yield => {
                if let Some(thread) = self.threads.get_mut(number) {
                    thread.set_result(Ok(0));
                    thread.asks = Asks::Yield;
                }
            }
            Answer::EndThread => self.end_thread(number),
            Answer::EndProcess(outcome) => self.outcome = Some(outcome),
        }
    }

    fn dispatch(&mut self, number: usize, call: u64, a: Args) -> Answer {
        let known = u32::try_from(call)
            .ok()
            .and_then(|id| Sysno::new(usize::try_from(id).ok()?));
        let Some(known) = known else {
            return self.unknown(call, "no such Linux call");
        };
        match known {
            Sysno::futex => self.futex(a),
            Sysno::clock_gettime => self.clock_gettime(a).into(),
            Sysno::clock_nanosleep => self.clock_nanosleep(a),
            Sysno::nanosleep => self.nanosleep(a),
            Sysno::sched_yield => Answer::Yield,
            Sysno::exit => Answer::EndThread,
            Sysno::exit_group => Answer::EndProcess(Outcome::Exited(int(a[0]).to_le_bytes()[0])),
            Sysno::kill | Sysno::tkill | Sysno::tgkill => self.signal_call(known, a),
            _ => match self.dispatch_plain(number, known, a) {
                Some(result) => result.into(),
                None => match self.dispatch_files(number, known, a) {
                    Some(answer) => answer,
                    None => self.unknown(call, known.name()),
                },
            },
        }
    }

    /// Calls that return at once.
    fn dispatch_plain(&mut self, number: usize, call: Sysno, a: Args) -> Option<Result<u64, Errno>> {
        Some(match call {
            Sysno::brk => Ok(self.memory.set_heap_end(a[0])),
            Sysno::mmap => self.mmap(a),
            Sysno::munmap => self.munmap(a),
            Sysno::mprotect => self.mprotect(a),
            Sysno::mremap => self.mremap(a),
            Sysno::madvise => self.madvise(a),
            Sysno::clone => self.clone_thread(number, a),
            Sysno::clone3 => self.clone3(number, a),
            Sysno::gettid => Ok(self.thread_id(number)),
            Sysno::set_tid_address => self.set_tid_address(number, a),
            Sysno::arch_prctl => self.arch_prctl(a),
            Sysno::prctl => self.prctl(number, a),
            Sysno::set_robust_list => Ok(0),
            // A C library does without restartable sequences.
            Sysno::rseq => Err(Errno::ENOSYS),
            Sysno::rt_sigaction => self.rt_sigaction(a),
            Sysno::rt_sigprocmask => self.rt_sigprocmask(number, a),
            Sysno::sigaltstack => self.sigaltstack(number, a),
            Sysno::gettimeofday => self.gettimeofday(a),
            Sysno::time => self.time(a),
            Sysno::clock_getres => self.clock_getres(a),
            _ => return self.dispatch_system(call, a),
        })
    }

    /// A call that is not served.
    #[cold]
    fn unknown(&mut self, call: u64, name: &str) -> Answer {
        self.unknown_calls += 1;
        if self.unknown_logged.len() < MAX_LOGGED && self.unknown_logged.insert(call) {
            log::warn!("Linux call {name} ({call}) is not served: ENOSYS (said once)");
        }
        Answer::Return(Err(Errno::ENOSYS))
    }
}

/// Different unknown calls that are logged.
const MAX_LOGGED: usize = 512;

#[cfg(test)]
mod tests;
