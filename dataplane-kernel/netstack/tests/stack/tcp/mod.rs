//! Dialogues of TCP.

mod active_open;
mod close;
mod data;
mod ecn;
mod keepalive;
mod loss;
mod options;
mod pacing;
mod passive_open;
mod reassembly;
mod reassembly_property;
mod reset;
mod retransmit;
mod syn_flood;
mod time_wait;
mod window;
