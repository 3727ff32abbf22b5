//! A core's seat in the app: the threads that run on it. They are entered, and what they trap for is served, until the
//! dataplane is needed.
//!
//! A thread that runs belongs to its core alone, so the way of packets (a bound thread's `run_io`) takes no lock. For
//! everything else it is lent to the process, and taken back if it can go on.

use super::app::App;
use super::process::{Back, Process};
use super::thread::Thread;
use super::view::View;
use crate::arch::apic::{self, Pace};
use crate::arch::syscall_entry::{self, Trap};
use crate::arch::{idt, shootdown, tsc};
use alloc::boxed::Box;
use alloc::sync::Arc;
use ix_abi::app::trap;
use ix_abi::host::area::Outcome;

/// Ticks a bound thread may run in a row while others are ready.
const OWN_TICKS: u32 = 16;

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

/// Why [`Seat::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The bound thread called `run_io`; answer with [`Seat::finish_call`].
    RunIo(RunIo),
    /// A thread was bound to this core, which now carries a dataplane.
    SetUp,
    /// A timer tick: look after the network, then go on.
    Tick,
    /// No thread can run here; see [`Seat::has_work`].
    Idle,
    /// The app has ended.
    Ended,
}

/// A thread on a core.
#[derive(Debug)]
struct Running {
    number: usize,
    thread: Box<Thread>,
}

/// The place a thread has on its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Bound to the core.
    Own,
    /// Here for a turn.
    Guest,
}

/// What a core has of the app.
#[derive(Debug)]
pub struct Seat {
    app: Arc<App>,
    core: usize,
    view: View,
    /// The bound thread, unless it waits for something but the dataplane.
    own: Option<Running>,
    guest: Option<Running>,
    /// Whose extended state the processor holds.
    loaded: Option<Place>,
    /// A thread has been bound to this core.
    is_set_up: bool,
    /// The first tick that found the bound thread running since its last `run_io`; 0: none has.
    computing_since_ns: u64,
    /// Ticks it has run in a row while others were ready.
    own_ticks: u32,
    /// A guest's turn, though the bound thread could run.
    guests_turn: bool,
}

impl Seat {
    pub(super) fn new(app: Arc<App>, core: usize, view: View) -> Self {
        Seat {
            app,
            core,
            view,
            own: None,
            guest: None,
            loaded: None,
            is_set_up: false,
            computing_since_ns: 0,
            own_ticks: 0,
            guests_turn: false,
        }
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Its memory.
    #[inline]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The app has ended: no core enters it any more.
    #[inline]
    pub fn has_ended(&self) -> bool {
        self.app.has_ended()
    }

    /// Runs the app's threads on this core until the dataplane is needed.
    #[inline]
    pub fn run(&mut self) -> Leave {
        loop {
            if self.app.has_ended() {
                return Leave::Ended;
            }
            let place = if self.own.is_some() && !self.guests_turn {
                Place::Own
            } else {
                match self.choose() {
                    Ok(place) => place,
                    Err(leave) => return leave,
                }
            };
            if let Some(leave) = self.step(place) {
                return leave;
            }
        }
    }

    /// Who is to run, when that is not plainly the bound thread.
    #[cold]
    fn choose(&mut self) -> Result<Place, Leave> {
        if self.app.is_due() {
            self.app.attend();
        }
        if self.own.is_none() && self.app.take_wanted(self.core) {
            self.give_back_guest();
            let core = self.core;
            self.own = self.take(|process| process.scheduler.take_bound(core));
            if self.own.is_some() && !core::mem::replace(&mut self.is_set_up, true) {
                return Err(Leave::SetUp);
            }
        } else if self.take_guest() {
            return Ok(Place::Guest);
        }
        self.guests_turn = false;
        if self.own.is_some() {
            return Ok(Place::Own);
        }
        self.computing_since_ns = 0;
        if self.has_work() {
            Err(Leave::Tick)
        } else {
            Err(Leave::Idle)
        }
    }

    fn take(&self, choose: impl FnOnce(&mut Process) -> Option<usize>) -> Option<Running> {
        self.app.with(|process| {
            let number = choose(process)?;
            let thread = process.threads.take(number)?;
            Some(Running { number, thread })
        })
    }

    /// `true` if there is a guest, or is now.
    fn take_guest(&mut self) -> bool {
        if self.guest.is_none() && self.app.has_ready() {
            self.guest = self.take(|process| process.scheduler.take_other());
        }
        self.guest.is_some()
    }

    /// Lets the guest run elsewhere, or later.
    fn give_back_guest(&mut self) {
        let Some(Running { number, mut thread }) = self.guest.take() else {
            return;
        };
        if self.loaded == Some(Place::Guest) {
            thread.extended.save();
            self.loaded = None;
        }
        self.app.with(|process| {
            process.threads.put(number, thread);
            process.scheduler.wake(number);
        });
    }

    /// There is something to do for this core that [`Seat::run`] would find.
    pub fn has_work(&self) -> bool {
        let app = &self.app;
        app.has_ended() || app.is_wanted(self.core) || app.has_ready() || app.is_due()
    }

    /// Until when [`Seat::has_work`] stays as it is if nobody interrupts, in nanoseconds; `None`: the launcher may answer at
    /// any time, and interrupts nobody.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.app.next_deadline_ns()
    }

