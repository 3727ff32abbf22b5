//! The machine on KVM.

/// The guest's PCI bus.
pub mod pci;
