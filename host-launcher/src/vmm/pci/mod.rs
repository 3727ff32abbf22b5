//! The guest's PCI bus: one host bridge, bus 0, functions that are emulated or passed through.
//!
//! A [`Function`] is all there is behind a device number. The guest reaches it through the [`Root`]: by ports, by memory. No
//! access leads from here to the configuration space of the host; a function that is passed through decides itself what it
//! fetches from there.

/// What every function on the bus must do.
mod function;
pub use function::{BAR_COUNT, Bdf, CONFIG_BYTES, DecodeError, DecodedBar, Function};

/// The guest's ways to the bus.
mod access;
pub use access::{ECAM, PORTS};

/// The bus.
mod bus;
pub use bus::{BusFull, Counters, Root};

/// Which function answers at which address.
mod decode;
pub use decode::{LOW_WINDOW, Windows};

/// What firmware would do.
mod placement;
pub use placement::PlaceError;

/// Configuration space of an emulated function.
pub mod config_space;

/// The host bridge's own function.
mod host_bridge;

#[cfg(test)]
mod tests;
