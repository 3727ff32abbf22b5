//! What the entries of `run_io`'s arrays mean: each command as a call of the stack ([`execute`]), each event of the stack as
//! the app finds it ([`write()`]). The kernel and the network in virtual time of `libix::testing` both stand on this, so an app
//! meets the same refusals in its tests as in service.

#![no_std]

mod command;
mod event;
mod links;
mod options;

pub use command::{App, Done, Request, execute};
pub use event::{mark, write};
pub use links::{Links, execute_among};

use ix_abi::app::{Handle, HandleKind, Status};
use netstack::{Error, Id};

fn handle(kind: HandleKind, id: Id) -> Handle {
    Handle::new(kind, id.index, id.generation)
}

/// The stack's errors in the ABI's numbers.
fn status(error: Error) -> Status {
    match error {
        Error::NoMemory => Status::NoMemory,
        Error::Invalid => Status::Invalid,
        Error::Again => Status::Again,
        Error::BadHandle => Status::BadHandle,
        Error::Closed => Status::Closed,
        Error::ConnectionRefused => Status::ConnectionRefused,
        Error::ConnectionReset => Status::ConnectionReset,
        Error::TimedOut => Status::TimedOut,
        Error::AddressInUse => Status::AddressInUse,
        Error::AddressNotAvailable => Status::AddressNotAvailable,
        Error::Unreachable => Status::Unreachable,
        Error::MessageTooLong => Status::MessageTooLong,
        Error::NotSupported => Status::NotSupported,
        Error::Aborted => Status::Aborted,
    }
}
