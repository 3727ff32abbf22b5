//! A sans-IO TCP/IP stack: received frames, app memory spans and the time go in; frames to transmit and events come
//! out. It never reads a clock, never touches a device and never copies a payload.
//!
//! One [`Stack`] belongs to one core and shares nothing. Its driver (the kernel's dataplane, a test, a fuzzer, a bench)
//! calls, in a cycle: [`Stack::receive`] for each frame, [`Stack::on_timer`] once, [`Stack::poll_event`] until `None` or
//! its event array is full, then the commands (`tcp_send`, `udp_send`, ...), then [`Stack::flush`].
//!
//! What cannot be delivered now (the event array is full) simply stays in the stack and holds the peer's window.
//! No call allocates: every table is sized by [`Config`] in [`Stack::new`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod env;
pub use env::{
    BufId, Env, HEADER_ROOM, LARGE_BYTES, MAX_SEGMENTS_BYTES, MAX_TX_SPANS, RxChecksum, Span, TxOffload,
    TxTicket,
};

mod event;
pub use event::{Error, Event, Id, Told};

mod instant;
pub use instant::Instant;

mod config;
pub use config::{Config, CongestionControl, EcnPolicy, Ipv4Config, Ipv6Config, Medium, Pacing, TcpConfig};

mod counters;
pub use counters::Counters;

/// TCP sequence numbers.
pub mod seq;

/// The Internet checksum.
pub mod checksum;

/// Timers in slots, on a hierarchical wheel.
pub mod timer_wheel;

/// Frame formats.
pub mod wire;

/// The interface and its addresses.
pub mod interface;

/// The way to a destination.
pub mod route;

/// Ways that somebody has laid down.
mod static_routes;
pub use static_routes::{StaticRoute, StaticRoutes};

/// An address from a server.
mod dhcp;
pub use dhcp::{Lease, SharedLease};

/// ARP, and its like for IPv6.
pub mod neighbor;

/// The interface in IPv6.
mod ipv6;

/// Both ends of a conversation.
mod ends;

/// Long packets in parts.
mod fragmentation;

/// And back.
mod reassembly;

/// Packets of others.
mod forwarding;
pub use forwarding::{NotForwarded, Passing, Transit};

/// ICMP.
pub mod icmp;

/// The way to a destination may carry less.
mod path_mtus;

/// UDP.
mod udp;

/// Queues of slots.
mod ring;

/// Buffers on this side of the driver.
mod rx_buffers;

/// TCP.
mod tcp;

pub mod rss;

mod stack;
pub use stack::{Gathered, RxPart, Stack, WholePacket};
