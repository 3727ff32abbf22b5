//! Where the launcher needs unsafe code, and nowhere else: guest memory shared with the machine, a child that dies
//! with us, the `ioctl`s of taps and vhost-net, and frames between a tap and guest memory.

/// Guest memory and the host area in it.
mod memory;
pub use memory::GuestRam;

/// Children tied to this process.
mod child;
pub use child::spawn_tied;

/// Attaching to a tap interface, and setting it up.
mod tap;
pub use tap::{TapOffload, attach_tap, set_tap_header, set_tap_offload};

/// Registers of a device that the guest is shown.
mod device_memory;
pub use device_memory::{DeviceMemory, duplicate};

/// Guest memory in a device's reach.
mod dma;
pub use dma::DmaMapping;

/// Frames between a tap and guest memory.
mod frames;
pub use frames::{MAX_PLACES, read_frame, write_frame};

/// What the `vhost` crate does not have.
mod vhost;
pub use vhost::set_vhost_busy_loop;
