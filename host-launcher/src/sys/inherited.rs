use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use std::collections::BTreeSet;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// A descriptor that this process was started with.
#[derive(Debug)]
pub struct Inherited(OwnedFd);

/// Numbers that have an owner.
static CLAIMED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

impl Inherited {
    /// Takes the descriptor `number`, which whoever started us left open for us; nobody who is started by us inherits it.
    /// Not for the standard streams, and not after this process has opened files of its own.
    ///
    /// # Errors
    /// If there is no such descriptor, or it has been taken before.
    pub fn claim(number: RawFd) -> Result<Self, Errno> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if number <= 2 || claimed.contains(&number) {
            return Err(Errno::EBADF);
        }
        // SAFETY: a number that is not open makes the call fail, and nothing else happens to it.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        claimed.insert(number);
        // SAFETY: it is open, it came from our parent, so nothing in this process owns it but by this function, which
        // gives out each number once.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// The descriptor.
    #[must_use]
    pub fn into_owned(self) -> OwnedFd {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Inherited;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_number_is_given_once_and_only_if_it_is_open() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let number = std::os::fd::OwnedFd::from(reader).into_raw_fd();
        let fd = Inherited::claim(number).unwrap();
        assert!(Inherited::claim(number).is_err());
        drop(fd.into_owned());
        for number in [-1, 0, 2, 1_000_000] {
            assert!(Inherited::claim(number).is_err(), "{number}");
        }
    }
}
