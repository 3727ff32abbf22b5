//! Where a core spins when there is nothing to do. Its instructions are not a request's, so they stand apart, under names
//! that profiles can tell.

use super::Core;
use crate::arch::shootdown;
use crate::nic::Nic;
use crate::user::Seat;
use netstack::Instant;

/// How long a core looks for the next frame at full speed before it pauses between looks: longer than a peer with one
/// request outstanding takes to come back, which is 42 us under QEMU's emulator (docs/benchmarks.md).
///
/// PAUSE frees the core's sibling on a processor, and under the emulator it lets the thread that moves the packets run,
/// but taken at once it delays the lone request.
const SPIN_NS: u64 = 60_000;

impl<N: Nic> Core<N> {
    /// Gives the time until the next look at the NIC to the app's other threads, or to nobody.
    #[inline(never)]
    pub(super) fn idle(&mut self, seat: &mut Seat, time: Instant) {
        if seat.background_ready() {
            seat.run_background();
        } else {
            self.pause(seat, time);
        }
    }

    /// Between two looks at the NIC. The launcher's requests are answered here, off the way of packets.
    #[inline(never)]
    pub(super) fn pause(&mut self, seat: &Seat, time: Instant) {
        self.tally.idle_polls += 1;
        // Other cores must not wait for this one to enter ring 3.
        shootdown::checkpoint();
        self.answer_counters(seat);
        if time.0.saturating_sub(self.last_frame.0) > SPIN_NS {
            core::hint::spin_loop();
        }
    }
}
