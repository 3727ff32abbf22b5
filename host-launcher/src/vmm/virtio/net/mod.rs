//! The network device (virtio 1.2, section 5.1): pairs of a receive and a transmit queue, one for each queue of a tap of the host's.
//!
//! [`Net`] is what the driver sees; a [`DataPlane`] for each pair moves the frames: our own thread ([`TapPlane`]) or the host
//! kernel's ([`VhostPlane`]). Which pair a frame comes to is the tap's choice: that by which its flow was last sent. On either, a frame is copied once, by the tap, between the host's network stack and guest memory.

/// The model: features, configuration, queues.
mod model;
pub use model::{DataPlane, Net, PairSignals, Settings, Signals};

/// The queue for commands.
mod control;

/// The tap as both data planes need it.
mod link;
pub use link::{Link, Rank};

/// Our own data plane.
mod tap;
pub use tap::{Counters, Queues, TapPlane};

/// The host kernel's.
mod vhost;
pub use vhost::{VhostError, VhostPlane};
