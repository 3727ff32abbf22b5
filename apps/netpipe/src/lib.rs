//! Ping-pong over message sizes, after NetPIPE (Snell, Mikler and Gustafson, 1996): one side sends a message, the other
//! sends it back once it is whole, and half of the round trip is how long it takes.
//!
//! [`schedule`] says which sizes, [`message`] what a message is, [`nptcp`] what NetPIPE's own program says; [`responder`] and [`client`] are the two sides.

pub mod schedule;

pub mod message;

pub mod nptcp;

pub mod responder;

pub mod client;
