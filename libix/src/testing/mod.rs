//! Apps in a network of their own: several of them in one process, in virtual time, with loss, delay and partitions, the
//! same on each run with the same seed. Feature `testing`.
//!
//! Each app is a [`Handler`](crate::Handler) on a host with the very TCP/IP stack that Ixion's kernel has, so what is tested is what will
//! run: retransmissions, windows, resets. Nothing waits: where nobody has anything to do, the clock is set to when
//! somebody has.
//!
//! ```
//! use libix::testing::Network;
//! use libix::{Flow, Handler, Io, RecvBuf, Status};
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn on_start(&mut self, io: &mut Io) -> Result<(), libix::Error> {
//!         io.listen(7)?;
//!         Ok(())
//!     }
//!
//!     fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
//!         let _ = io.send(flow, data);
//!     }
//! }
//!
//! struct Client {
//!     server: SocketAddr,
//!     echoed: usize,
//! }
//!
//! impl Handler for Client {
//!     fn on_start(&mut self, io: &mut Io) -> Result<(), libix::Error> {
//!         let flow = io.connect(self.server)?;
//!         io.send(flow, vec![1; 100_000])?;
//!         Ok(())
//!     }
//!
//!     fn on_recv(&mut self, _: &mut Io, _: Flow, data: RecvBuf) {
//!         self.echoed += data.len();
//!     }
//! }
//!
//! # fn main() -> Result<(), libix::Error> {
//! let mut network = Network::new(1);
//! network.set_loss(0.1);
//! let server = network.add(Echo)?;
//! let server = SocketAddr::new(network.ip(&server), 7);
//! let client = network.add(Client { server, echoed: 0 })?;
//! let done = network.run_until(Duration::from_secs(60), |network| network.app(&client).echoed == 100_000);
//! assert!(done);
//! # Ok(())
//! # }
//! ```
//!
//! Async apps are hosts by [`task::Executor`](crate::task::Executor).

/// The cable, and what happens on it.
mod wire;

/// A host's network card and buffers.
#[allow(unsafe_code, reason = "it plays the kernel's part of the shared memory")]
mod card;

/// A host: its stack in the kernel's part.
mod host;

/// Commands to its stack.
#[allow(unsafe_code, reason = "app memory is named by address")]
mod commands;

mod network;
pub use network::{Host, Network};
