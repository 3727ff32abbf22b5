//! The first level: the arrays and `run_io`, as the [ABI](abi) describes them, and nothing in between.
//!
//! ```
//! use libix::raw::Dataplane;
//! use libix::raw::abi::{Command, Endpoint, EventKind, Opcode, Status};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), libix::Error> {
//! let mut dataplane = Dataplane::new()?;
//! let here = "127.0.0.1:7102".parse::<std::net::SocketAddr>().unwrap();
//!
//! // A batch of one: bind a UDP port.
//! *dataplane.command(0) = Command {
//!     opcode: Opcode::UdpBind as u16,
//!     endpoint: Endpoint::from(here),
//!     ..Command::default()
//! };
//! // SAFETY: the command lends no memory.
//! unsafe { dataplane.submit(1)? };
//! Status::check(dataplane.command(0).result)?;
//! let port = dataplane.command(0).handle;
//!
//! // Another: a datagram to ourselves. It is held until `UdpSent`.
//! let message = *b"hello";
//! *dataplane.command(0) = Command {
//!     opcode: Opcode::UdpSend as u16,
//!     handle: port,
//!     cookie: 1,
//!     address: message.as_ptr() as u64,
//!     len: message.len() as u64,
//!     endpoint: Endpoint::from(here),
//!     ..Command::default()
//! };
//! let mut commands = 1;
//! let mut told = Vec::new();
//! while told.len() < 2 {
//!     // SAFETY: `message` lives and does not change until the end.
//!     let count = unsafe { dataplane.run_io(commands, Duration::from_secs(1))? };
//!     commands = 0;
//!     for place in 0..count {
//!         let event = *dataplane.event(place);
//!         told.push(EventKind::from_u16(event.kind));
//!         if event.kind == EventKind::UdpRecv as u16 {
//!             // SAFETY: it has not been given back.
//!             assert_eq!(unsafe { dataplane.received(&event) }, Some(&message[..]));
//!             *dataplane.command(0) = Command {
//!                 opcode: Opcode::UdpRecvDone as u16,
//!                 address: event.address,
//!                 ..Command::default()
//!             };
//!             commands = 1;
//!         }
//!     }
//! }
//! assert!(told.contains(&Some(EventKind::UdpSent)) && told.contains(&Some(EventKind::UdpRecv)));
//! # Ok(())
//! # }
//! ```

pub use ix_abi::app as abi;

use crate::Error;
use crate::arrays::{Arrays, Events};
use abi::{Command, Event, IoInfo, Status};
use core::time::Duration;

/// The command array and the event array of this thread's core.
pub struct Dataplane {
    arrays: Arrays,
    events: Events,
}

impl Dataplane {
    /// Makes the calling thread the dataplane thread of its core.
    ///
    /// # Errors
    /// As [`crate::EventLoop::new`], and a core has one or the other.
    pub fn new() -> Result<Self, Error> {
        let (arrays, events) = Arrays::set_up(0)?;
        Ok(Dataplane { arrays, events })
    }

    /// What was said at set-up: capacities, the receive window, our address.
    #[must_use]
    pub fn info(&self) -> &IoInfo {
        self.arrays.info()
    }

    /// The command at `place`, to fill in, or with its answer.
    ///
    /// # Panics
    /// Beyond the array's capacity.
    pub fn command(&mut self, place: usize) -> &mut Command {
        self.arrays.command(place)
    }

    /// Carries out the first `commands` commands. The event array stays as it is.
    ///
    /// # Errors
    /// If the batch as a whole is refused. Each command has its own result.
    ///
    /// # Safety
    /// Memory that the commands name is there, and stays there unchanged until the event that the [`abi::Opcode`] names.
    pub unsafe fn submit(&mut self, commands: usize) -> Result<(), Status> {
        self.arrays.submit(commands)
    }

    /// The same, and then waits, `wait` at most, until there are events; returns how many.
    ///
    /// # Errors
    /// As [`Dataplane::submit`].
    ///
    /// # Safety
    /// As [`Dataplane::submit`].
    pub unsafe fn run_io(&mut self, commands: usize, wait: Duration) -> Result<usize, Status> {
        let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.arrays.wait(commands, &mut self.events, wait_ns)
    }

    /// The event at `place`.
    ///
    /// # Panics
    /// Beyond the array's capacity.
    #[must_use]
    pub fn event(&self, place: usize) -> &Event {
        self.events.get(place)
    }

    /// The bytes that a `Recv` or a `UdpRecv` lends; `None` if it is no such event.
    ///
    /// # Safety
    /// The buffer has not been given back, and is not while the bytes are used.
    #[must_use]
    pub unsafe fn received(&self, event: &Event) -> Option<&[u8]> {
        let received = self.arrays.received(event.address, event.len)?;
        // SAFETY: the caller keeps the buffer for as long as the bytes are borrowed.
        Some(unsafe { received.bytes_for_long() })
    }
}
