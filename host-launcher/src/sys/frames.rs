use nix::errno::Errno;
use nix::libc::{c_int, c_void, iovec, readv, writev};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use vm_memory::VolatileSlice;

/// Most places a frame can lie in.
pub const MAX_PLACES: usize = 64;

/// Nowhere.
const EMPTY: iovec = iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// Reads one frame into the places, which have `room` bytes together. A frame that does not fit is lost, and its length
/// given as more than `room`.
///
/// # Errors
/// The descriptor's; also if there are more than [`MAX_PLACES`].
pub fn read_frame(from: BorrowedFd<'_>, places: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
    let (mut vectors, count) = describe(places)?;
    // A byte more than the places have, to see whether the frame would have gone on.
    let mut excess = 0_u8;
    vectors[count] = iovec {
        iov_base: (&raw mut excess).cast::<c_void>(),
        iov_len: 1,
    };
    let count = c_int::try_from(count + 1).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the vectors describe `excess` and guest memory that is mapped as long as `places` borrows it. Of guest
    // memory there are no references, only volatile slices, so the kernel may write to it as the guest may.
    let len = unsafe { readv(from.as_raw_fd(), vectors.as_ptr(), count) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    debug_assert!(len <= room + 1, "readv fills what it is given");
    Ok(len)
}

/// Writes one frame from the places.
///
/// # Errors
/// The descriptor's; also if there are more than [`MAX_PLACES`].
pub fn write_frame(to: BorrowedFd<'_>, places: &[VolatileSlice<'_>]) -> io::Result<()> {
    let (vectors, count) = describe(places)?;
    let count = c_int::try_from(count).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the vectors describe guest memory that is mapped as long as `places` borrows it, and is only read.
    let len = unsafe { writev(to.as_raw_fd(), vectors.as_ptr(), count) };
    if len < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The places as the kernel wants them, with room for one more.
fn describe(places: &[VolatileSlice<'_>]) -> io::Result<([iovec; MAX_PLACES + 1], usize)> {
    let mut vectors = [EMPTY; MAX_PLACES + 1];
    if places.len() > MAX_PLACES {
        return Err(Errno::E2BIG.into());
    }
    for (vector, place) in vectors.iter_mut().zip(places) {
        // The pointer outlives its guard: memory is mapped for good, a guard only matters under Xen.
        *vector = iovec {
            iov_base: place.ptr_guard_mut().as_ptr().cast::<c_void>(),
            iov_len: place.len(),
        };
    }
    Ok((vectors, places.len()))
}

#[cfg(test)]
mod tests {
    use super::{read_frame, write_frame};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

    #[test]
    fn a_frame_goes_from_places_to_places() {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        let place = |at, len| memory.get_slice(GuestAddress(at), len).unwrap();
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        memory.write_slice(b"head", GuestAddress(0)).unwrap();
        memory.write_slice(b"body", GuestAddress(0x800)).unwrap();
        write_frame(ours.as_fd(), &[place(0, 4), place(0x800, 4)]).unwrap();
        let len = read_frame(theirs.as_fd(), &[place(0x100, 3), place(0x200, 13)], 16).unwrap();
        assert_eq!(len, 8);
        let mut read = [0; 8];
        memory.read_slice(&mut read[..3], GuestAddress(0x100)).unwrap();
        memory.read_slice(&mut read[3..], GuestAddress(0x200)).unwrap();
        assert_eq!(&read, b"headbody");
    }

    #[test]
    fn a_frame_that_is_too_long_is_told_from_one_that_fits() {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        let place = memory.get_slice(GuestAddress(0), 4).unwrap();
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        for (sent, len) in [("four", 4), ("five5", 5), ("far too much", 5), ("two", 3)] {
            ours.send(sent.as_bytes()).unwrap();
            assert_eq!(read_frame(theirs.as_fd(), &[place], 4).unwrap(), len, "{sent}");
        }
        theirs.set_nonblocking(true).unwrap();
        let nothing = read_frame(theirs.as_fd(), &[place], 4).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn more_places_than_can_be_described_are_an_error() {
        let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        let places = [memory.get_slice(GuestAddress(0), 1).unwrap(); super::MAX_PLACES + 1];
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        assert!(write_frame(ours.as_fd(), &places).is_err());
        assert!(read_frame(ours.as_fd(), &places, 65).is_err());
    }
}
