use nix::errno::Errno;
use nix::libc;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The next entries of a directory, as `struct linux_dirent64`s; how many bytes they take. 0: there are no more.
pub fn read_directory(directory: impl AsFd, room: &mut [u8]) -> io::Result<usize> {
    let fd = directory.as_fd().as_raw_fd();
    // SAFETY: Linux writes at most `room.len()` bytes to `room`, which is borrowed for that.
    let count = unsafe { libc::syscall(libc::SYS_getdents64, fd, room.as_mut_ptr(), room.len()) };
    let count = Errno::result(count)?;
    Ok(usize::try_from(count).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::read_directory;
    use std::fs::File;

    #[test]
    fn entries_come_until_there_are_no_more() {
        let directory = File::open(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut seen = Vec::new();
        let mut room = [0; 64];
        while let count @ 1.. = read_directory(&directory, &mut room).unwrap() {
            seen.extend_from_slice(&room[..count]);
        }
        assert!(seen.windows(11).any(|part| part == b"Cargo.toml\0"));
        assert!(read_directory(File::open("/dev/null").unwrap(), &mut room).is_err());
    }
}
