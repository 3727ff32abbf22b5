//! What lies behind a transport, and what both need of the machine.

use std::error::Error;
use std::io;
use std::sync::Arc;
use virtio_queue::Queue;
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::EventFd;

/// The guest's RAM.
pub type Memory = Arc<GuestMemoryMmap>;

/// Makes a place in guest memory signal an `EventFd` when the guest writes there, without an exit to us (`KVM_IOEVENTFD`).
pub trait Doorbells: Send {
    /// A write at `address`, of whatever width and value, signals `kick` from now on.
    ///
    /// # Errors
    /// KVM's.
    fn add(&self, address: u64, kick: &EventFd) -> io::Result<()>;

    /// No more.
    ///
    /// # Errors
    /// KVM's.
    fn remove(&self, address: u64, kick: &EventFd) -> io::Result<()>;
}

/// What a function writes to interrupt a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where: the low half and the high half.
    pub address: [u32; 2],
    /// What.
    pub data: u32,
}

/// Has an `EventFd` send a message to the guest's CPUs when it is signalled, without a thread of ours (`KVM_IRQFD`).
pub trait Interrupts: Send {
    /// A signal of `call`, the function's with the number `line`, sends this from now on; one that came before, at once.
    ///
    /// # Errors
    /// KVM's, which takes no such message.
    fn connect(&self, line: u16, call: &EventFd, message: Message) -> io::Result<()>;

    /// No more: signals wait.
    ///
    /// # Errors
    /// KVM's.
    fn disconnect(&self, line: u16, call: &EventFd) -> io::Result<()>;
}

/// Why a device does not start. The guest is told by `DEVICE_NEEDS_RESET`.
#[derive(Debug, thiserror::Error)]
#[error("the device does not start")]
pub struct DeviceError(#[source] pub Box<dyn Error + Send + Sync>);

/// A device behind a transport.
pub trait Device: Send {
    /// Its number (section 5).
    fn id(&self) -> u16;

    /// Class, subclass and programming interface on PCI.
    fn class(&self) -> [u8; 3];

    /// Features it offers, those of the device and those of its queues.
    fn features(&self) -> u64;

    /// Whether it works for a driver that agrees to these of them.
    fn accepts(&self, _features: u64) -> bool {
        true
    }

    /// How many queues it has.
    fn queues(&self) -> usize {
        self.kicks().len()
    }

    /// Most descriptors a queue can have.
    fn queue_max(&self) -> u16;

    /// What is signalled when a queue is notified: one for each of the first queues.
    fn kicks(&self) -> &[EventFd];

    /// What it signals when a queue is to interrupt: one for each that has a kick.
    fn calls(&self) -> &[EventFd];

    /// Its configuration, which the guest can only read.
    fn config(&self) -> &[u8];

    /// The driver is ready: the queues that it has enabled, checked, are the device's from now on.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn start(&mut self, features: u64, queues: Vec<Option<Queue>>) -> Result<(), DeviceError>;

    /// While it runs, a queue was notified that has no kick. Whatever this does is over before the driver goes on.
    fn notified(&mut self, _memory: &Memory) {}

    /// The queues are the driver's again. When this returns the device does not touch guest memory any more.
    fn stop(&mut self);

    /// Whether it met something in its queues with which it cannot go on.
    fn failed(&self) -> bool;
}
