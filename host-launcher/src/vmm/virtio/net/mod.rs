//! The network device (virtio 1.2, section 5.1): one receive and one transmit queue, on a tap of the host.
//!
//! [`Net`] is what the driver sees; a [`DataPlane`] moves the frames: our own thread ([`TapPlane`]) or the host kernel's
//! ([`VhostPlane`]). On either, a frame is copied once, by the tap, between the host's network stack and guest memory.

/// The model: features, configuration, queues.
mod model;
pub use model::{DataPlane, Kicks, Net, Settings};

/// The tap as both data planes need it.
mod link;
pub use link::Link;

/// Our own data plane.
mod tap;
pub use tap::{Counters, Queues, TapPlane};

/// The host kernel's.
mod vhost;
pub use vhost::{VhostError, VhostPlane};
