//! Processors that sleep. In ring 0 interrupts are off, but here; one that comes only wakes the processor, whatever it is
//! for.
//!
//! A processor that is about to sleep says so, looks once more whether there is anything to do, and sleeps. Who makes
//! something to do for another processor looks afterwards whether it sleeps. Each step is ordered, so one of the two sees
//! what the other did; and an interrupt that comes too early is not lost, but pending.

use super::apic;
use super::idt;
use super::smp::{self, MAX_CORES};
use super::syscall_entry::this_core;
use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering, fence};

// Interrupts are let in with the instruction behind STI (SDM volume 2), so one that is pending, or comes at any time, is
// taken in HLT. The trap stubs (`idt.rs`) know where it returns to, and return with interrupts off.
global_asm!(
    ".global sleep_until_interrupt",
    "sleep_until_interrupt:",
    "sti",
    "hlt",
    ".global halted",
    "halted:",
    "ret",
);

unsafe extern "C" {
    fn sleep_until_interrupt() -> u64;
}

/// What ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Its time was over.
    ByTimer,
    /// Somebody interrupted.
    Roused,
}

/// In lines of the cache of their own.
#[repr(align(64))]
struct Flag(AtomicBool);

/// By processor: it sleeps, or is about to.
static DROWSY: [Flag; MAX_CORES] = [const { Flag(AtomicBool::new(false)) }; MAX_CORES];
/// Any may sleep: where none does, nobody needs to look.
static ALLOWED: AtomicBool = AtomicBool::new(false);

/// Once, before the cores begin: from now on, processors may sleep while they carry cores.
pub fn allow() {
    ALLOWED.store(true, Ordering::Relaxed);
}

/// This processor is about to sleep, unless it finds something to do.
pub fn announce() {
    DROWSY[this_core()].0.store(true, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// It does not.
pub fn revoke() {
    DROWSY[this_core()].0.store(false, Ordering::Relaxed);
}

/// Wakes a processor that sleeps, or is about to. To be called after what there is to do was made visible.
#[inline]
pub fn rouse(processor: usize) {
    if ALLOWED.load(Ordering::Relaxed) {
        rouse_now(processor);
    }
}

#[inline(never)]
fn rouse_now(processor: usize) {
    fence(Ordering::SeqCst);
    let flag = DROWSY.get(processor);
    if flag.is_some_and(|flag| flag.0.load(Ordering::Relaxed) && flag.0.swap(false, Ordering::Relaxed)) {
        smp::interrupt(processor);
    }
}

/// Wakes one of those that sleep, for work that is anybody's.
pub fn rouse_any() {
    if !ALLOWED.load(Ordering::Relaxed) {
        return;
    }
    fence(Ordering::SeqCst);
    if let Some(processor) = (0..smp::count()).find(|&processor| DROWSY[processor].0.load(Ordering::Relaxed))
    {
        rouse_now(processor);
    }
}

/// Sleeps until an interrupt comes, or one has come since ring 3 was last entered: the tick at the latest.
pub fn until_interrupt() -> Woken {
    // SAFETY: changes no register but the one that it returns; the one interrupt that is let in goes through the trap stubs.
    let vector = unsafe { sleep_until_interrupt() };
    apic::end_of_interrupt();
    if vector == u64::from(idt::TIMER) {
        Woken::ByTimer
    } else {
        Woken::Roused
    }
}

/// The same, for `ns` at most.
pub fn for_at_most(ns: u64) -> Woken {
    apic::set_alarm(ns);
    let woken = until_interrupt();
    apic::set_pace(apic::Pace::Normal);
    woken
}
