//! One direction of a link: frames arrive late, out of order, twice or never.

use crate::harness::random::Random;
use netstack::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    pub(crate) delay_ns: u64,
    /// Added at random to each frame's delay.
    pub(crate) jitter_ns: u64,
    /// In percent.
    pub(crate) loss: u64,
    /// In percent.
    pub(crate) duplicates: u64,
}

pub(crate) struct Link {
    quality: Quality,
    /// By arrival, then by order of sending.
    under_way: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    carried: u64,
}

impl Link {
    pub(crate) fn new(quality: Quality) -> Self {
        Link {
            quality,
            under_way: BinaryHeap::new(),
            carried: 0,
        }
    }

    pub(crate) fn carry(&mut self, frames: Vec<Vec<u8>>, now: Instant, random: &mut Random) {
        for frame in frames {
            let copies = if random.chance(self.quality.duplicates) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                // ARP asks three times only, and has dialogues of its own.
                let is_arp = frame[12..14] == [8, 6];
                if !is_arp && random.chance(self.quality.loss) {
                    continue;
                }
                let arrival = now.after_ns(self.quality.delay_ns + random.below(self.quality.jitter_ns + 1));
                self.carried += 1;
                self.under_way
                    .push(Reverse((arrival, self.carried, frame.clone())));
            }
        }
    }

    /// When the next frame arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse((arrival, ..))| *arrival)
    }

    /// The next frame that has arrived.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next()? > now {
            return None;
        }
        self.under_way.pop().map(|Reverse((_, _, frame))| frame)
    }
}
