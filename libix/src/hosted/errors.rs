//! Errors of Linux in the ABI's words.

use ix_abi::app::Status;
use std::io::Error;

pub(super) fn status(error: &Error) -> Status {
    let Some(number) = error.raw_os_error() else {
        return Status::Invalid;
    };
    match number {
        libc::EAGAIN | libc::ENOBUFS => Status::Again,
        libc::ENOMEM | libc::EMFILE | libc::ENFILE => Status::NoMemory,
        libc::EFAULT => Status::Fault,
        libc::EPIPE | libc::ENOTCONN => Status::Closed,
        libc::ECONNREFUSED => Status::ConnectionRefused,
        libc::ECONNRESET => Status::ConnectionReset,
        libc::ETIMEDOUT => Status::TimedOut,
        libc::EADDRINUSE => Status::AddressInUse,
        libc::EADDRNOTAVAIL | libc::EACCES => Status::AddressNotAvailable,
        libc::EHOSTUNREACH | libc::ENETUNREACH | libc::ENETDOWN | libc::ENODEV | libc::EPERM => {
            Status::Unreachable
        }
        libc::EMSGSIZE => Status::MessageTooLong,
        libc::EAFNOSUPPORT | libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::ENOENT => Status::NotSupported,
        libc::ECONNABORTED => Status::Aborted,
        _ => Status::Invalid,
    }
}