    /// `true` if a thread other than the bound one could run.
    #[inline]
    pub fn background_ready(&self) -> bool {
        if self.app.is_due() {
            self.app.attend();
        }
        self.app.has_ready()
    }

    /// While the bound thread waits in `run_io`: runs one of the other threads until it waits, or for a short tick, for a
    /// packet may come meanwhile.
    pub fn run_background(&mut self) {
        apic::set_pace(Pace::Short);
        if self.take_guest() {
            while !self.app.has_ended() && self.guest.is_some() {
                if let Some(Leave::Tick) = self.step(Place::Guest) {
                    break;
                }
            }
        }
        self.give_back_guest();
        apic::set_pace(Pace::Normal);
    }

    /// Another core's threads are to run on this processor: what it holds of one of ours is kept.
    pub fn put_down(&mut self) {
        if let Some(place) = self.loaded.take()
            && let Some(running) = self.at(place)
        {
            running.thread.extended.save();
        }
    }

    /// Answers the `run_io` that [`Seat::run`] returned for.
    #[inline]
    pub fn finish_call(&mut self, result: i64) {
        if let Some(own) = &mut self.own {
            own.thread.context.rax = result.cast_unsigned();
        }
        self.computing_since_ns = 0;
    }

    /// How long the bound thread has computed since its last `run_io`, to the resolution of the tick, in nanoseconds.
    pub fn in_ring3_since_ns(&self, now_ns: u64) -> u64 {
        if self.computing_since_ns == 0 {
            0
        } else {
            now_ns.saturating_sub(self.computing_since_ns)
        }
    }

    #[inline]
    fn at(&mut self, place: Place) -> &mut Option<Running> {
        match place {
            Place::Own => &mut self.own,
            Place::Guest => &mut self.guest,
        }
    }

    /// Enters a thread and serves its next trap.
    #[inline]
    fn step(&mut self, place: Place) -> Option<Leave> {
        shootdown::checkpoint();
        if self.loaded != Some(place) {
            self.load(place);
        }
        let context = &mut self.at(place).as_mut()?.thread.context;
        // SAFETY: an app exists only after boot; the loader maps nothing of ring 0's into ring 3's half.
        let trap = unsafe { syscall_entry::enter(context) };
        if place == Place::Own && trap == Trap::Call && context.rax == trap::RUN_IO {
            return Some(Leave::RunIo(RunIo {
                commands: context.rdi,
                max_events: context.rsi,
                wait_ns: context.rdx,
            }));
        }
        let vector = context.vector;
        self.serve(place, trap, vector)
    }

    /// Every trap but the one that packets take.
    #[inline(never)]
    fn serve(&mut self, place: Place, trap: Trap, vector: u64) -> Option<Leave> {
        match trap {
            Trap::Call => self.serve_in_process(place, Process::serve_own_call),
            Trap::LinuxCall => self.serve_in_process(place, Process::serve_linux_call),
            Trap::BadAddress => self.serve_in_process(place, Process::kill_at_bad_address),
            Trap::Exception if vector < u64::from(idt::FIRST_EXTERNAL) => {
                self.serve_in_process(place, Process::on_fault);
            }
            Trap::Exception if vector == u64::from(idt::TIMER) => {
                apic::end_of_interrupt();
                self.on_tick(place);
                return Some(Leave::Tick);
            }
            Trap::Exception if vector == u64::from(idt::LOOK) => apic::end_of_interrupt(),
            Trap::Exception => {}
        }
        None
    }

    /// Lends the thread to the process for the work, and takes it back if it can go on here.
    fn serve_in_process(&mut self, place: Place, work: impl FnOnce(&mut Process, usize)) {
        let Some(Running { number, thread }) = self.at(place).take() else {
            return;
        };
        let back = self.app.with(|process| {
            process.threads.put(number, thread);
            work(process, number);
            process.give_back(number)
        });
        let back = match back {
            Back::GoesOn(thread) => Some(thread),
            Back::LetsOthers(thread) => {
                self.guests_turn = place == Place::Own;
                Some(thread)
            }
            Back::Leaves => {
                self.loaded = None;
                self.guests_turn &= place == Place::Own;
                None
            }
        };
        *self.at(place) = back.map(|thread| Running { number, thread });
    }

    /// Gives the processor the extended state of the thread that is to run.
    #[cold]
    fn load(&mut self, place: Place) {
        self.put_down();
        if let Some(running) = self.at(place) {
            running.thread.extended.restore();
            self.loaded = Some(place);
        }
    }

    fn on_tick(&mut self, place: Place) {
        if self.app.is_due() {
            self.app.attend();
        }
        match place {
            Place::Own => {
                if self.computing_since_ns == 0 {
                    self.computing_since_ns = tsc::now_ns();
                }
                self.own_ticks = if self.app.has_ready() {
                    self.own_ticks + 1
                } else {
                    0
                };
                self.guests_turn = self.own_ticks >= OWN_TICKS;
            }
            Place::Guest => {
                (self.guests_turn, self.own_ticks) = (false, 0);
                if self.own.is_some() || self.app.has_ready() {
                    self.give_back_guest();
                }
            }
        }
    }

    /// Ends the app by a signal.
    pub fn kill(&self, signal: u8) {
        self.app.end(Outcome::Signalled(signal));
    }
}
