//! The tap as both data planes need it: every frame with the header of a modern virtio network device before it (section
//! 5.1.6), so that nothing has to be translated.

use crate::sys::{TapOffload, read_frame, set_tap_header, set_tap_offload, write_frame};
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

    /// Lets the other side leave out what the driver has said that it does not need.
    fn follow(&self, features: u64) -> Result<(), DeviceError>;
}

/// A tap interface of the host.
pub(super) struct Tap(OwnedFd);

impl Tap {
    /// Takes over a descriptor that is attached to a tap.
    pub(super) fn new(tap: OwnedFd) -> io::Result<Self> {
        set_tap_header(tap.as_fd(), HEADER_BYTES)?;
        Ok(Self(tap))
    }
}

impl Link for Tap {
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
        read_frame(self.0.as_fd(), into, room)
    }

    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()> {
        write_frame(self.0.as_fd(), from)
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
        set_tap_offload(self.0.as_fd(), offload).map_err(|error| DeviceError(error.into()))
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
