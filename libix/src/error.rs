use core::fmt;
use ix_abi::app::Status;

/// Why the event loop could not start or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The program runs on plain Linux.
    NotUnderIxion,
    /// The kernel refused something; the status says why.
    Status(Status),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotUnderIxion => {
                f.write_str("this program needs the Ixion dataplane kernel; start it with `ix run PROGRAM`")
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
