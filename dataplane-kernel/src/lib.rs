//! The dataplane kernel.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(test)]
extern crate std;

/// Everything that is written, once the machine is up.
pub mod start;

/// What the loader tells.
pub mod boot_info;

/// What the firmware tells.
pub mod acpi;

/// What the launcher tells, on the command line.
pub mod settings;

/// The way of packets.
pub mod dataplane;

/// The launcher.
pub mod host;

/// Ring 3: the app.
pub mod user;

/// Network interfaces.
pub mod nic;

/// Memory.
pub mod mem;

/// Device memory.
pub mod hw;

/// The processor.
pub mod arch;

/// Lines on the serial port.
pub mod logger;

/// The end, when something is wrong in ring 0.
pub mod panic;
