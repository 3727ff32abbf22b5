//! NIC to stack: takes what has arrived on each link, at most a batch, never waiting for more, and gives the NIC new buffers.

use super::Core;
use super::link::Taker;
use crate::nic::Nic;
use netstack::Instant;
use netstack::timer_wheel::TICK_SHIFT;

/// Time between two looks at the NIC's registers, each of which is an exit, or takes QEMU's big lock.
const CHECK_NS: u64 = 1_000_000_000;

impl<N: Nic> Core<N> {
    /// Takes a batch from each link, and looks which transmitted frames the devices have done with.
    pub(super) fn receive(&mut self, time: Instant) {
        let before = core::mem::replace(&mut self.last_look, time);
        let mut count = 0;
        for (number, link) in self.links.iter_mut().enumerate() {
            let mut taker = Taker {
                number,
                frames: &mut self.frames,
                home: self.home.as_ref(),
            };
            count += link.receive(&mut self.pool, &mut self.intake, &mut taker, time);
        }
        if count > 0 {
            self.last_frame = time;
            self.tally.rx_batches += 1;
            self.tally.rx_wait_ns += time.0.saturating_sub(before.0);
        }
    }

    /// The stacks' timers go by ticks of 16 us: within one there is nothing to do twice.
    #[inline]
    pub(super) fn on_timer(&mut self, time: Instant) {
        let tick = time.0 >> TICK_SHIFT;
        if tick == self.last_tick {
            return;
        }
        self.last_tick = tick;
        for link in &mut self.links {
            let (stack, mut wire) = link.ends(&mut self.pool);
            stack.on_timer(&mut wire, time);
        }
        if self.frames.wait_for_neighbors() {
            let (frames, mut around) = self.frames(time);
            frames.retry(&mut around);
        }
        if time >= self.check_due {
            self.check_nics(time);
        }
    }

    #[cold]
    fn check_nics(&mut self, time: Instant) {
        self.check_due = Instant(time.0 + CHECK_NS);
        for link in &mut self.links {
            link.check(&mut self.pool, time);
        }
    }
}
