//! Virtio devices that are modelled here (virtio 1.2): the transport every one has, and the network device.
//!
//! The guest meets a [`transport::Transport`], a function on its PCI bus, whose registers lead to a [`Device`]. Once the guest has
//! set its queues up and says that its driver is ready, they are checked and become the device's; on a reset the device
//! gives them up before the guest's write is over. Nothing of what the guest writes is trusted: not the registers,
//! not the rings, not their descriptors.

/// The device on PCI.
pub mod transport;

/// The registers of a queue, and what they must say before it is used.
mod queue;
pub use queue::QueueError;

/// What lies behind a transport.
mod device;
pub use device::{Device, DeviceError, Doorbells, Interrupts, Memory, Message};

pub mod net;

#[cfg(test)]
mod testing;
