//! Why there is no address.

use crate::Status;
use core::fmt;

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// What was given is no domain name: labels of 1 to 63 visible characters, at most 253 in all.
    NotAName,
    /// There is nobody to ask.
    NoServers,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// There is, but it has no address of the kind asked for.
    NoAddress,
    /// The servers could not, or would not, answer.
    ServerFailure,
    /// The answer is too long for a datagram.
    Truncated,
    /// No server has answered in time.
    TimedOut,
    /// There is no port to ask from, or what was done with the address has failed.
    Status(Status),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Error::NotAName => "not a domain name",
            Error::NoServers => "no name server is known",
            Error::NoSuchName => "no such name",
            Error::NoAddress => "the name has no address of this kind",
            Error::ServerFailure => "the name servers failed",
            Error::Truncated => "the answer is too long for a datagram",
            Error::TimedOut => "no name server answers",
            Error::Status(status) => return fmt::Display::fmt(status, f),
        };
        f.write_str(text)
    }
}

impl core::error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::Status(status)
    }
}
