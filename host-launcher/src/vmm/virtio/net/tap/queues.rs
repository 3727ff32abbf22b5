//! The two queues while they are ours, and what is known about who waits for whom.

use super::counters::Counters;
use super::receive::{Buffers, End, Receive};
use super::transmit::{Sent, Transmit};
use crate::vmm::virtio::net::link::Link;
use virtio_queue::{Error, Queue};
use vm_memory::GuestMemoryMmap;

/// The queues, while they are ours.
pub struct Queues {
    receive: Receive,
    transmit: Transmit,
    /// The tap may have frames: it said so, and has not said since that it has none.
    readable: bool,
    /// The driver had no buffers, and has not rung since.
    starved: bool,
    /// The driver need not ring for transmissions.
    awake: bool,
}

impl Queues {
    /// Takes over two queues of a driver that has agreed to these features.
    ///
    /// # Errors
    /// The queues', here and below: they cannot be used, and the device must be reset.
    pub fn new(
        receive: Queue,
        transmit: Queue,
        memory: &GuestMemoryMmap,
        features: u64,
    ) -> Result<Self, Error> {
        Ok(Self {
            receive: Receive::new(receive, memory, Buffers::agreed(features))?,
            transmit: Transmit::new(transmit),
            readable: true,
            starved: false,
            awake: false,
        })
    }

    /// The link has frames again.
    pub fn link_readable(&mut self) {
        self.readable = true;
    }

    /// The driver has rung for the receive queue.
    pub fn buffers_posted(&mut self, memory: &GuestMemoryMmap) -> Result<(), Error> {
        self.starved = false;
        self.receive.rung(memory)
    }

    /// A turn on each queue; `true` if frames were moved.
    pub fn turn(
        &mut self,
        memory: &GuestMemoryMmap,
        link: &impl Link,
        counters: &Counters,
    ) -> Result<bool, Error> {
        if !self.awake {
            self.transmit.wake(memory)?;
            self.awake = true;
        }
        let mut moved = self.transmit.turn(memory, link, counters)? == Sent::Frames;
        if self.readable && !self.starved {
            let (frames, end) = self.receive.turn(memory, link, counters)?;
            moved |= frames > 0;
            self.readable = end != End::NoFrames;
            self.starved = end == End::NoBuffers;
        }
        Ok(moved)
    }

    /// Whether the driver is to be interrupted for what the receive and the transmit queue have used since this was last asked.
    pub fn interrupts(&mut self, memory: &GuestMemoryMmap) -> Result<[bool; 2], Error> {
        Ok([
            self.receive.interrupt.is_due(&mut self.receive.queue, memory)?,
            self.transmit.interrupt.is_due(&mut self.transmit.queue, memory)?,
        ])
    }

    /// Prepares to sleep. `false` if there is something to do already.
    pub fn rest(&mut self, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        self.awake = false;
        let quiet = self.transmit.rest(memory)?;
        Ok(quiet && (!self.readable || self.starved))
    }
}
