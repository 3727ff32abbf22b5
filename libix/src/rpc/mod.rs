//! Request and response over UDP, after eRPC: sessions, at most once, messages of up to 8 MiB, congestion control by round-trip
//! times. `docs/rpc.md` describes the protocol and its packets; [`ix_rpc`] is the protocol without sockets, this puts it onto
//! the event loop and, in [`task`], onto tasks.
//!
//! Nothing is copied for a message of one packet, either way: it is read where the NIC put it, and written where the NIC
//! reads it. Longer ones are written likewise, and copied together where they are received.
//!
//! A service is a [`Service`], which [`Serve`] makes a [`Handler`](crate::Handler) of:
//!
//! ```no_run
//! use libix::rpc::{Config, Message, Request, Serve, Server, Service};
//! use libix::{Error, Io};
//!
//! struct Upper;
//!
//! impl Service for Upper {
//!     fn on_request(&mut self, io: &mut Io, server: &mut Server, request: Request) {
//!         let mut response = request.body.to_vec();
//!         response.make_ascii_uppercase();
//!         if let Ok(response) = server.message_of(&response) {
//!             // An error says that the client is gone.
//!             let _ = server.respond(io, request.id, 0, response);
//!         }
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     libix::run(&mut Serve::new(7100, &Config::default(), Upper))
//! }
//! ```
//!
//! And a client, as a task:
//!
//! ```no_run
//! use libix::rpc::{Config, task::Client};
//!
//! # fn main() -> Result<(), libix::Error> {
//! libix::task::run(async {
//!     let client = Client::bind(&Config::default())?;
//!     let session = client.connect("10.77.0.2:7100".parse().unwrap()).expect("few sessions");
//!     match session.call(1, b"hello").await {
//!         Ok(response) => assert_eq!(&*response.body, b"HELLO"),
//!         Err(error) => eprintln!("{error}"),
//!     }
//!     Ok(())
//! })
//! # }
//! ```

/// The time of a turn.
mod clock;

mod client;
pub use client::Client;

mod server;
pub use server::Server;

mod serve;
pub use serve::{Serve, Service};

pub mod task;

use crate::RecvBuf;
pub use ix_rpc::wire;
pub use ix_rpc::{CallError, Config, Counters, Message, Refused, RequestId, RespondError, Session, TooLong};

/// A message received.
pub type Body = ix_rpc::Body<RecvBuf>;
/// What a server has answered.
pub type Response = ix_rpc::Response<RecvBuf>;
/// A request to carry out.
pub type Request = ix_rpc::Request<RecvBuf>;
/// What has happened to a client.
pub type Event = ix_rpc::Event<RecvBuf>;
