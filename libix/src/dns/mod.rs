//! Names to addresses: a stub resolver (RFC 1034 section 5.3.1), which asks name servers that do the work.
//!
//! ```no_run
//! use libix::task::{self, TcpStream};
//! use libix::{Error, dns};
//!
//! async fn greet() -> Result<(), dns::Error> {
//!     let addresses = dns::resolve("server.test").await?;
//!     let stream = TcpStream::connect((addresses.ips[0], 80).into()).await?;
//!     stream.send("hello").await?;
//!     Ok(())
//! }
//!
//! # fn main() -> Result<(), Error> {
//! task::run(async {
//!     if let Err(error) = greet().await {
//!         eprintln!("{error}");
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`resolve`] and [`Resolver`] are for tasks. [`Lookup`] is what they consist of without the datagrams, for a
//! [`Handler`](crate::Handler) that has a UDP port of its own.
//!
//! Asked is over UDP, from a random port by a random number, so that a forger who does not see the question has to guess
//! both. Answers of more than 512 bytes are not asked for over TCP: they are [`Error::Truncated`]. Nothing is kept:
//! [`Addresses::ttl`] says for how long an app may. There is no search list: a name is a whole one.

/// Why there is no address.
mod error;
pub use error::Error;

/// A question and its answer, as bytes.
mod message;
pub use message::{Addresses, Kind};

/// A question, asked until it is answered.
mod lookup;
pub use lookup::{Lookup, Step};

/// Over UDP, for tasks.
mod resolver;
pub use resolver::{Resolver, resolve};

#[cfg(test)]
mod tests;
