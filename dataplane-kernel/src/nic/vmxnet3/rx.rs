//! Receiving. Buffers go out over two rings: every frame starts in one of the first ring's, and what does not fit it goes on in
//! buffers of the second. The device reports all of them over a third ring, in the order in which frames lie in them.

use super::descriptor::{BODY, Received};
use super::ring::{CommandRing, CompletionRing};
use crate::mem::mbuf::{BUFFER_BYTES, Pool, Region};
use crate::nic::parts::Parts;
use crate::nic::{MAX_PARTS, RxFrame};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use netstack::wire::vlan::VlanId;
use netstack::{BufId, RxChecksum};

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
    /// Frames the device found damaged, or had no room for: the buffers went back to it.
    pub(super) cut_short: u64,
    /// Frames of a length or over buffers that no frame has: the buffers went back.
    pub(super) bad_length: u64,
    /// Reports that name no buffer the device has: skipped.
    pub(super) bad_descriptor: u64,
    /// Times the pool became empty while a ring had room.
    pub(super) no_buffer: u64,
    /// Frames without a tag, or with another's, where the device takes off ours.
    pub(super) other_vlan: u64,
    /// Times the device was told of new buffers.
    pub(super) doorbells: u64,
}

/// Buffers that the device has.
#[derive(Debug)]
struct Lent {
    ring: CommandRing,
    /// Of a descriptor's second word: whether a frame may start there.
    kind: u64,
    /// Per descriptor: the buffer posted there last.
    buffers: Box<[u32]>,
    /// Most of them.
    most: u16,
}

impl Lent {
    fn new(ring: CommandRing, kind: u64, most: u16) -> Self {
        Lent {
            kind,
            buffers: vec![0; ring.size().into()].into(),
            most: most.min(ring.room()),
            ring,
        }
    }

    #[inline]
    fn lend(&mut self, buf: u32, region: Region) {
        let place = self.ring.place(self.ring.next());
        if let Some(lent) = self.buffers.get_mut(usize::from(place)) {
            *lent = buf;
        }
        self.ring
            .post(region.phys(buf).0, u64::from(BUFFER_LEN) | self.kind);
    }

    /// The buffer of the oldest descriptor, if there is one.
    #[inline]
    fn take(&mut self) -> Option<u32> {
        let place = self.ring.place(self.ring.oldest());
        let &buf = self.buffers.get(usize::from(place))?;
        if self.ring.used() == 0 {
            return None;
        }
        self.ring.take(1);
        Some(buf)
    }

    /// How many descriptors older than that at this place there are, if that is one the device has.
    #[inline]
    fn ahead(&self, place: u16) -> Option<u16> {
        let ahead = self.ring.place(place.wrapping_sub(self.ring.oldest()));
        (place < self.ring.size() && ahead < self.ring.used()).then_some(ahead)
    }
}

#[derive(Debug)]
pub(super) struct Rx {
    lent: [Lent; 2],
    done: CompletionRing,
    pub(super) counters: Counters,
    region: Region,
    /// Buffers that are to go to the device again.
    pub(super) spare: Vec<u32>,
    /// The VLAN whose tag the device takes off.
    vlan: Option<VlanId>,
    /// What it says of checksums is asked for.
    verifies: bool,
    /// The pool had none left.
    starved: bool,
    /// There are buffers that the device was not told of.
    pub(super) has_news: bool,
    /// Most buffers of a frame.
    most: usize,
    /// A frame that is not complete.
    pub(super) parts: Parts,
    /// What comes up to the next start of a frame belongs to one that was given up.
    skipping: bool,
}

/// What frames are expected, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Most buffers of one.
    pub(super) parts: u16,
    /// The VLAN whose tags the device takes off.
    pub(super) vlan: Option<VlanId>,
    /// The device verifies checksums.
    pub(super) verifies: bool,
}

impl Rx {
    /// A queue that lends buffers of `region` over two rings, and takes them back by `done`.
    pub(super) fn new(
        [heads, bodies]: [CommandRing; 2],
        done: CompletionRing,
        region: Region,
        expected: Expected,
    ) -> Self {
        let bodies_needed = if expected.parts > 1 { u16::MAX } else { 0 };
        let capacity = usize::from(heads.size()) + usize::from(bodies.size()) + MAX_PARTS;
        Rx {
            lent: [
                Lent::new(heads, 0, u16::MAX),
                Lent::new(bodies, BODY, bodies_needed),
            ],
            done,
            counters: Counters::default(),
            region,
            spare: Vec::with_capacity(capacity),
            vlan: expected.vlan,
            verifies: expected.verifies,
            starved: false,
            has_news: false,
            most: expected.parts.into(),
            parts: Parts::new(),
            skipping: false,
        }
    }

