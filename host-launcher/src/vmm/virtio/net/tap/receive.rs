//! Host to guest: a frame of the link goes straight into the buffer the driver has posted next.

use super::chain::{Direction, MAX_PLACES, collect};
use super::counters::{Counters, add};
use crate::vmm::virtio::net::link::{HEADER_BYTES, Link, NUM_BUFFERS};
use std::io;
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

/// The receive queue.
pub(super) struct Receive(Queue);

impl Receive {
    pub(super) fn new(mut queue: Queue, memory: &GuestMemoryMmap) -> Result<Self, Error> {
        queue.disable_notification(memory)?;
        Ok(Self(queue))
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
            let Some(chain) = self.0.iter(memory)?.next() else {
                return Ok((frames, self.rest(memory, counters)?));
            };
            let head = chain.head_index();
            let room = collect(chain, Direction::ToDriver, memory, &mut places).ok();
            let Some(room) = room.filter(|&room| room > HEADER_BYTES) else {
                add(&counters.rx_bad_chain, 1);
                self.0.add_used(memory, head, 0)?;
                continue;
            };
            let len = match link.receive(&places, room) {
                Ok(len) if (HEADER_BYTES..=room).contains(&len) => len,
                Ok(_) => {
                    add(&counters.rx_too_long, 1);
                    self.0.go_to_previous_position();
                    continue;
                }
                Err(error) => {
                    self.0.go_to_previous_position();
                    let nothing = error.kind() == io::ErrorKind::WouldBlock;
                    add(&counters.rx_link_errors, u64::from(!nothing));
                    return Ok((frames, End::NoFrames));
                }
            };
            // Section 5.1.6.4: always one, without VIRTIO_NET_F_MRG_RXBUF.
            put(&places, NUM_BUFFERS, &1_u16.to_le_bytes());
            frames += 1;
            add(&counters.rx_frames, 1);
            add(&counters.rx_bytes, (len - HEADER_BYTES) as u64);
            self.0
                .add_used(memory, head, u32::try_from(len).unwrap_or(u32::MAX))?;
        }
        Ok((frames, End::Budget))
    }

    /// Without a buffer only the driver can help, so it is asked to ring.
    fn rest(&mut self, memory: &GuestMemoryMmap, counters: &Counters) -> Result<End, Error> {
        if self.0.enable_notification(memory)? {
            return Ok(End::Budget);
        }
        add(&counters.rx_no_buffer, 1);
        Ok(End::NoBuffers)
    }

    /// The driver has rung: no need to ring again.
    pub(super) fn rung(&mut self, memory: &GuestMemoryMmap) -> Result<(), Error> {
        self.0.disable_notification(memory)
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
