//! PCI: which functions there are, where their registers lie, and their capabilities.
//!
//! Firmware has usually enumerated the buses and placed the BARs; where there is none (a hypervisor that starts the
//! kernel directly), `bar::place_missing` places those of the root bus.

/// Where the registers of a function lie.
pub mod bar;

/// Configuration space.
pub mod config;

/// The list of capabilities.
pub mod capability;

/// Interrupts as messages.
pub mod msix;

/// All functions there are.
pub mod scan;

#[cfg(test)]
pub(crate) mod fake;