    /// See [`crate::nic::Nic::poll_rx`].
    #[inline]
    pub(super) fn poll(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        let (mut looks, mut buffers) = (0, 0);
        while looks < budget || self.parts.len() > 0 && looks < budget + MAX_PARTS {
            looks += 1;
            let Some((first, second)) = self.done.take() else {
                break;
            };
            let received = Received { first, second };
            let Some(buf) = self.take(received) else {
                self.counters.bad_descriptor += 1;
                continue;
            };
            if !received.is_whole() || self.parts.len() > 0 {
                buffers += self.take_part(buf, received, sink);
                continue;
            }
            self.skipping = false;
            if !self.is_whole_frame(received) {
                self.spare.push(buf);
                continue;
            }
            self.counters.frames += 1;
            self.counters.bytes += u64::from(received.len());
            buffers += 1;
            sink(RxFrame {
                buf: BufId(buf),
                offset: 0,
                len: received.len(),
                checksum: self.checksum(received),
                continues: false,
            });
        }
        buffers
    }

    /// The buffer that is reported.
    #[inline]
    fn take(&mut self, received: Received) -> Option<u32> {
        let lent = self.lent.get_mut(usize::from(received.ring()))?;
        let ahead = lent.ahead(received.place())?;
        for _ in 0..ahead {
            // Devices may pass over some.
            self.spare.extend(lent.take());
        }
        lent.take()
    }

    #[inline]
    fn checksum(&self, received: Received) -> RxChecksum {
        if self.verifies {
            received.checksum()
        } else {
            RxChecksum::Unknown
        }
    }

    /// Counts what is not.
    #[inline]
    fn is_whole_frame(&mut self, received: Received) -> bool {
        if received.is_broken() {
            self.counters.cut_short += 1;
            return false;
        }
        let may_be = (MIN_FRAME..=BUFFER_LEN).contains(&received.len());
        self.counters.bad_length += u64::from(!may_be);
        may_be && self.is_on_vlan(received)
    }

    /// Counts what is not.
    #[inline]
    fn is_on_vlan(&mut self, received: Received) -> bool {
        let ours = self
            .vlan
            .is_none_or(|vlan| received.tag().is_some_and(|tag| vlan.is_of(tag)));
        self.counters.other_vlan += u64::from(!ours);
        ours
    }

    /// One of several buffers of a frame. With the last one the frame is passed on; gives the number of its buffers then.
    #[cold]
    #[inline(never)]
    fn take_part(&mut self, buf: u32, received: Received, sink: &mut impl FnMut(RxFrame)) -> usize {
        let len = received.len();
        if received.is_start() {
            if self.parts.len() > 0 {
                // The one before has no end.
                self.counters.bad_length += 1;
                self.give_up();
            }
            self.skipping = false;
            self.parts.begin(RxFrame {
                buf: BufId(buf),
                offset: 0,
                len,
                checksum: RxChecksum::Unknown,
                continues: false,
            });
        } else if self.parts.len() > 0 {
            self.parts.push(BufId(buf), len);
        } else {
            self.counters.bad_length += u64::from(!self.skipping);
            self.skipping = true;
            self.spare.push(buf);
            return 0;
        }
        let least = if received.is_start() { MIN_FRAME } else { 1 };
        let more = usize::from(!received.is_end());
        let may_be = (least..=BUFFER_LEN).contains(&len) && self.parts.len() + more <= self.most.max(1);
        let is_broken = received.is_end() && received.is_broken();
        if is_broken || !may_be {
            let counter = if is_broken {
                &mut self.counters.cut_short
            } else {
                &mut self.counters.bad_length
            };
            *counter += 1;
            self.give_up();
            return 0;
        }
        if !received.is_end() {
            return 0;
        }
        if !self.is_on_vlan(received) {
            self.give_up();
            return 0;
        }
        self.counters.frames += 1;
        self.counters.bytes += self.parts.bytes();
        self.parts.vouch(self.checksum(received));
        self.parts.pass_on(sink)
    }

    /// What is there of a frame goes back to the device, and so will what is still to come.
    fn give_up(&mut self) {
        self.skipping = true;
        while let Some(BufId(buf)) = self.parts.pop() {
            self.spare.push(buf);
        }
    }

    /// See [`crate::nic::Nic::refill`].
    #[inline]
    pub(super) fn refill(&mut self, pool: &mut Pool) {
        let is_full = self.fill(|| pool.alloc().map(|buf| buf.0));
        self.counters.no_buffer += u64::from(!is_full && !self.starved);
        self.starved = !is_full;
    }

    /// Lends the device what there is room for; `false` if there was not so much.
    #[inline]
    fn fill(&mut self, mut more: impl FnMut() -> Option<u32>) -> bool {
        for lent in &mut self.lent {
            while lent.ring.used() < lent.most {
                let Some(buf) = self.spare.pop().or_else(&mut more) else {
                    return false;
                };
                lent.lend(buf, self.region);
                self.has_news = true;
            }
        }
        true
    }

    /// Lends all buffers again, to a device that was reset.
    pub(super) fn restart(&mut self) {
        self.give_up();
        self.skipping = false;
        for lent in &mut self.lent {
            while let Some(buf) = lent.take() {
                self.spare.push(buf);
            }
            lent.ring.restart();
        }
        self.done.restart();
        self.fill(|| None);
    }

    /// Places up to which the two rings are filled.
    pub(super) fn filled(&self) -> [u16; 2] {
        [0, 1].map(|number: usize| {
            let lent = self.lent.get(number);
            lent.map_or(0, |lent| lent.ring.place(lent.ring.next()))
        })
    }
}
