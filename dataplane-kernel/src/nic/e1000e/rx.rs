//! Receiving: empty buffers go out, filled ones come back, both in order. A buffer holds a whole frame, from its first
//! byte (SDM, section 3.2).

use super::descriptor::Received;
use super::ring::DescriptorRing;
use crate::mem::mbuf::{BUFFER_BYTES, Pool, Region};
use crate::nic::RxFrame;
use alloc::boxed::Box;
use alloc::vec;
use netstack::BufId;

/// An Ethernet header: nothing shorter is a frame.
const MIN_FRAME: u16 = 14;

#[allow(clippy::cast_possible_truncation, reason = "2048")]
const BUFFER_LEN: u16 = BUFFER_BYTES as u16;

/// What the receive queue counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Frames passed on.
    pub(super) frames: u64,
    /// Bytes of those.
    pub(super) bytes: u64,
    /// Frames the card found damaged: the buffer went back to it.
    pub(super) bad_frame: u64,
    /// Descriptors with a length no frame in a buffer can have, or of a frame over several: the buffer went back.
    pub(super) bad_length: u64,
    /// Times the pool became empty while the queue had room.
    pub(super) no_buffer: u64,
    /// Times the tail was written.
    pub(super) doorbells: u64,
}

#[derive(Debug)]
pub(super) struct Rx {
    ring: DescriptorRing,
    pub(super) counters: Counters,
    region: Region,
    /// Per descriptor: the buffer posted there last.
    lent: Box<[u32]>,
    /// The pool had none left.
    starved: bool,
    /// The buffers up to the next end of a frame belong to one that was too long.
    skipping: bool,
}

impl Rx {
    pub(super) fn new(ring: DescriptorRing, region: Region) -> Self {
        Rx {
            counters: Counters::default(),
            region,
            lent: vec![0; ring.size().into()].into(),
            starved: false,
            skipping: false,
            ring,
        }
    }

    /// See [`crate::nic::Nic::poll_rx`].
    #[inline]
    pub(super) fn poll(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let (mut frames, mut bytes) = (0, 0);
        for _ in 0..budget {
            let Some(word) = self.ring.done(0) else { break };
            let place = usize::from(self.ring.oldest());
            let Some(&buf) = self.lent.get(place) else { break };
            self.ring.take(1);
            let received = Received(word);
            if !self.is_whole_frame(received) {
                self.lend(BufId(buf));
                continue;
            }
            frames += 1;
            bytes += u64::from(received.len());
            sink(RxFrame {
                buf: BufId(buf),
                offset: 0,
                len: received.len(),
                checksum: received.checksum(),
            });
        }
        self.counters.frames += frames as u64;
        self.counters.bytes += bytes;
        frames
    }

    /// Counts what is not.
    #[inline]
    fn is_whole_frame(&mut self, received: Received) -> bool {
        let is_tail = core::mem::replace(&mut self.skipping, !received.is_end());
        if is_tail || !received.is_end() || !(MIN_FRAME..=BUFFER_LEN).contains(&received.len()) {
            self.counters.bad_length += 1;
            return false;
        }
        self.counters.bad_frame += u64::from(received.is_broken());
        !received.is_broken()
    }

    /// See [`crate::nic::Nic::refill`].
    #[inline]
    pub(super) fn refill(&mut self, pool: &mut Pool) {
        while self.ring.room() > 0 {
            let Some(buf) = pool.alloc() else {
                self.counters.no_buffer += u64::from(!self.starved);
                self.starved = true;
                return;
            };
            self.lend(buf);
        }
        self.starved = false;
    }

    #[inline]
    fn lend(&mut self, buf: BufId) {
        if let Some(lent) = self.lent.get_mut(usize::from(self.ring.next())) {
            *lent = buf.0;
        }
        self.ring.post(self.region.phys(buf.0).0, 0);
    }

    /// The tail to write, if there are buffers to show and the card has less than half of what it could have.
    #[inline]
    pub(super) fn show(&mut self) -> Option<u16> {
        if self.ring.held() > self.ring.size() / 2 {
            return None;
        }
        let tail = self.ring.show()?;
        self.counters.doorbells += 1;
        Some(tail)
    }
}
