//! Who on the link has which hardware address: one table, and the two protocols that fill it.

/// Entries, questions and failures.
mod table;
pub use table::{Address, Lookup, Question, Table};

/// IPv4 asks by ARP.
mod arp;
pub use arp::{Neighbors, Received, Request};

/// IPv6 asks by neighbour discovery.
mod ndp;
