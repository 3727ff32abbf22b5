//! The app as ring 0 sees it: its memory, its threads, and what it has been told.

use super::access::Plain;
use super::descriptors::Descriptors;
use super::host_calls::{HostLine, Link};
use super::image::LoadError;
use super::linux::signal::Signals;
use super::loader::{self, Program};
use super::memory::Memory;
use super::random::Random;
use super::scheduler::Scheduler;
use super::thread::Threads;
use crate::arch::context::{Context, ExtendedState};
use crate::host;
use crate::mem::frames::Frames;
use crate::mem::{GuestPhys, UserVirt};
use alloc::collections::BTreeSet;
use alloc::rc::Rc;
use ix_abi::app::Status;
use ix_abi::host::area::Outcome;

/// Which of the generators made from one seed is the app's; the kernel's own are the numbers below.
const RANDOM_STREAM: u64 = 1 << 32;

/// No thread.
pub(super) const NOBODY: usize = usize::MAX;

/// The arguments of a `run_io` (see [`ix_abi::app::trap::RUN_IO`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunIo {
    /// How many commands of the array to carry out.
    pub commands: u64,
    /// Room for events.
    pub max_events: u64,
    /// How long to wait for one, in nanoseconds.
    pub wait_ns: u64,
}

/// Why [`Process::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The dataplane thread called `run_io`; answer with [`Process::finish_call`].
    RunIo(RunIo),
    /// A thread called `io_setup`; answer with [`Process::finish_call`].
    IoSetup,
    /// A timer tick: look after the network, then go on.
    Tick,
    /// No thread can run before `deadline_ns` (`None`: by itself, never).
    Idle {
        /// Time of [`crate::arch::tsc::now_ns`].
        deadline_ns: Option<u64>,
    },
    /// The app has ended.
    Ended(Outcome),
}

/// The app.
#[derive(Debug)]
pub struct Process {
    pub(super) memory: Memory,
    pub(super) threads: Threads,
    pub(super) scheduler: Scheduler,
    /// Whose extended state the processor holds.
    pub(super) loaded: usize,
    /// Who has called the dataplane and waits for its answer.
    pub(super) caller: usize,
    /// The earliest deadline of a waiting thread; may be too early, never too late.
    pub(super) next_deadline_ns: u64,
    /// The first tick that found the dataplane thread running since its last `run_io`; 0: none has.
    pub(super) computing_since_ns: u64,
    pub(super) outcome: Option<Outcome>,
    pub(super) signals: Signals,
    pub(super) files: Descriptors,
    /// The current one: absolute, and without a slash at its end unless it is the root.
    pub(super) directory: Rc<[u8]>,
    /// Calls to the launcher.
    pub(super) host: HostLine,
    pub(super) random: Random,
    pub(super) stack_bytes: u64,
    /// The program's file and what was added to its addresses, to name functions.
    pub(super) file: &'static [u8],
    pub(super) bias: u64,
    /// Linux calls that are not served: how often, and those that were logged.
    pub(super) unknown_calls: u64,
    pub(super) unknown_logged: BTreeSet<u64>,
}

impl Process {
    /// Loads a program. Takes the largest free range of `frames` as the arena.
    ///
    /// # Errors
    /// The file cannot be loaded, or the machine is too small; the message says why.
    pub fn load(program: &Program<'_>, frames: &mut Frames) -> Result<Self, LoadError> {
        let mut random = Random::from_host(RANDOM_STREAM);
        let loaded = loader::load(program, frames, &mut random)?;
        let mut process = Process::new(loaded.memory, random);
        process.add_thread(loaded.context);
        process.host = HostLine::new(host::area().map(|area| Link {
            calls: &area.host_calls,
            ring: host::ring_for_call,
        }));
        (process.stack_bytes, process.file, process.bias) = (loaded.stack_bytes, program.file, loaded.bias);
        Ok(process)
    }

    fn new(memory: Memory, random: Random) -> Self {
        Process {
            memory,
            threads: Threads::default(),
            scheduler: Scheduler::default(),
            loaded: NOBODY,
            caller: NOBODY,
            next_deadline_ns: u64::MAX,
            computing_since_ns: 0,
            outcome: None,
            signals: Signals::default(),
            files: Descriptors::default(),
            directory: (*b"/").into(),
            host: HostLine::default(),
            random,
            stack_bytes: 0,
            file: &[],
            bias: 0,
            unknown_calls: 0,
            unknown_logged: BTreeSet::new(),
        }
    }

    fn add_thread(&mut self, context: Context) {
        if let Some(thread) = self.threads.add(context, ExtendedState::new()) {
            self.scheduler.wake(thread);
        }
    }

    /// Where `len` bytes of the app's memory at `address` lie. `None`: they are not, or not all, the app's.
    #[inline]
    pub fn translate(&self, address: UserVirt, len: u64) -> Option<GuestPhys> {
        self.memory.translate(address, len)
    }

    /// A copy of a value in the app's memory.
    #[inline]
    pub fn read<T: Plain>(&self, address: UserVirt) -> Option<T> {
        self.memory.read(address)
    }

    /// Makes the thread whose `io_setup` is being answered the dataplane thread.
    ///
    /// # Errors
    /// [`Status::Busy`]: another thread is.
    pub fn claim_dataplane_thread(&mut self) -> Result<(), Status> {
        match self.scheduler.foreground() {
            Some(thread) if thread != self.caller => Err(Status::Busy),
            _ => {
                self.scheduler.set_foreground(self.caller);
                Ok(())
            }
        }
    }

    /// Answers the `run_io` or `io_setup` that [`Process::run`] returned for.
    #[inline]
    pub fn finish_call(&mut self, result: i64) {
        let caller = self.caller;
        if let Some(thread) = self.threads.get_mut(caller) {
            thread.context.rax = result.cast_unsigned();
            self.scheduler.wake(caller);
        }
        self.computing_since_ns = 0;
    }

    /// How long the dataplane thread has computed since its last `run_io`, to the resolution of the tick, in nanoseconds.
    pub fn in_ring3_since_ns(&self, now_ns: u64) -> u64 {
        if self.computing_since_ns == 0 {
            0
        } else {
            now_ns.saturating_sub(self.computing_since_ns)
        }
    }

    /// The launcher has answered a thread that waits.
    #[inline]
    pub fn has_answer(&self) -> bool {
        self.host.has_answer()
    }

    /// How the app ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Counters, for `ix stats`.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("app.threads", self.threads.count() as u64),
            ("app.memory_bytes", self.memory.mapped_bytes()),
            ("app.unknown_calls", self.unknown_calls),
            ("app.open_files", self.files.count() as u64),
            ("app.host_calls", self.host.total()),
        ]
        .into_iter()
    }
}

#[cfg(test)]
impl Process {
    /// With one thread and an empty arena.
    pub(super) fn for_test(arena_bytes: u64, context: Context) -> Self {
        let mut process = Process::new(super::memory::testing::memory(arena_bytes), Random::from_host(0));
        process.add_thread(context);
        process
    }

    /// Adds a thread that is ready; returns its number.
    pub(super) fn add_thread_for_test(&mut self) -> usize {
        self.add_thread(Context::new(0, 0));
        self.threads.count() - 1
    }
}
