//! NIC to stack: takes what has arrived, at most a batch, never waiting for more, and gives the NIC new buffers.

use super::Core;
use super::transmit::Wire;
use crate::nic::{Health, Nic, RxFrame};
use netstack::Instant;
use netstack::timer_wheel::TICK_SHIFT;

/// Time between two looks at the NIC's registers, each of which is an exit, or takes QEMU's big lock.
const CHECK_NS: u64 = 1_000_000_000;

impl<N: Nic> Core<N> {
    /// Takes a batch, and looks which transmitted frames the device has done with.
    pub(super) fn receive(&mut self, time: Instant) {
        let Core {
            nic,
            pool,
            stack,
            arrived,
            batch,
            tally,
            last_frame,
            ..
        } = self;
        let count = nic.poll_rx(*batch, &mut |frame| arrived.push(frame));
        // After looking for frames: what one of them acknowledges has been let go of before it came.
        nic.reclaim_tx();
        if count == 0 {
            // A NIC without buffers receives nothing: it gets those that the app has given back meanwhile.
            nic.refill(pool);
            return;
        }
        *last_frame = time;
        tally.rx_batches += 1;
        let region = pool.region();
        let frames = arrived
            .iter()
            .map(|frame| region.bytes(frame.buf.0, frame.offset, frame.len));
        stack.look_ahead(&Wire::new(nic, pool), frames);
        for RxFrame {
            buf,
            offset,
            len,
            checksum,
        } in arrived.drain(..)
        {
            let data = region.bytes(buf.0, offset, len);
            stack.receive(&mut Wire::new(nic, pool), time, buf, data, offset, checksum);
        }
        while let Some(whole) = stack.poll_whole() {
            let data = region.large_bytes(whole.buf().0, whole.offset(), whole.len());
            stack.receive_whole(&mut Wire::new(nic, pool), time, whole, data);
        }
        nic.refill(pool);
    }

    /// The stack's timers go by ticks of 16 us: within one there is nothing to do twice.
    #[inline]
    pub(super) fn on_timer(&mut self, time: Instant) {
        let tick = time.0 >> TICK_SHIFT;
        if tick == self.last_tick {
            return;
        }
        self.last_tick = tick;
        self.stack
            .on_timer(&mut Wire::new(&mut self.nic, &mut self.pool), time);
        if time >= self.check_due {
            self.check_nic(time);
        }
    }

    /// Looks how the NIC is doing. A link that has come up may lead to a switch that does not know us yet.
    #[cold]
    fn check_nic(&mut self, time: Instant) {
        self.check_due = Instant(time.0 + CHECK_NS);
        let was_up = self.nic.link_up();
        if self.nic.check() == Health::LinkUp && !was_up {
            self.stack
                .announce(&mut Wire::new(&mut self.nic, &mut self.pool), time);
        }
    }
}
