//! The app as ring 0 sees it: its memory, its threads, and what it has been told. All cores share it, behind the lock of
//! the `App`.

use super::descriptors::Descriptors;
use super::host_calls::{HostLine, Link};
use super::image::LoadError;
use super::linux::signal::Signals;
use super::loader::{self, Program};
use super::memory::Memory;
use super::random::Random;
use super::scheduler::Scheduler;
use super::thread::{Asks, Thread, Threads};
use crate::arch::context::{Context, ExtendedState};
use crate::arch::tsc;
use crate::host;
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use ix_abi::app::{Status, trap};
use ix_abi::host::area::Outcome;

/// Which of the generators made from one seed is the app's; the kernel's own are the numbers below.
const RANDOM_STREAM: u64 = 1 << 32;

/// What becomes of a thread that was lent to the process.
pub(super) enum Back {
    /// It runs on.
    GoesOn(Box<Thread>),
    /// It runs on, after others that can run.
    LetsOthers(Box<Thread>),
    /// It waits, goes elsewhere, or has ended; the processor holds nothing of it any more.
    Leaves,
}

/// The app.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) memory: Memory,
    pub(super) threads: Threads,
    pub(super) scheduler: Scheduler,
    /// The earliest deadline of a waiting thread; may be too early, never too late.
    pub(super) next_deadline_ns: u64,
    pub(super) outcome: Option<Outcome>,
    pub(super) signals: Signals,
    pub(super) files: Descriptors,
    /// The current one: absolute, and without a slash at its end unless it is the root.
    pub(super) directory: Arc<[u8]>,
    /// Calls to the launcher.
    pub(super) host: HostLine,
    pub(super) random: Random,
    /// Where each core's arrays are.
    pub(super) io_areas: Vec<UserVirt>,
    pub(super) stack_bytes: u64,
    /// The program's file and what was added to its addresses, to name functions.
    pub(super) file: &'static [u8],
    pub(super) bias: u64,
    /// Linux calls that are not served: how often, and those that were logged.
    pub(super) unknown_calls: u64,
    pub(super) unknown_logged: BTreeSet<u64>,
}

impl Process {
    /// See [`super::App::load`].
    pub(super) fn load(
        program: &Program<'_>,
        frames: &mut Frames,
        io_areas: Vec<UserVirt>,
    ) -> Result<Self, LoadError> {
        let mut random = Random::from_host(RANDOM_STREAM);
        let loaded = loader::load(program, frames, &mut random)?;
        let mut process = Process::new(loaded.memory, random);
        process.io_areas = io_areas;
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
            next_deadline_ns: u64::MAX,
            outcome: None,
            signals: Signals::default(),
            files: Descriptors::default(),
            directory: (*b"/").into(),
            host: HostLine::default(),
            random,
            io_areas: Vec::new(),
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

    /// What becomes of the thread that was lent, now that its trap has been served.
    pub(super) fn give_back(&mut self, number: usize) -> Back {
        let others = self.scheduler.ready_count() > 0;
        let is_bound = self.scheduler.core_of(number).is_some();
        let Some(thread) = self.threads.get_mut(number) else {
            return Back::Leaves;
        };
        let asks = core::mem::take(&mut thread.asks);
        let leaves = match asks {
            Asks::Nothing => false,
            Asks::Yield => others && !is_bound,
            Asks::Move => true,
        };
        if leaves || thread.wait.is_some() {
            thread.extended.save();
            if leaves {
                self.scheduler.wake(number);
            }
            return Back::Leaves;
        }
        match self.threads.take(number) {
            Some(thread) if asks == Asks::Yield && others => Back::LetsOthers(thread),
            Some(thread) => Back::GoesOn(thread),
            None => Back::Leaves,
        }
    }

    /// One of our own calls, but not a bound thread's `run_io`.
    pub(super) fn serve_own_call(&mut self, number: usize) {
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        let (call, core) = (thread.context.rax, thread.context.rdi);
        let result = match call {
            trap::IO_SETUP => self.io_setup(number, core),
            trap::RUN_IO => Err(Status::Invalid),
            _ => Err(Status::NoSuchCall),
        };
        if let Some(thread) = self.threads.get_mut(number) {
            thread.context.rax = match result {
                Ok(UserVirt(address)) => address,
                Err(status) => i64::from(status.negated()).cast_unsigned(),
            };
        }
    }

    /// Binds a thread to a core, for good; the address of the core's arrays.
    fn io_setup(&mut self, number: usize, core: u64) -> Result<UserVirt, Status> {
        let core = usize::try_from(core).map_err(|_| Status::Invalid)?;
        let area = *self.io_areas.get(core).ok_or(Status::Invalid)?;
        match (self.scheduler.bound_to(core), self.scheduler.core_of(number)) {
            (Some(bound), _) if bound == number => {}
            (None, None) => {
                self.scheduler.bind(core, number);
                if let Some(thread) = self.threads.get_mut(number) {
                    thread.asks = Asks::Move;
                }
            }
            _ => return Err(Status::Busy),
        }
        Ok(area)
    }

    /// Wakes the threads whose deadline has come.
    pub(super) fn wake_expired(&mut self) {
        let now_ns = tsc::now_ns();
        if now_ns < self.next_deadline_ns {
            return;
        }
        while let Some((number, result)) = self.threads.expired(now_ns) {
            self.wake_with(number, result);
        }
        self.next_deadline_ns = self.threads.next_deadline_ns();
    }

    /// Counters, for `ix stats`.
    pub(super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
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
