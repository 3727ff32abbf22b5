//! The host's network cards: which there are, which of them a dataplane can have, and how one is taken from the host's
//! driver and given back to it, also after a crash. What is done with a card that was taken is for `vmm::vfio`.

/// Who shares whose fate.
mod group;

/// Who would miss it.
mod in_use;
pub use in_use::Use;

/// What is known about a card.
mod card;
pub use card::{Id, Members, Nic, Obstacle};

/// What was, before we came.
mod journal;

/// From driver to driver.
mod binding;

/// Taking and giving back.
mod taken;
pub use taken::{Force, Repair, TakenNic, bind, repair, take, unbind};

#[cfg(test)]
mod tests;

use crate::config::Bdf;
use crate::host::Host;
use std::io;
use std::path::PathBuf;

/// Where sysfs has PCI.
const PCI: &str = "/sys/bus/pci";

/// The driver that lends a device to a process.
pub(crate) const VFIO_PCI: &str = "vfio-pci";

/// The card's folder in sysfs.
fn folder(host: &Host, bdf: Bdf) -> PathBuf {
    host.path(&format!("{PCI}/devices/{bdf}"))
}

/// Why a card cannot be taken, or not given back.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// There is nothing, or something else.
    #[error("{0} is no network card; ix nic list shows those there are")]
    NotANic(Bdf),
    /// A dataplane cannot have it.
    #[error("cannot take {0}: {1}")]
    Unfit(Bdf, Obstacle),
    /// The host works with it.
    #[error(
        "cannot take {bdf}: its interface {interface} {what}; take that off, or the card all the same with \
         ix nic bind --force {bdf}"
    )]
    InUse {
        /// The card.
        bdf: Bdf,
        /// Its interface.
        interface: String,
        /// What that is for.
        what: Use,
    },
    /// We have not taken it.
    #[error("there is nothing to give back: no ix has taken {0}")]
    NotOurs(Bdf),
    /// Somebody is at it.
    #[error("cannot give {0} back: the ix with process id {1} uses it; stop that first (ix ps)")]
    StillHeld(Bdf, u32),
    /// Some program has it open.
    #[error("cannot give {0} back: some program has it open; stop that first (fuser /dev/vfio/{1})")]
    StillOpen(Bdf, u32),
    /// VFIO's driver is missing.
    #[error("the host has no driver vfio-pci, and modprobe cannot load it: {0}")]
    NoVfio(String),
    /// The host gave the card to another driver.
    #[error("the host gave {bdf} to {now} instead of {wanted}; its log says why (journalctl -k)")]
    Refused {
        /// The card.
        bdf: Bdf,
        /// The driver that was to have it.
        wanted: String,
        /// The driver that has it.
        now: String,
    },
    /// A file of sysfs cannot be written.
    #[error("cannot write {0}; changing drivers is for root")]
    Write(PathBuf, #[source] io::Error),
    /// The journal cannot be written.
    #[error(
        "cannot write down in {0} what is changed; taking cards is for root (also for others: ix nic bind)"
    )]
    Journal(PathBuf, #[source] io::Error),
    /// There is no procfs.
    #[error("cannot read when this process started; is /proc mounted?")]
    NoProc,
}
