//! Request and response over datagrams, in the manner of eRPC (Kalia, Kaminsky and Andersen, *Datacenter RPCs can be General
//! and Fast*, NSDI 2019), without I/O and without a clock: received packets and the time go in, packets to send and what
//! happened come out. `libix::rpc` puts it on UDP; `docs/rpc.md` describes the wire.
//!
//! A [`Client`] has sessions with servers, a [`Server`] with clients. A session has [`wire::SLOTS`] calls under way and
//! keeps others waiting. The client drives: each of its packets is answered by one of the server's, so the client alone
//! counts what is on its way ([`wire::CREDITS`]), takes round-trip times, paces and repeats; the server keeps what it
//! last answered and otherwise forgets nothing and remembers no time.
//!
//! A call is carried out at most once. If it fails by [`CallError::Gone`] it may or may not have been.
//!
//! ```
//! use core::net::SocketAddr;
//! use ix_rpc::{Client, Config, Message, Server};
//!
//! let mut server = Server::new(&Config::default(), [1; 16]);
//! let mut client = Client::new(&Config::default(), [2; 16]);
//! let (here, there): (SocketAddr, SocketAddr) = ("10.0.0.1:5".parse().unwrap(), "10.0.0.2:6".parse().unwrap());
//!
//! let session = client.connect(0, there).unwrap();
//! client.call(0, session, 1, Message::copy_of(b"hello").unwrap(), 42).unwrap();
//! let mut response = None;
//! while response.is_none() {
//!     while let Some(transmit) = client.poll_transmit() {
//!         server.receive(0, here, transmit.packet().to_vec());
//!     }
//!     while let Some(request) = server.poll_request() {
//!         let answer = Message::copy_of(&request.body).unwrap();
//!         server.respond(0, request.id, 0, answer).unwrap();
//!     }
//!     while let Some(transmit) = server.poll_transmit() {
//!         client.receive(0, there, transmit.packet().to_vec());
//!     }
//!     while let Some(event) = client.poll_event() {
//!         if let ix_rpc::Event::Done { tag: 42, result } = event {
//!             response = Some(result.unwrap().body.to_vec());
//!         }
//!     }
//! }
//! assert_eq!(response.unwrap(), b"hello");
//! ```
#![forbid(unsafe_code)]

pub mod wire;

mod message;
pub use message::{Message, TooLong, Transmit};

mod body;
pub use body::Body;

mod config;
pub use config::{Config, Counters};

mod secrets;

mod table;
pub use table::Session;

mod alarms;

mod outbox;

mod client;
pub use client::{CallError, Client, Event, Refused, Response};

mod server;
pub use server::{Request, RequestId, RespondError, Server};
