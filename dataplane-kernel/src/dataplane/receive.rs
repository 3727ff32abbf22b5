//! NIC to stack: takes what has arrived, at most a batch, never waiting for more, and gives the NIC new buffers.

use super::Core;
use super::transmit::Wire;
use crate::mem::mbuf::Pool;
use crate::nic::{Health, Nic, RxFrame};
use alloc::vec::Vec;
use netstack::timer_wheel::TICK_SHIFT;
use netstack::{Gathered, Instant, RxChecksum, RxPart, Stack};

/// Time between two looks at the NIC's registers, each of which is an exit, or takes QEMU's big lock.
const CHECK_NS: u64 = 1_000_000_000;

/// Takes the other parts of a frame, which the NIC has passed on behind its first.
fn take_parts(frames: &mut impl Iterator<Item = RxFrame>, parts: &mut Vec<RxPart>) {
    for frame in frames {
        let RxFrame { buf, offset, len, .. } = frame;
        parts.push(RxPart { buf, offset, len });
        if !frame.continues {
            return;
        }
    }
}

/// Hands a frame of several parts in; if it was put together for that, then also in one piece.
fn receive_parts<N: Nic>(
    stack: &mut Stack,
    nic: &mut N,
    pool: &mut Pool,
    (time, parts, checksum): (Instant, &mut Vec<RxPart>, RxChecksum),
) {
    let region = pool.region();
    let read = |part: &RxPart| region.bytes(part.buf.0, part.offset, part.len);
    let gathered = stack.receive_parts(&mut Wire::new(nic, pool), time, parts, checksum, read);
    if let Some(Gathered { buf, len }) = gathered {
        let data = region.large_bytes(buf.0, 0, len);
        stack.receive(&mut Wire::new(nic, pool), time, buf, data, 0, checksum);
    }
}

impl<N: Nic> Core<N> {
    /// Takes a batch, and looks which transmitted frames the device has done with.
    pub(super) fn receive(&mut self, time: Instant) {
        let Core {
            nic,
            pool,
            stack,
            arrived,
            parts,
            batch,
            tally,
            last_frame,
            last_look,
            ..
        } = self;
        let before = core::mem::replace(last_look, time);
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
        tally.rx_wait_ns += time.0.saturating_sub(before.0);
        let region = pool.region();
        let frames = arrived
            .iter()
            .map(|frame| region.bytes(frame.buf.0, frame.offset, frame.len));
        stack.look_ahead(&Wire::new(nic, pool), frames);
        let mut frames = arrived.drain(..);
        let mut is_first = true;
        while let Some(RxFrame {
            buf,
            offset,
            len,
            checksum,
            continues,
        }) = frames.next()
        {
            if continues {
                parts.push(RxPart { buf, offset, len });
                take_parts(&mut frames, parts);
                receive_parts(stack, nic, pool, (time, parts, checksum));
                continue;
            }
            let data = region.bytes(buf.0, offset, len);
            let wire = &mut Wire::new(nic, pool);
            if core::mem::take(&mut is_first) {
                stack.receive(wire, time, buf, data, offset, checksum);
            } else {
                stack.receive_next(wire, time, buf, data, offset, checksum);
            }
        }
        drop(frames);
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
