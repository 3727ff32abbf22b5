//! Which processor carries which core of the dataplane. Whoever wants something of a core asks here whom to interrupt.

use super::smp::{self, MAX_CORES};
use core::sync::atomic::{AtomicUsize, Ordering};

/// By core; as a rule each has a processor of its own.
static PLACES: [AtomicUsize; MAX_CORES] = {
    let mut places = [const { AtomicUsize::new(0) }; MAX_CORES];
    let mut core = 0;
    while core < MAX_CORES {
        places[core] = AtomicUsize::new(core);
        core += 1;
    }
    places
};

/// The processor that carries a core, or is about to.
pub fn of(core: usize) -> usize {
    PLACES.get(core).map_or(0, |place| place.load(Ordering::SeqCst))
}

/// From now on, another processor carries it.
pub fn set(core: usize, processor: usize) {
    if let Some(place) = PLACES.get(core) {
        place.store(processor, Ordering::SeqCst);
    }
}

/// Interrupts the processor that carries a core.
pub fn interrupt(core: usize) {
    smp::interrupt(of(core));
}
