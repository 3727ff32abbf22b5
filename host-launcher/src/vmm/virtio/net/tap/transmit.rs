//! Guest to host: a chain that the driver has posted goes to the link as one frame, from where it lies.

use super::chain::{Direction, MAX_PLACES, collect};
use super::counters::{Counters, add};
use super::interrupt::Interrupt;
use crate::vmm::virtio::net::link::{HEADER_BYTES, Link};
use virtio_queue::{Error, Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

/// Frames per turn.
const BUDGET: usize = 64;

/// How a turn went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// There was nothing to send.
    Nothing,
    /// There was.
    Frames,
}

/// The transmit queue.
pub(super) struct Transmit {
    pub(super) queue: Queue,
    pub(super) interrupt: Interrupt,
}

impl Transmit {
    pub(super) fn new(queue: Queue) -> Self {
        Self {
            queue,
            interrupt: Interrupt::default(),
        }
    }

    /// Sends frames until there are no more, or the turn is over. A frame the link does not take is dropped, as on any wire.
    ///
    /// # Errors
    /// The queue's, if it cannot be used any more.
    pub(super) fn turn(
        &mut self,
        memory: &GuestMemoryMmap,
        link: &impl Link,
        counters: &Counters,
    ) -> Result<Sent, Error> {
        let mut places = Vec::with_capacity(MAX_PLACES);
        for sent in 0..BUDGET {
            let Some(chain) = self.queue.iter(memory)?.next() else {
                return Ok(if sent == 0 { Sent::Nothing } else { Sent::Frames });
            };
            let head = chain.head_index();
            places.clear();
            match collect(chain, Direction::ToDevice, memory, &mut places) {
                Ok(len) if len > HEADER_BYTES => {
                    if link.transmit(&places).is_ok() {
                        add(&counters.tx_frames, 1);
                        add(&counters.tx_bytes, (len - HEADER_BYTES) as u64);
                    } else {
                        add(&counters.tx_refused, 1);
                    }
                }
                _ => add(&counters.tx_bad_chain, 1),
            }
            self.queue.add_used(memory, head, 0)?;
        }
        Ok(Sent::Frames)
    }

    /// Asks the driver to ring for the next frame. `false` if there is one already.
    ///
    /// # Errors
    /// As above.
    pub(super) fn rest(&mut self, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        self.queue.enable_notification(memory).map(|more| !more)
    }

    /// Asks it not to.
    ///
    /// # Errors
    /// As above.
    pub(super) fn wake(&mut self, memory: &GuestMemoryMmap) -> Result<(), Error> {
        self.queue.disable_notification(memory)
    }
}
