//! NIC to stack: takes what has arrived, at most a batch, never waiting for more, and gives the NIC new buffers.

use super::Core;
use super::transmit::Wire;
use crate::nic::{Nic, RxFrame};
use netstack::Instant;

impl<N: Nic> Core<N> {
    pub(super) fn receive(&mut self, time: Instant) {
        let Core {
            nic,
            pool,
            stack,
            arrived,
            batch,
            tally,
            idle,
            ..
        } = self;
        let count = nic.poll_rx(*batch, &mut |frame| arrived.push(frame));
        if count == 0 {
            // A NIC without buffers receives nothing: it gets those that the app has given back meanwhile.
            nic.refill(pool);
            return;
        }
        idle.interrupted(count, time);
        tally.rx_batches += 1;
        let region = pool.region();
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
        nic.refill(pool);
    }

    pub(super) fn on_timer(&mut self, time: Instant) {
        self.stack
            .on_timer(&mut Wire::new(&mut self.nic, &mut self.pool), time);
    }
}
