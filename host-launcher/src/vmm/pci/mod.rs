//! The guest's PCI bus: one host bridge, bus 0, functions that are emulated or passed through.
//!
//! A [`Function`] is all there is behind a device number. No access of the guest leads from here to the configuration
//! space of the host.

/// What every function on the bus must do.
mod function;
pub use function::{BAR_COUNT, Bdf, CONFIG_BYTES, DecodeError, DecodedBar, Function};
