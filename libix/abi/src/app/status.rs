use core::fmt;

/// Outcome of a command or the reason in an event; negated in `result` fields. The first eleven are IX's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs, reason = "message() says what each means")]
pub enum Status {
    NoMemory = 1,
    NoBuffers = 2,
    Invalid = 3,
    Again = 4,
    Fault = 5,
    NoSuchCall = 6,
    NotSupported = 7,
    BadHandle = 8,
    Closed = 9,
    ConnectionRefused = 10,
    ConnectionReset = 11,
    TimedOut = 12,
    AddressInUse = 13,
    AddressNotAvailable = 14,
    Unreachable = 15,
    MessageTooLong = 16,
    Busy = 17,
    Aborted = 18,
}

impl Status {
    /// All of them, in the order of their numbers.
    pub const ALL: [Status; 18] = [
        Status::NoMemory,
        Status::NoBuffers,
        Status::Invalid,
        Status::Again,
        Status::Fault,
        Status::NoSuchCall,
        Status::NotSupported,
        Status::BadHandle,
        Status::Closed,
        Status::ConnectionRefused,
        Status::ConnectionReset,
        Status::TimedOut,
        Status::AddressInUse,
        Status::AddressNotAvailable,
        Status::Unreachable,
        Status::MessageTooLong,
        Status::Busy,
        Status::Aborted,
    ];

    /// The status as it stands in a `result` field: below zero.
    #[inline]
    #[must_use]
    pub const fn negated(self) -> i32 {
        -(self as i32)
    }

    /// Splits a `result` field into a value (from 0 up) or a status. Numbers that are no status read as `Invalid`.
    ///
    /// # Errors
    /// The status, if `result` is below zero.
    #[inline]
    pub fn check(result: i32) -> Result<u32, Status> {
        match u32::try_from(result) {
            Ok(value) => Ok(value),
            Err(_) => {
                let index = usize::try_from(result.unsigned_abs() - 1).unwrap_or(usize::MAX);
                Err(Self::ALL.get(index).copied().unwrap_or(Status::Invalid))
            }
        }
    }

    /// One phrase for people.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Status::NoMemory => "a table of the kernel is full",
            Status::NoBuffers => "no packet buffer is free",
            Status::Invalid => "an argument makes no sense",
            Status::Again => "not now; try again after the next events",
            Status::Fault => "an address is not the app's memory",
            Status::NoSuchCall => "no such call",
            Status::NotSupported => "not supported",
            Status::BadHandle => "the handle names nothing of that kind (forged, or stale)",
            Status::Closed => "the connection is closed for this",
            Status::ConnectionRefused => "connection refused",
            Status::ConnectionReset => "connection reset by peer",
            Status::TimedOut => "timed out",
            Status::AddressInUse => "address already in use",
            Status::AddressNotAvailable => "not an address of this dataplane, or no free port",
            Status::Unreachable => "no route, or no answer to ARP",
            Status::MessageTooLong => "longer than a packet can be",
            Status::Busy => "taken by another thread",
            Status::Aborted => "aborted by this side",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for Status {}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn every_status_survives_the_result_field() {
        for (place, status) in (1..).zip(Status::ALL) {
            assert_eq!(status as i32, place);
            assert_eq!(Status::check(status.negated()), Err(status));
        }
        assert_eq!(Status::check(17), Ok(17));
        assert_eq!(Status::check(i32::MIN), Err(Status::Invalid));
        assert_eq!(Status::check(-19), Err(Status::Invalid));
    }
}
