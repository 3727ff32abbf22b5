//! What a ring-3 program links to: `run_io` made pleasant.
//!
//! Implement [`Handler`] and call `run`; the handler is told what happened (a peer knocks, bytes arrive, a timer goes
//! off) and says what to do through [`Io`]. Nothing blocks, and nothing is copied on the way:
//!
//! * [`RecvBuf`] is received data where the NIC put it. It returns itself when dropped, and until then holds that much
//!   of its sender's TCP window.
//! * [`SendBuf`] is data given away to be sent: a `Vec<u8>`, a `&'static [u8]`, a `RecvBuf`, ... It is held until the
//!   peer has acknowledged it, then dropped.
//!
//! ```no_run
//! use libix::{Error, Flow, Handler, Io, RecvBuf};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
//!         io.listen(7)?;
//!         Ok(())
//!     }
//!
//!     fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
//!         // Fails only if the flow is closed, and then nobody waits for the echo.
//!         let _ = io.send(flow, data);
//!     }
//! }
//!
//! fn main() -> Result<(), Error> {
//!     libix::run(&mut Echo)
//! }
//! ```
//!
//! Started without `ix`, the same program runs over Linux sockets (`hosted`).
//!
//! One turn of the loop: `event_loop` submits the batch and reads the events, the handler's calls go through
//! [`Io`], which keeps per-flow state in a slab (the ABI's cookie is the slot and its generation, so no lookup but an
//! index) and adds commands to the batch; `trap` is the `syscall` instruction.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "the syscall instruction")]
mod trap;

#[allow(unsafe_code, reason = "memory shared with the kernel")]
mod arrays;

#[allow(unsafe_code, reason = "memory shared with what plays the kernel's part")]
mod stand_in;

mod hosted;

#[allow(unsafe_code, reason = "memory is lent by address")]
pub mod raw;

mod batch;

mod event_loop;
pub use event_loop::{EventLoop, run};

mod cores;
pub use cores::{cores, run_on};

mod waker;
pub use waker::Waker;

mod handler;
pub use handler::{Answer, Handler, Knock};

mod io;
pub use io::Io;

mod link;
pub use link::Link;

pub mod task;

pub mod dns;

pub mod rpc;

#[cfg(feature = "testing")]
pub mod testing;

mod flow;

mod flow_map;
pub use flow_map::FlowMap;

mod recv_buf;
pub use recv_buf::RecvBuf;

mod frame;
pub use frame::{Frame, FramePort};

mod send_buf;
pub use send_buf::SendBuf;

mod send_queue;

mod slab;

mod handles;
pub use handles::{Datagram, Flow, Listener, Timer, UdpPort};

mod error;
pub use error::Error;
pub use ix_abi::app::{CongestionControl, FrameMode, Status};

#[cfg(test)]
#[allow(unsafe_code, reason = "it plays the kernel's part of the shared memory")]
mod fake_kernel;

#[cfg(test)]
mod loop_tests;
