//! A memcached server: the protocols and the store, without any I/O, and the libix app made of them.
//!
//! A [`Connection`](connection::Connection) takes a client's bytes and adds [`Replies`](replies::Replies); it works on the
//! [`Shard`](shard::Shard) of its core, which has a store of its own and asks other cores for what is theirs
//! ([`across`]). [`Server`](server::Server) puts it on the network.
#![forbid(unsafe_code)]

pub mod options;

pub mod server;

pub mod udp;

pub mod connection;

mod step;

mod text;

mod binary;

mod number;

pub mod replies;

pub mod shard;

pub mod across;

pub mod snapshot;

mod stats;

pub mod store;

/// What `version` says: the memcached whose protocol this is, for clients that look, and then what it really is.
pub const VERSION: &str = concat!("1.6.18 (Ixion kv ", env!("CARGO_PKG_VERSION"), ")");
