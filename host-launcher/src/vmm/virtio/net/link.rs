//! The tap as both data planes need it: every frame with the header of a modern virtio network device before it (section
//! 5.1.6), so that nothing has to be translated.

use crate::sys::{
    TapOffload, TapQueue, read_frame, set_tap_header, set_tap_offload, set_tap_queue, write_frame,
};
use crate::vmm::virtio::DeviceError;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
};
use vm_memory::VolatileSlice;

/// Bytes of `struct virtio_net_hdr` with `num_buffers`.
pub(super) const HEADER_BYTES: usize = 12;

/// Offset in it of `num_buffers`, which the tap leaves alone.
pub(super) const NUM_BUFFERS: usize = 10;

/// What frames come from and go to, header first.
pub trait Link: AsRawFd {
    /// Takes one frame into the places, which have room for `room` bytes. Returns its length, or more than `room` if the
    /// frame was longer and is lost.
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize>;

    /// Sends one frame from the places.
    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()>;

    /// Receives from now on.
    fn join(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    /// Receives nothing from now on: the other side must choose other queues for its frames. It does so before it joins first.
    fn leave(&self) {}

    /// Lets the other side leave out what the driver has said that it does not need.
    fn follow(&self, features: u64) -> Result<(), DeviceError>;
}

/// A queue of a tap interface of the host's.
pub(super) struct Tap {
    queue: OwnedFd,
    rank: Rank,
}

/// Which of an interface's queues it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The first, or the only one, which stays attached.
    First,
    /// Another, which is attached while it is used: Linux spreads what it sends over all that are.
    Other,
}

impl Rank {
    /// Of the queue with this number.
    #[must_use]
    pub fn of(number: usize) -> Self {
        if number == 0 { Rank::First } else { Rank::Other }
    }
}

impl Tap {
    /// Takes over a descriptor that is attached to a tap.
    pub(super) fn new(queue: OwnedFd, rank: Rank) -> io::Result<Self> {
        set_tap_header(queue.as_fd(), HEADER_BYTES)?;
        Ok(Self { queue, rank })
    }
}

impl Link for Tap {
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
        read_frame(self.queue.as_fd(), into, room)
    }

    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()> {
        write_frame(self.queue.as_fd(), from)
    }

    fn join(&self) -> Result<(), DeviceError> {
        match self.rank {
            Rank::First => Ok(()),
            Rank::Other => set_tap_queue(self.queue.as_fd(), TapQueue::Attached)
                .map_err(|error| DeviceError(error.into())),
        }
    }

    fn leave(&self) {
        if self.rank == Rank::Other {
            // It fails if it is not attached.
            let _ = set_tap_queue(self.queue.as_fd(), TapQueue::Detached);
        }
    }

    fn follow(&self, features: u64) -> Result<(), DeviceError> {
        let mut offload = TapOffload::empty();
        for (feature, part) in [
            (VIRTIO_NET_F_GUEST_CSUM, TapOffload::CHECKSUM),
            (VIRTIO_NET_F_GUEST_TSO4, TapOffload::TSO4),
            (VIRTIO_NET_F_GUEST_TSO6, TapOffload::TSO6),
        ] {
            offload.set(part, features & (1 << feature) != 0);
        }
        if !offload.contains(TapOffload::CHECKSUM) {
            // The host does not do the one without the other, and a driver may not ask for it (section 5.1.3.1).
            offload = TapOffload::empty();
        }
        set_tap_offload(self.queue.as_fd(), offload).map_err(|error| DeviceError(error.into()))
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.queue.as_raw_fd()
    }
}
