//! Where a core spins when there is nothing to do. Its instructions are not a request's, so they stand apart, under names
//! that profiles can tell.

use super::Core;
use crate::nic::Nic;
use crate::user::Process;
use netstack::Instant;

/// How long a core looks for the next frame at full speed before it pauses between looks. It is about the time in which
/// a peer with one request outstanding comes back.
///
/// PAUSE frees the core's sibling on a processor, and under QEMU's emulator it lets the thread that moves the packets
/// run (docs/benchmarks.md), but taken at once it delays the lone request.
const SPIN_NS: u64 = 20_000;

/// A batch of this many frames says that many peers are at work: the next batch only gets larger by a pause.
const BUSY_BATCH: usize = 4;

/// What a core remembers between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    /// When the last frame came.
    since: Instant,
    /// That batch was a large one.
    busy: bool,
}

impl Idle {
    /// Frames have come.
    #[inline]
    pub(super) fn interrupted(&mut self, frames: usize, time: Instant) {
        *self = Idle {
            since: time,
            busy: frames >= BUSY_BATCH,
        };
    }
}

impl<N: Nic> Core<N> {
    /// Gives the time until the next look at the NIC to the app's other threads, or to nobody.
    #[inline(never)]
    pub(super) fn idle(&mut self, process: &mut Process, time: Instant) {
        if process.background_ready() {
            process.run_background();
        } else {
            self.pause(process, time);
        }
    }

    /// Between two looks at the NIC. The launcher's requests are answered here, off the way of packets.
    #[inline(never)]
    pub(super) fn pause(&mut self, process: &Process, time: Instant) {
        self.tally.idle_polls += 1;
        self.answer_counters(process);
        if self.idle.busy || time.0.saturating_sub(self.idle.since.0) > SPIN_NS {
            core::hint::spin_loop();
        }
    }
}
