//! Translations that other cores remember. Who takes a right away from ring 3 waits until no core can use it any more.
//!
//! Each such change gets a number. A core that sees one it has not heeded forgets all translations and says so:
//! before it enters ring 3, while it waits in ring 0, and, if it is in ring 3, because it is interrupted. So nothing
//! but a look at a number that rarely changes is on the way into ring 3.

use super::smp::{self, MAX_CORES};
use super::syscall_entry::this_core;
use ::x86_64::instructions::tlb;
use core::sync::atomic::{AtomicU64, Ordering};

/// In lines of the cache of its own.
#[repr(align(64))]
struct Number(AtomicU64);

/// How many changes there were.
static CHANGES: Number = Number(AtomicU64::new(0));
/// How many of them each core has heeded.
static HEEDED: [Number; MAX_CORES] = [const { Number(AtomicU64::new(0)) }; MAX_CORES];

/// Heeds what other cores have changed. To be called before ring 3 is entered and wherever ring 0 waits.
#[inline]
pub fn checkpoint() {
    let changes = CHANGES.0.load(Ordering::Acquire);
    if HEEDED[this_core()].0.load(Ordering::Relaxed) != changes {
        heed(changes);
    }
}

#[cold]
fn heed(changes: u64) {
    tlb::flush_all();
    HEEDED[this_core()].0.store(changes, Ordering::Release);
}

/// Makes all other cores forget all translations, and waits until they have. One core at a time may call this.
pub fn everywhere() {
    let (me, cores) = (this_core(), smp::count());
    if cores == 1 {
        return;
    }
    let changes = CHANGES.0.fetch_add(1, Ordering::AcqRel) + 1;
    HEEDED[me].0.store(changes, Ordering::Release);
    let others = || (0..cores).filter(|&core| core != me);
    others().for_each(smp::interrupt);
    for core in others() {
        while HEEDED[core].0.load(Ordering::Acquire) < changes {
            core::hint::spin_loop();
        }
    }
}
