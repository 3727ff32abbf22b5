//! Where a core spins when there is nothing to do, and whether it may sleep instead. Its instructions are not a request's,
//! so they stand apart, under names that profiles can tell.

use super::serve::Phase;
use super::{Core, now};
use crate::arch::shootdown;
use crate::arch::sleep::Woken;
use crate::nic::{Alarm, Nic};
use crate::user::Seat;
use core::ops::RangeInclusive;
use netstack::Instant;

/// How long a core looks for the next frame at full speed before it pauses between looks: longer than a peer with one
/// request outstanding takes to come back, which is 42 us under QEMU's emulator (docs/benchmarks.md).
///
/// PAUSE frees the core's sibling on a processor, and under the emulator it lets the thread that moves the packets run,
/// but taken at once it delays the lone request.
const SPIN_NS: u64 = 60_000;

/// While something may happen that nobody would tell it of, a core sleeps for this part of the pause there has been, within
/// these bounds: what comes waits for a small part more, and a core that is long idle looks rarely.
const PAUSE_SHARE: u64 = 16;
const UNTOLD_NS: RangeInclusive<u64> = 50_000..=2_000_000;

impl<N: Nic> Core<N> {
    /// Gives the time until the next look at the NIC to the app's other threads, or to nobody.
    #[inline(never)]
    pub(super) fn idle(&mut self, seat: &mut Seat) {
        if seat.background_ready() {
            seat.run_background();
            self.count_idle();
        } else {
            self.pause(seat);
        }
    }

    /// Between two looks at the NIC. The launcher's requests are answered here, off the way of packets.
    #[inline(never)]
    pub(super) fn pause(&mut self, seat: &Seat) {
        self.tally.idle_polls += 1;
        // Other cores must not wait for this one to enter ring 3.
        shootdown::checkpoint();
        self.answer_counters(seat);
        if self.is_tired(SPIN_NS) {
            core::hint::spin_loop();
        }
        self.count_idle();
    }

    /// Since it last looked for frames, and found none, the core had nothing to do.
    fn count_idle(&mut self) {
        self.tally.idle_ns += now().0.saturating_sub(self.last_look.0);
    }

    /// Nothing has come for `idle_ns`: it is time to ask [`Core::sleep_until`].
    pub(super) fn is_tired(&self, idle_ns: u64) -> bool {
        self.last_look.0.saturating_sub(self.last_frame.0) >= idle_ns
    }

    /// Until when there is nothing to do for this core, unless a frame comes ([`Core::arm`]) or another processor rouses this one,
    /// in nanoseconds; `None`: it must go on looking.
    pub(super) fn sleep_until(&mut self, seat: &mut Seat, idle_ns: u64) -> Option<u64> {
        let wait_ns = match self.phase {
            Phase::Waiting(wait) if !seat.background_ready() => wait.until_ns(),
            Phase::Vacant if !seat.has_work() => u64::MAX,
            _ => return None,
        };
        // Of what the device has done with, nobody tells.
        if !self.is_tired(idle_ns) || !self.tx_idle() {
            return None;
        }
        let stack_ns = self.stacks_deadline().map_or(u64::MAX, |at| at.0);
        let app_ns = seat.next_deadline_ns().unwrap_or_else(|| self.next_look_ns());
        Some(wait_ns.min(stack_ns).min(app_ns))
    }

    /// When to look for what nobody tells of.
    fn next_look_ns(&self) -> u64 {
        let pause_ns = self.last_look.0.saturating_sub(self.last_frame.0);
        let untold_ns = (pause_ns / PAUSE_SHARE).clamp(*UNTOLD_NS.start(), *UNTOLD_NS.end());
        self.last_look.0 + untold_ns
    }

    fn stacks_deadline(&self) -> Option<Instant> {
        self.links
            .iter()
            .filter_map(|link| link.stack.next_deadline())
            .min()
    }

    /// Has the cards interrupt this processor. Until when it may sleep as far as they are concerned, in nanoseconds.
    pub(super) fn arm(&mut self) -> u64 {
        match self.links.iter_mut().map(|link| link.nic.arm()).max() {
            Some(Alarm::Set) => u64::MAX,
            Some(Alarm::TooLate) => 0,
            Some(Alarm::Unavailable) | None => self.next_look_ns(),
        }
    }

    /// They need not any more.
    pub(super) fn disarm(&mut self) {
        self.links.iter_mut().for_each(|link| link.nic.disarm());
    }

    /// It slept, and so did its frames: none has waited for this core.
    pub(super) fn wake(&mut self, woken: Woken) {
        let time = now();
        self.tally.sleeps += 1;
        self.tally.roused += u64::from(woken == Woken::Roused);
        self.tally.idle_ns += time.0.saturating_sub(self.last_look.0);
        self.last_look = time;
    }
}
