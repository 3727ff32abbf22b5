//! An open-loop load generator. Requests are due at the instants of a Poisson process, whatever the server does, and
//! latency counts from the instant a request was due: one that waits behind a slow one waits for the server, too, and is
//! not omitted (what is called coordinated omission).
//!
//! [`arrivals`] says when, [`workload`] what, with sizes from [`distribution`]; [`sweep`] takes one offered load after
//! another and sums up; none of these does I/O. [`client`] does, on libix.

pub mod arrivals;

pub mod distribution;

pub mod workload;

pub mod sweep;

pub mod report;

pub mod client;
