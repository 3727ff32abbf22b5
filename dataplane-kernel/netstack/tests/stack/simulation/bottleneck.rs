//! A router before a slow link: a queue that drops at its end, and marks before (RFC 3168), if it is told to.

use super::link::{Link, Quality};
use super::node::Node;
use crate::harness::random::Random;
use netstack::Instant;
use netstack::checksum::checksum;

/// Shorter frames (ACKs, ARP) are not counted.
const SHORT: usize = 500;
/// A turn of a driver's.
const LEAST_STEP_NS: u64 = 20_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bottleneck {
    /// What a frame takes to be sent.
    pub(crate) frame_ns: u64,
    /// Most frames in the queue.
    pub(crate) most: u64,
    /// With so many in it, frames of those who know ECN are marked.
    pub(crate) marks_from: u64,
    free_at: Instant,
    pub(crate) dropped: u64,
    pub(crate) marked: u64,
    /// The longest that the queue was since [`Bottleneck::forget`].
    pub(crate) longest: u64,
}

impl Bottleneck {
    pub(crate) fn new(frame_ns: u64, most: u64) -> Self {
        Bottleneck {
            frame_ns,
            most,
            marks_from: u64::MAX,
            free_at: Instant(0),
            dropped: 0,
            marked: 0,
            longest: 0,
        }
    }

    /// What was before does not count.
    pub(crate) fn forget(&mut self) {
        (self.dropped, self.marked, self.longest) = (0, 0, 0);
    }

    fn pass(&mut self, frames: Vec<Vec<u8>>, now: Instant, link: &mut Link, random: &mut Random) {
        for mut frame in frames {
            if frame.len() < SHORT {
                link.carry(vec![frame], now, random);
                continue;
            }
            let waiting = self.free_at.ns_since(now) / self.frame_ns;
            if waiting >= self.most {
                self.dropped += 1;
                continue;
            }
            self.longest = self.longest.max(waiting);
            if waiting >= self.marks_from && frame[15] & 3 != 0 {
                self.marked += 1;
                mark(&mut frame);
            }
            self.free_at = self.free_at.max(now).after_ns(self.frame_ns);
            link.carry(vec![frame], self.free_at, random);
        }
    }
}

/// Congestion experienced, in IPv4.
fn mark(frame: &mut [u8]) {
    frame[15] |= 3;
    frame[24..26].fill(0);
    let sum = checksum(frame[14..34].first_chunk::<20>().unwrap());
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// Two hosts with a router between them.
pub(crate) struct Way {
    pub(crate) now: Instant,
    pub(crate) sender: Node,
    pub(crate) receiver: Node,
    pub(crate) router: Bottleneck,
    up: Link,
    down: Link,
    random: Random,
}

impl Way {
    pub(crate) fn new(sender: Node, receiver: Node, router: Bottleneck, rtt_ns: u64, now: Instant) -> Self {
        let quality = Quality {
            delay_ns: rtt_ns / 2,
            jitter_ns: 0,
            loss: 0,
            duplicates: 0,
        };
        Way {
            now,
            sender,
            receiver,
            router,
            up: Link::new(quality),
            down: Link::new(quality),
            random: Random::new(1),
        }
    }

    /// Lets time pass; gives the bytes that have come meanwhile.
    pub(crate) fn run(&mut self, duration_ns: u64) -> u64 {
        let (before, end) = (self.receiver.received, self.now.after_ns(duration_ns));
        while self.now < end {
            self.step();
            let deadlines = [
                self.up.next(),
                self.down.next(),
                self.sender.stack.next_deadline(),
                self.receiver.stack.next_deadline(),
            ];
            let next = deadlines.into_iter().flatten().min().unwrap_or(end);
            self.now = next.max(self.now.after_ns(LEAST_STEP_NS));
        }
        self.receiver.received - before
    }

    fn step(&mut self) {
        let (now, random) = (self.now, &mut self.random);
        self.sender.step(now, &mut self.down);
        self.receiver.step(now, &mut self.up);
        let frames = self.sender.driver.sent.drain(..).collect();
        self.router.pass(frames, now, &mut self.up, random);
        let answers = self.receiver.driver.sent.drain(..).collect();
        self.down.carry(answers, now, random);
    }
}
