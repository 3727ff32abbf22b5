//! The machine on KVM. It is a process of its own, `ix machine`: the launcher starts it as it would start QEMU, hands it
//! descriptors to inherit, and writes a [`Blueprint`] to its standard input.

mod blueprint;
pub use blueprint::{Blueprint, DataPlane, Device, Mac, Memory, PageKind, Wires};

/// The guest's PCI bus.
pub mod pci;

/// Cards of the host's on it.
pub mod vfio;

/// Virtio devices that are modelled here.
pub mod virtio;
