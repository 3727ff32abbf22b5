//! Where the launcher needs unsafe code: guest memory shared with the machine, descriptors that come by number, a child
//! that dies with us, the `ioctl`s that no crate has, frames between a tap and guest memory, and the one call that reads a
//! directory as Linux writes it.

/// Guest memory and the host area in it.
mod memory;
pub use memory::{GuestRam, PageKind};

/// What the machine counts.
mod machine_area;
pub use machine_area::MachineArea;

/// Reading directories.
mod directory;
pub use directory::read_directory;

/// Children tied to this process.
mod child;
pub use child::spawn_tied;

/// Descriptors from the parent.
mod inherited;
pub use inherited::Inherited;

/// What is asked of mapped pages.
mod pages;
pub use pages::{lock, populate, want_large_pages};

/// KVM's own counters.
mod kvm_stats;
pub use kvm_stats::kvm_stats;

/// Attaching to a tap interface, and setting it up.
mod tap;
pub use tap::{TapKind, TapOffload, TapQueue, attach_tap, set_tap_header, set_tap_offload, set_tap_queue};

/// Registers of a device that the guest is shown.
mod device_memory;
pub use device_memory::{DeviceMemory, duplicate};

/// Guest memory in a device's reach.
mod dma;
pub use dma::DmaMapping;

/// Frames between a tap and guest memory.
mod frames;
pub use frames::{MAX_PLACES, read_frame, write_frame};
