use core::fmt;
use ix_abi::app::Status;
use std::io;

/// Why the event loop could not start or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Linux refused what hosted mode cannot do without, for the reason in `errno`.
    Linux {
        /// Its number.
        errno: i32,
    },
    /// The kernel refused something; the status says why.
    Status(Status),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Linux { errno } => {
                write!(
                    f,
                    "Linux does not let this program serve: {}",
                    io::Error::from_raw_os_error(*errno)
                )
            }
            Error::Status(status) => fmt::Display::fmt(status, f),
        }
    }
}

impl core::error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::Status(status)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Linux {
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}
