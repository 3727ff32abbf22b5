//! Ring 0 and the launcher: how a kernel is told what to do and tells what happened, on every backend alike.
//!
//! The launcher passes a [`cmdline`], lends [`HOST_AREA_BYTES`](area::HOST_AREA_BYTES) of guest memory as the
//! [`HostArea`], and reads the [`exit`] code of the virtual machine.

pub mod cmdline;

pub mod exit;

/// The shared page set.
pub mod area;
pub use area::HostArea;

mod console;
pub use console::{Console, Stream};

mod counters;
pub use counters::{Counters, MAX_COUNTERS};

pub mod hostcall;
pub use hostcall::HostCalls;
