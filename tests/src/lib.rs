//! The harness of the end-to-end tests: real virtual machines, started by the real `ix`, and real Linux peers.
//!
//! * [`artifacts`] builds what is tested, once per test program, and knows where it lies.
//! * [`Namespace`] is a network of its own, with a tap for the machine and room for clients.
//! * [`Run`] is one `ix run`: what it says, what it counts, how it ends.
//! * [`Dnsmasq`] gives addresses, and knows names.
//! * [`RawStation`] is a peer of frames, whatever it likes to say.
//! * [`Switch`] is a long way that loses frames, between [`Tap`]s.
//! * [`peer`] is the Linux side: clients that check what they get.
//! * [`Monitor`] does to a machine's card what happens to real ones.
//! * [`Sharing`] sees what goes from core to core within a machine.
//! * [`Traffic`] is all of it together, to an echo server.
//! * [`elf`] makes programs that are none.
//! * [`lab`] is a whole Linux machine with KVM, an IOMMU and network cards to give away.
//!
//! Everything made here has a name of its own and is removed on drop, also when a test fails. Only one machine runs at a
//! time: the emulator wants a core for itself.

pub mod artifacts;

mod namespace;
pub use namespace::{GUEST, HOST, Namespace, SUBNET};

mod run;
pub use run::{Ended, Run, Runner, take_turn};

mod dnsmasq;
pub use dnsmasq::Dnsmasq;

mod folder;
pub use folder::Folder;

mod output;

mod raw;
pub use raw::RawStation;

mod tap;
pub use tap::Tap;

mod impaired;
pub use impaired::Switch;

pub mod peer;

mod monitor;
pub use monitor::Monitor;

mod sharing;
pub use sharing::{Moved, Sharing};

mod traffic;
pub use traffic::Traffic;

pub mod elf;

pub mod lab;
