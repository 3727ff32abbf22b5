//! Where the launcher needs unsafe code, and nowhere else: guest memory shared with the machine, a child that dies
//! with us, and the one `ioctl` of a tap.

/// Guest memory and the host area in it.
mod memory;
pub use memory::GuestRam;

/// Children tied to this process.
mod child;
pub use child::spawn_tied;

/// Attaching to a tap interface.
mod tap;
pub use tap::attach_tap;

/// Registers of a device that the guest is shown.
mod device_memory;
pub use device_memory::{DeviceMemory, duplicate};

/// Guest memory in a device's reach.
mod dma;
pub use dma::DmaMapping;
