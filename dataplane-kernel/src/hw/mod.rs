//! Safe types over device memory: registers, memory shared with a device, the order of accesses to both, and PCI.
//!
//! Everything a driver touches goes through here, so that the drivers in [`crate::nic`] are safe code. A place is
//! checked once, when it is taken out of its region, and is then read and written by volatile accesses that cannot
//! fail: `cell::Cell` for one value, `cell::Ring` for a ring of them.
#![allow(unsafe_code, reason = "this is the wall around device memory")]

/// Order of accesses to memory shared with a device.
pub mod barrier;

/// Volatile places.
pub mod cell;

/// Memory shared with a device.
pub mod dma;

/// Device registers in memory.
pub mod mmio;

/// Finding PCI functions and their registers.
pub mod pci;
