//! Running ring 3: threads are entered and what they trap for is served, until the dataplane is needed.

use super::process::{Leave, NOBODY, Process, RunIo};
use crate::arch::apic::{self, Pace};
use crate::arch::syscall_entry::{self, Trap};
use crate::arch::{idt, tsc};
use ix_abi::app::{Status, trap};
use ix_abi::host::area::Outcome;

impl Process {
    /// Runs the app until the dataplane is needed.
    #[inline]
    pub fn run(&mut self) -> Leave {
        loop {
            if let Some(outcome) = self.outcome {
                return Leave::Ended(outcome);
            }
            let Some(number) = self.scheduler.next() else {
                if self.wake_expired() || self.take_answers() {
                    continue;
                }
                self.computing_since_ns = 0;
                let deadline_ns = Some(self.next_deadline_ns).filter(|&deadline| deadline != u64::MAX);
                return Leave::Idle { deadline_ns };
            };
            if let Some(leave) = self.step(number) {
                return leave;
            }
        }
    }

    /// `true` if a thread other than the dataplane's could run.
    #[inline]
    pub fn background_ready(&mut self) -> bool {
        if self.next_deadline_ns != u64::MAX {
            self.wake_expired();
        }
        if self.host.has_answer() {
            self.take_answers();
        }
        self.scheduler.next_background().is_some()
    }

    /// While the dataplane thread waits in `run_io`: runs one of the other threads until it waits, or for a short tick,
    /// for a packet may come meanwhile. Returns how the app ended, if it did.
    pub fn run_background(&mut self) -> Option<Outcome> {
        let number = self.scheduler.next_background()?;
        apic::set_pace(Pace::Short);
        while self.outcome.is_none() && self.scheduler.next_background() == Some(number) {
            if let Some(Leave::Tick) = self.step(number) {
                break;
            }
        }
        apic::set_pace(Pace::Normal);
        self.outcome
    }

    /// Enters a thread and serves its next trap.
    #[inline]
    fn step(&mut self, number: usize) -> Option<Leave> {
        if self.loaded != number {
            self.switch_to(number);
        }
        let thread = self.threads.get_mut(number)?;
        // SAFETY: a process exists only after boot; the loader maps nothing of ring 0's into ring 3's half.
        let trap = unsafe { syscall_entry::enter(&mut thread.context) };
        let context = &thread.context;
        if trap == Trap::Call && context.rax == trap::RUN_IO && self.scheduler.foreground() == Some(number) {
            let call = RunIo {
                commands: context.rdi,
                max_events: context.rsi,
                wait_ns: context.rdx,
            };
            self.caller = number;
            self.scheduler.block(number);
            return Some(Leave::RunIo(call));
        }
        self.serve(number, trap)
    }

    /// Every trap but the one that packets take.
    #[inline(never)]
    fn serve(&mut self, number: usize, trap: Trap) -> Option<Leave> {
        match trap {
            Trap::Call => self.on_call(number),
            Trap::LinuxCall => {
                self.serve_linux_call(number);
                None
            }
            Trap::Exception => self.on_exception(number),
            Trap::BadAddress => {
                self.kill_at_bad_address(number);
                None
            }
        }
    }

    /// Gives the processor the extended state of the thread that is to run.
    #[cold]
    fn switch_to(&mut self, number: usize) {
        if let Some(thread) = self.threads.get_mut(self.loaded) {
            thread.extended.save();
        }
        self.loaded = NOBODY;
        if let Some(thread) = self.threads.get(number) {
            thread.extended.restore();
            self.loaded = number;
        }
    }

    /// One of our own calls, but not the dataplane thread's `run_io`.
    fn on_call(&mut self, number: usize) -> Option<Leave> {
        let free = self.scheduler.foreground().is_none_or(|thread| thread == number);
        let thread = self.threads.get_mut(number)?;
        let status = match thread.context.rax {
            trap::IO_SETUP if free => {
                self.caller = number;
                self.scheduler.block(number);
                return Some(Leave::IoSetup);
            }
            trap::IO_SETUP => Status::Busy,
            trap::RUN_IO => Status::Invalid,
            _ => Status::NoSuchCall,
        };
        thread.context.rax = i64::from(status.negated()).cast_unsigned();
        None
    }

    fn on_exception(&mut self, number: usize) -> Option<Leave> {
        let vector = self.threads.get(number)?.context.vector;
        if vector == u64::from(idt::TIMER) {
            apic::end_of_interrupt();
            self.on_tick(number);
            return Some(Leave::Tick);
        }
        if vector < u64::from(idt::FIRST_EXTERNAL) {
            self.on_fault(number);
        }
        None
    }

    fn on_tick(&mut self, number: usize) {
        if !self.scheduler.foreground_is_ready() {
            // It waits, and that is not computing.
            self.computing_since_ns = 0;
        } else if self.scheduler.foreground() == Some(number) && self.computing_since_ns == 0 {
            self.computing_since_ns = tsc::now_ns();
        }
        self.wake_expired();
        self.take_answers();
        self.scheduler.tick(number);
    }

    /// Wakes the threads whose deadline has come; `true` if there was one.
    #[cold]
    fn wake_expired(&mut self) -> bool {
        if self.next_deadline_ns == u64::MAX {
            return false;
        }
        let now_ns = tsc::now_ns();
        if now_ns < self.next_deadline_ns {
            return false;
        }
        let mut woken = false;
        while let Some((number, result)) = self.threads.expired(now_ns) {
            self.wake_with(number, result);
            woken = true;
        }
        self.next_deadline_ns = self.threads.next_deadline_ns();
        woken
    }
}
