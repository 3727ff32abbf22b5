//! Packet dialogues as text. A script says, a line each, what a peer sends, what must come back, what the app does, and how
//! time passes; it reads like the examples of the RFCs:
//!
//! ```text
//! # RFC 9293 section 3.5, figure 6: the three-way handshake.
//! app   listen
//! peer  S  0          <mss 1460>
//! us    S. 0    ack 1 <mss 1460>
//! peer  .  1    ack 1
//! app   accept
//! peer  P. 1+10 ack 1
//! app   receive 10
//! ```
//!
//! [`Script`] reads it, [`Player`] plays the peer and checks what comes back from a [`Subject`]: a stack in virtual time, a
//! virtual machine, or Linux. Sequence numbers are relative to both sides' initial ones. [`script`] lists what can be said.

pub mod script;
pub use script::Script;

pub mod segment;

pub mod frame;

pub mod v6;

mod player;
pub use player::{Hope, Player, Subject};
