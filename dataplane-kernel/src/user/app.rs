//! The app as all cores share it: the process behind a lock, and beside it the few signs by which a core sees, without the
//! lock, that there is something in it for the core to do. No packet passes through here.

use super::host_calls::Link;
use super::image::LoadError;
use super::loader::Program;
use super::process::Process;
use super::seat::Seat;
use crate::arch::smp::{self, MAX_CORES};
use crate::arch::{places, shootdown, sleep, syscall_entry, tsc};
use crate::mem::UserVirt;
use crate::mem::frames::Frames;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use ix_abi::host::area::Outcome;
use spin::Mutex;

/// The app.
pub struct App {
    process: Mutex<Process>,
    /// The launcher's end of calls to it.
    calls: Option<Link>,
    /// Threads without a core that can run.
    ready: AtomicU32,
    /// The earliest deadline of a waiting thread; may be too early, never too late.
    next_deadline_ns: AtomicU64,
    /// Calls to the launcher under way, a bit for each slot.
    asked: AtomicU32,
    has_ended: AtomicBool,
    /// By core: its own thread can run.
    wanted: [AtomicBool; MAX_CORES],
}

impl App {
    /// Loads a program. Takes the largest free range of `frames` as the arena; `io_areas` are the arrays of the cores.
    ///
    /// # Errors
    /// The file cannot be loaded, or the machine is too small; the message says why.
    pub fn load(
        program: &Program<'_>,
        frames: &mut Frames,
        io_areas: Vec<UserVirt>,
    ) -> Result<Arc<Self>, LoadError> {
        Process::load(program, frames, io_areas).map(App::new)
    }

    fn new(process: Process) -> Arc<Self> {
        let app = Arc::new(App {
            calls: process.host.link(),
            process: Mutex::new(process),
            ready: AtomicU32::new(0),
            next_deadline_ns: AtomicU64::new(u64::MAX),
            asked: AtomicU32::new(0),
            has_ended: AtomicBool::new(false),
            wanted: [const { AtomicBool::new(false) }; MAX_CORES],
        });
        app.with(|_| ());
        app
    }

    /// The seat of a core; one for each.
    pub fn seat(self: &Arc<Self>, core: usize) -> Seat {
        let view = self.with(|process| process.memory.view());
        Seat::new(Arc::clone(self), core, view)
    }

    /// Does something with the process, which meanwhile is this core's alone, and shows the others what has come of it.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Process) -> R) -> R {
        let mut process = loop {
            match self.process.try_lock() {
                Some(process) => break process,
                // Who has it may be waiting for this core to forget translations.
                None => shootdown::checkpoint(),
            }
            core::hint::spin_loop();
        };
        let result = work(&mut process);
        self.show(&process);
        result
    }

    fn show(&self, process: &Process) {
        let ready = u32::try_from(process.scheduler.ready_count()).unwrap_or(u32::MAX);
        if self.ready.swap(ready, Ordering::AcqRel) < ready {
            sleep::rouse_any();
        }
        self.next_deadline_ns
            .store(process.next_deadline_ns, Ordering::Release);
        self.asked.store(process.host.asked(), Ordering::Release);
        let me = syscall_entry::this_core();
        for core in process.scheduler.wanted_cores() {
            let was_wanted = self
                .wanted
                .get(core)
                .is_none_or(|wanted| wanted.swap(true, Ordering::Release));
            if !was_wanted && places::of(core) != me {
                places::interrupt(core);
            }
        }
        if process.outcome.is_some() && !self.has_ended.swap(true, Ordering::Release) {
            (0..smp::count())
                .filter(|&core| core != me)
                .for_each(smp::interrupt);
        }
    }

    /// It has ended: no core enters it any more.
    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// How it ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.has_ended()
            .then(|| self.with(|process| process.outcome))
            .flatten()
    }

    /// Ends it.
    pub fn end(&self, outcome: Outcome) {
        self.with(|process| {
            process.outcome.get_or_insert(outcome);
        });
    }

    /// A thread without a core can run.
    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) != 0
    }

    /// A core's own thread can run: true once.
    #[inline]
    pub(super) fn take_wanted(&self, core: usize) -> bool {
        let wanted = self.wanted.get(core);
        wanted.is_some_and(|wanted| wanted.load(Ordering::Relaxed) && wanted.swap(false, Ordering::Acquire))
    }

    /// The same, without taking it.
    pub(super) fn is_wanted(&self, core: usize) -> bool {
        let wanted = self.wanted.get(core);
        wanted.is_some_and(|wanted| wanted.load(Ordering::Relaxed))
    }

    /// A thread's wait is over: its deadline has come, or the launcher has answered.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        let deadline_ns = self.next_deadline_ns.load(Ordering::Relaxed);
        (deadline_ns != u64::MAX && tsc::now_ns() >= deadline_ns) || self.is_answered()
    }

    /// When [`App::is_due`] will be; `None`: the launcher's answer may come at any time.
    pub(super) fn next_deadline_ns(&self) -> Option<u64> {
        let is_asked = self.asked.load(Ordering::Relaxed) != 0;
        (!is_asked).then(|| self.next_deadline_ns.load(Ordering::Relaxed))
    }

    #[inline]
    fn is_answered(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        asked != 0 && self.calls.is_some_and(|link| link.is_any_answered(asked))
    }

    /// Lets the threads go on whose wait is over.
    pub(super) fn attend(&self) {
        self.with(|process| {
            process.wake_expired();
            process.take_answers();
        });
    }

    /// Counters, for `ix stats`.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        self.with(|process| process.counters())
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
