//! A link: a network that the core is on. What belongs to it is its card, or the core's share of one, and the TCP/IP that
//! speaks through that; buffers and arrays are the core's.

use super::frames::Frames;
use super::transmit::Wire;
use crate::mem::mbuf::Pool;
use crate::nic::{Health, MAX_PARTS, Nic, RxFrame};
use alloc::vec::Vec;
use netstack::rss::Home;
use netstack::{Gathered, Instant, RxChecksum, RxPart, Stack};

/// One of a core's links.
pub struct Link<N> {
    pub(super) nic: N,
    pub(super) stack: Stack,
}

/// Frames on their way from a card to the stack, a batch at a time: empty between two.
pub(super) struct Intake {
    /// Taken from the card in this cycle.
    arrived: Vec<RxFrame>,
    /// Of these, the parts of the one that is being taken.
    parts: Vec<RxPart>,
    /// B: most packets of a batch.
    batch: usize,
}

/// Who takes what is not the machine's own.
pub(super) struct Taker<'a> {
    /// The link's.
    pub(super) number: usize,
    pub(super) frames: &'a mut Frames,
    pub(super) home: Option<&'a Home>,
}

impl Intake {
    pub(super) fn new(batch: usize) -> Self {
        Intake {
            arrived: Vec::with_capacity(batch + MAX_PARTS),
            parts: Vec::with_capacity(MAX_PARTS),
            batch,
        }
    }
}

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

impl<N: Nic> Link<N> {
    /// A stack that speaks through this card.
    pub fn new(nic: N, stack: Stack) -> Self {
        Link { nic, stack }
    }

    /// Both ends of the link: what packets mean, and how they leave.
    #[inline]
    pub(super) fn ends<'a>(&'a mut self, pool: &'a mut Pool) -> (&'a mut Stack, Wire<'a, N>) {
        (&mut self.stack, Wire::new(&mut self.nic, pool))
    }

    /// Takes a batch, and looks which transmitted frames the device has done with. Returns how many buffers came.
    #[inline]
    pub(super) fn receive(
        &mut self,
        pool: &mut Pool,
        intake: &mut Intake,
        taker: &mut Taker<'_>,
        time: Instant,
    ) -> usize {
        let Link { nic, stack } = self;
        let Taker { number, frames, home } = taker;
        let Intake {
            arrived,
            parts,
            batch,
        } = intake;
        let count = nic.poll_rx(*batch, &mut |frame| arrived.push(frame));
        // After looking for frames: what one of them acknowledges has been let go of before it came.
        nic.reclaim_tx();
        frames.reclaim(*number, nic, pool);
        if count == 0 {
            // A NIC without buffers receives nothing: it gets those that the app has given back meanwhile.
            nic.refill(pool);
            return 0;
        }
        if frames.takes_all(*number) {
            frames.take_frames(*number, arrived.drain(..), pool, *home);
            nic.refill(pool);
            return count;
        }
        let region = pool.region();
        let bytes = arrived
            .iter()
            .map(|frame| region.bytes(frame.buf.0, frame.offset, frame.len));
        stack.look_ahead(&Wire::new(nic, pool), bytes);
        let mut batch = arrived.drain(..);
        let mut is_first = true;
        while let Some(RxFrame {
            buf,
            offset,
            len,
            checksum,
            continues,
        }) = batch.next()
        {
            if continues {
                parts.push(RxPart { buf, offset, len });
                take_parts(&mut batch, parts);
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
        drop(batch);
        while let Some(whole) = stack.poll_whole() {
            let data = region.large_bytes(whole.buf().0, whole.offset(), whole.len());
            stack.receive_whole(&mut Wire::new(nic, pool), time, whole, data);
        }
        if frames.takes_transit(*number) {
            while let Some(transit) = stack.poll_transit() {
                frames.take_transit(*number, transit, pool);
            }
        }
        nic.refill(pool);
        count
    }

    /// Tells the network that we are here, and where.
    pub(super) fn announce(&mut self, pool: &mut Pool, time: Instant) {
        let (stack, mut wire) = self.ends(pool);
        stack.announce(&mut wire, time);
    }

    /// Looks how the card is doing. If it has come up, that may have led to a switch that does not know us yet.
    pub(super) fn check(&mut self, pool: &mut Pool, time: Instant) {
        let was_up = self.nic.link_up();
        if self.nic.check() == Health::LinkUp && !was_up {
            self.announce(pool, time);
        }
    }
}
