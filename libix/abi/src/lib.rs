//! The contract between the three rings of Ixion: ring 3 (the app), ring 0 (the dataplane kernel) and the Linux host
//! (the launcher). Nothing here has behaviour worth the name; it is layouts, numbers and their meaning.
//!
//! * [`app`]: what passes between ring 3 and ring 0: the trap numbers, the command and event arrays of `run_io`,
//!   handles, statuses, and where things lie in a ring-3 address space.
//! * [`host`]: what passes between ring 0 and the launcher: the kernel command line, the host area in guest memory
//!   (console ring, counters, stop request, exit record) and the exit codes.
//!
//! Every type is `#[repr(C)]`, its size is asserted at compile time, and any bit pattern read from the other side is
//! either legal or rejected by a checked constructor.
#![no_std]
#![forbid(unsafe_code)]

pub mod app;

pub mod host;

#[cfg(test)]
extern crate std;
