//! Host to guest: a frame of the link goes straight into the buffer the driver has posted next, or into as many as it takes
//! (`VIRTIO_NET_F_MRG_RXBUF`, section 5.1.6.4).

use super::chain::{Direction, MAX_PLACES, collect};
use super::counters::{Counters, add};
use super::interrupt::Interrupt;
use crate::vmm::virtio::net::link::{HEADER_BYTES, Link, NUM_BUFFERS};
use std::io;
use virtio_bindings::virtio_net::{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_MRG_RXBUF};
use virtio_queue::{Error, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestMemoryMmap, VolatileSlice};

/// Frames per turn.
const BUDGET: usize = 64;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The turn was over; there may be more.
    Budget,
    /// The link has no more frames for now.
    NoFrames,
    /// The driver has no more buffers for now. It will ring when it has.
    NoBuffers,
}

/// How many of the driver's buffers a frame may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffers {
    /// One.
    One,
    /// As many as it takes to hold so many bytes, the header included.
    UpTo(usize),
}

impl Buffers {
    /// What a driver expects that has agreed to these features, for a link of this MTU.
    pub(super) fn agreed(features: u64) -> Self {
        /// The longest frame of an Ethernet with jumbo frames, and of one whose segments are merged.
        const JUMBO: usize = 9018;
        const MERGED: usize = 65_535 + 14;
        let has = |feature: u32| features & (1 << feature) != 0;
        if !has(VIRTIO_NET_F_MRG_RXBUF) {
            Buffers::One
        } else if has(VIRTIO_NET_F_GUEST_TSO4) || has(VIRTIO_NET_F_GUEST_TSO6) {
            Buffers::UpTo(HEADER_BYTES + MERGED)
        } else {
            Buffers::UpTo(HEADER_BYTES + JUMBO)
        }
    }
}

/// The receive queue.
pub(super) struct Receive {
    pub(super) queue: Queue,
    pub(super) interrupt: Interrupt,
    buffers: Buffers,
    /// The chains that the next frame goes into: their heads, and the room in each.
    taken: Vec<(u16, usize)>,
}

impl Receive {
    pub(super) fn new(mut queue: Queue, memory: &GuestMemoryMmap, buffers: Buffers) -> Result<Self, Error> {
        queue.disable_notification(memory)?;
        Ok(Self {
            queue,
            interrupt: Interrupt::default(),
            buffers,
            taken: Vec::with_capacity(MAX_PLACES),
        })
    }

    /// Moves frames until one side has no more, or the turn is over; says how many the guest got.
    ///
    /// # Errors
    /// The queue's, if it cannot be used any more.
    pub(super) fn turn(
        &mut self,
        memory: &GuestMemoryMmap,
        link: &impl Link,
        counters: &Counters,
    ) -> Result<(usize, End), Error> {
        let mut frames = 0;
        let mut places = Vec::with_capacity(MAX_PLACES);
        for _ in 0..BUDGET {
            let room = self.take_buffers(memory, counters, &mut places)?;
            if room == 0 {
                return Ok((frames, self.rest(memory, counters)?));
            }
            match link.receive(&places, room) {
                Ok(len) if (HEADER_BYTES..=room).contains(&len) => {
                    frames += 1;
                    add(&counters.rx_frames, 1);
                    add(&counters.rx_bytes, (len - HEADER_BYTES) as u64);
                    self.give(memory, &places, len)?;
                }
                Ok(_) => {
                    add(&counters.rx_too_long, 1);
                    self.put_back(self.taken.len());
                }
                Err(error) => {
                    self.put_back(self.taken.len());
                    let nothing = error.kind() == io::ErrorKind::WouldBlock;
                    add(&counters.rx_link_errors, u64::from(!nothing));
                    return Ok((frames, End::NoFrames));
                }
            }
        }
        Ok((frames, End::Budget))
    }

    /// Takes chains off the queue until they have room for any frame, or there are no more; gives their room. One that is no
    /// buffer goes back at once.
    fn take_buffers<'m>(
        &mut self,
        memory: &'m GuestMemoryMmap,
        counters: &Counters,
        places: &mut Vec<VolatileSlice<'m>>,
    ) -> Result<usize, Error> {
        let enough = match self.buffers {
            Buffers::One => 1,
            Buffers::UpTo(bytes) => bytes,
        };
        places.clear();
        self.taken.clear();
        let mut room = 0;
        while room < enough {
            let Some(chain) = self.queue.iter(memory)?.next() else {
                break;
            };
            let (head, before) = (chain.head_index(), places.len());
            // The header lies in the first one.
            let least = if self.taken.is_empty() {
                HEADER_BYTES + 1
            } else {
                1
            };
            match collect(chain, Direction::ToDriver, memory, places) {
                Ok(len) if len >= least => {
                    self.taken.push((head, len));
                    room += len;
                }
                _ if self.taken.is_empty() => {
                    places.truncate(before);
                    add(&counters.rx_bad_chain, 1);
                    self.queue.add_used(memory, head, 0)?;
                }
                _ => {
                    // No buffer, or there have been too many places before it: the next frame will show.
                    places.truncate(before);
                    self.queue.go_to_previous_position();
                    break;
                }
            }
        }
        Ok(room)
    }

    /// Gives the driver the chains that a frame of `len` bytes, the header included, has gone into; the others stay.
    fn give(
        &mut self,
        memory: &GuestMemoryMmap,
        places: &[VolatileSlice<'_>],
        len: usize,
    ) -> Result<(), Error> {
        let mut left = len;
        let used = |&(head, room): &(u16, usize)| {
            let part = left.min(room);
            left -= part;
            (part > 0).then_some((head, part))
        };
        let parts: Vec<_> = self.taken.iter().map_while(used).collect();
        let count = u16::try_from(parts.len()).unwrap_or(u16::MAX);
        put(places, NUM_BUFFERS, &count.to_le_bytes());
        self.put_back(self.taken.len() - parts.len());
        for (head, part) in parts {
            self.queue
                .add_used(memory, head, u32::try_from(part).unwrap_or(u32::MAX))?;
        }
        Ok(())
    }

    /// The last `count` chains taken off the queue are still the driver's next.
    fn put_back(&mut self, count: usize) {
        for _ in 0..count {
            self.queue.go_to_previous_position();
        }
    }

    /// Without a buffer only the driver can help, so it is asked to ring.
    fn rest(&mut self, memory: &GuestMemoryMmap, counters: &Counters) -> Result<End, Error> {
        if self.queue.enable_notification(memory)? {
            return Ok(End::Budget);
        }
        add(&counters.rx_no_buffer, 1);
        Ok(End::NoBuffers)
    }

    /// The driver has rung: no need to ring again.
    pub(super) fn rung(&mut self, memory: &GuestMemoryMmap) -> Result<(), Error> {
        self.queue.disable_notification(memory)
    }
}

/// Writes `bytes` at `offset` of what the places are together.
fn put(places: &[VolatileSlice<'_>], mut offset: usize, mut bytes: &[u8]) {
    for place in places {
        if bytes.is_empty() {
            return;
        }
        if offset >= place.len() {
            offset -= place.len();
            continue;
        }
        let written = place.write(bytes, offset).unwrap_or(0);
        bytes = &bytes[written..];
        offset = 0;
    }
}
