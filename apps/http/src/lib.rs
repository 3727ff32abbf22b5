//! An HTTP/1.1 server (RFC 9110, RFC 9112) for static files and a small JSON interface, on libix.
//!
//! A request's way, a module each: [`request`] makes requests of bytes and refuses what two readers could understand
//! differently; [`site`] answers them, from memory or after a thread of its own has read the file; [`response`] says how
//! that looks on the wire; [`connection`] holds the order of all this for one client. None of them does I/O: [`server`]
//! does, with [`tls`] in between where that is wanted.

pub mod request;

pub mod site;

pub mod response;

pub mod connection;

pub mod tls;

pub mod deadlines;

pub mod server;

pub mod counters;
