//! Receiving: empty buffers go out, filled ones come back, both in order. A buffer holds a whole frame, from its first
//! byte, or as much of a long one as fits (SDM, section 3.2).

use super::descriptor::{Layout, Received};
use super::ring::DescriptorRing;
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
    /// Frames the card found damaged: the buffer went back to it.
    pub(super) bad_frame: u64,
    /// Frames shorter or longer than any, or of which a buffer is empty or more than full: the buffers went back.
    pub(super) bad_length: u64,
    /// Times the pool became empty while the queue had room.
    pub(super) no_buffer: u64,
    /// Frames without a tag, or with another's, where the card takes off ours.
    pub(super) other_vlan: u64,
    /// Times the tail was written.
    pub(super) doorbells: u64,
}

#[derive(Debug)]
pub(super) struct Rx {
    ring: DescriptorRing,
    layout: Layout,
    /// The VLAN whose tag the card takes off.
    vlan: Option<VlanId>,
    pub(super) counters: Counters,
    region: Region,
    /// Per descriptor: the buffer posted there last.
    lent: Box<[u32]>,
    /// The pool had none left.
    starved: bool,
    /// Most buffers of a frame.
    most: usize,
    /// A frame that is not complete.
    pub(super) parts: Parts,
    /// The buffers up to the next end of a frame belong to one that was given up.
    skipping: bool,
}

impl Rx {
    /// A queue for frames with IP packets of up to `mtu` bytes, on `vlan`, if the card takes off its tags.
    pub(super) fn new(
        (ring, layout): (DescriptorRing, Layout),
        region: Region,
        mtu: u16,
        vlan: Option<VlanId>,
    ) -> Self {
        Rx {
            layout,
            vlan,
            most: usize::from(mtu + MIN_FRAME).div_ceil(BUFFER_BYTES),
            parts: Parts::new(),
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
        let (mut looks, mut buffers) = (0, 0);
        while looks < budget || self.parts.len() > 0 && looks < budget + MAX_PARTS {
            looks += 1;
            let Some(word) = self.ring.done(0) else { break };
            let place = usize::from(self.ring.oldest());
            let Some(&buf) = self.lent.get(place) else { break };
            self.ring.take(1);
            let received = Received::of(word, self.layout);
            if !received.is_end() || self.parts.len() > 0 || self.skipping {
                buffers += self.take_part(BufId(buf), received, sink);
                continue;
            }
            if !self.is_whole_frame(received) {
                self.lend(BufId(buf));
                continue;
            }
            self.counters.frames += 1;
            self.counters.bytes += u64::from(received.len());
            buffers += 1;
            sink(RxFrame {
                buf: BufId(buf),
                offset: 0,
                len: received.len(),
                checksum: received.checksum(),
                continues: false,
            });
        }
        buffers
    }

    /// Counts what is not.
    #[inline]
    fn is_whole_frame(&mut self, received: Received) -> bool {
        if !(MIN_FRAME..=BUFFER_LEN).contains(&received.len()) {
            self.counters.bad_length += 1;
            return false;
        }
        self.counters.bad_frame += u64::from(received.is_broken());
        !received.is_broken() && self.is_on_vlan(received)
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
    fn take_part(&mut self, buf: BufId, received: Received, sink: &mut impl FnMut(RxFrame)) -> usize {
        let (len, is_end) = (received.len(), received.is_end());
        if self.skipping {
            self.skipping = !is_end;
            self.lend(buf);
            return 0;
        }
        let is_first = self.parts.len() == 0;
        if is_first {
            self.parts.begin(RxFrame {
                buf,
                offset: 0,
                len,
                checksum: RxChecksum::Unknown,
                continues: false,
            });
        } else {
            self.parts.push(buf, len);
        }
        let least = if is_first { MIN_FRAME } else { 1 };
        let may_be =
            (least..=BUFFER_LEN).contains(&len) && self.parts.len() + usize::from(!is_end) <= self.most;
        if !may_be || is_end && received.is_broken() {
            let counter = if may_be {
                &mut self.counters.bad_frame
            } else {
                &mut self.counters.bad_length
            };
            *counter += 1;
            self.skipping = !is_end;
            self.lend_parts();
            return 0;
        }
        if !is_end {
            return 0;
        }
        if !self.is_on_vlan(received) {
            self.lend_parts();
            return 0;
        }
        self.counters.frames += 1;
        self.counters.bytes += self.parts.bytes();
        self.parts.vouch(received.checksum());
        self.parts.pass_on(sink)
    }

    /// See [`crate::nic::Nic::refill`].
    #[inline]
    pub(super) fn refill(&mut self, pool: &mut Pool) {
        // There is room left for what may have to go back.
        while usize::from(self.ring.room()) > self.parts.len() {
            let Some(buf) = pool.alloc() else {
                self.counters.no_buffer += u64::from(!self.starved);
                self.starved = true;
                return;
            };
            self.lend(buf);
        }
        self.starved = false;
    }

    /// It may have too few buffers for the next frame.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// A buffer of one is there that was not taken.
    pub(super) fn has_frame(&self) -> bool {
        self.ring.done(0).is_some()
    }

    /// What is there of a frame goes back to the card.
    fn lend_parts(&mut self) {
        while let Some(buf) = self.parts.pop() {
            self.lend(buf);
        }
    }

    /// Posts all buffers again, to a card that was reset.
    pub(super) fn restart(&mut self) {
        let oldest = self.ring.oldest();
        let places = (0..self.ring.used()).map(|ahead| oldest.wrapping_add(ahead) % self.ring.size());
        let lent: Vec<u32> = places
            .filter_map(|place| self.lent.get(usize::from(place)).copied())
            .collect();
        self.ring.restart();
        self.skipping = false;
        lent.into_iter().for_each(|buf| self.lend(BufId(buf)));
        self.lend_parts();
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
