//! The lab's clock. QEMU's emulated processors count with this host's time-stamp counter. Linux in the lab would
//! measure it against an emulated timer, and on a busy host be wrong by a factor, so it is told.

use std::time::{Duration, Instant};

/// A reading of the time and of the counter, and how far from the same moment they may be.
struct Reading {
    at: Instant,
    ticks: u64,
    doubt: Duration,
}

impl Reading {
    /// The best of a few: between two instructions the whole thread may have slept.
    fn best() -> Self {
        let readings = (0..16).map(|_| Self::take());
        readings
            .min_by_key(|reading| reading.doubt)
            .expect("there are 16")
    }

    fn take() -> Self {
        let at = Instant::now();
        #[allow(
            unsafe_code,
            reason = "the counter is an instruction that has no safe function"
        )]
        // SAFETY: every x86-64 processor has the instruction, and Linux lets every program use it.
        let ticks = unsafe { std::arch::x86_64::_rdtsc() };
        Self {
            at,
            ticks,
            doubt: at.elapsed(),
        }
    }
}

/// Ticks in a millisecond.
pub(super) fn tsc_khz() -> u64 {
    let start = Reading::best();
    std::thread::sleep(Duration::from_millis(50));
    let end = Reading::best();
    let nanoseconds = end.at.duration_since(start.at).as_nanos().max(1);
    let ticks = u128::from(end.ticks.saturating_sub(start.ticks));
    u64::try_from(ticks * 1_000_000 / nanoseconds).expect("counters count slower than that")
}

#[cfg(test)]
mod tests {
    use super::tsc_khz;

    #[test]
    fn two_measurements_agree() {
        let (one, other) = (tsc_khz(), tsc_khz());
        assert!(one.abs_diff(other) < one / 100, "{one} kHz, {other} kHz");
    }
}
