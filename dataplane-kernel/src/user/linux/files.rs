use super::time::sleep;
use super::{Answer, Args, int};
use crate::arch::tsc;
use crate::host;
use crate::mem::UserVirt;
use crate::user::process::Process;
use core::mem::MaybeUninit;
use ix_abi::host::Stream;
use syscalls::{Errno, Sysno};

/// Longest path, with its zero.
const PATH_BYTES: usize = 4096;

/// Most pieces of a `writev`.
const IOV_MAX: u64 = 1024;

/// Most descriptors of a `poll`; a program has three.
const POLL_MAX: u64 = 64;

/// App output is copied out in pieces of this size.
const PIECE_BYTES: usize = 512;

/// Time between two tries of a write for which the launcher has no room.
const FULL_CONSOLE_NS: u64 = 200_000;

const F_DUPFD: i32 = 0;
const F_GETFD: i32 = 1;
const F_SETFD: i32 = 2;
const F_GETFL: i32 = 3;
const F_SETFL: i32 = 4;

const POLLIN: u16 = 1;
const POLLOUT: u16 = 4;
const POLLNVAL: u16 = 0x20;

/// `struct stat` of the console: a character device that is written a line at a time. Words of 8 bytes: `st_nlink` is the
/// third, `st_mode` the low half of the fourth, `st_rdev` the sixth, `st_blksize` the eighth of 18.
const CONSOLE_STAT: [u64; 18] = {
    let mut stat = [0; 18];
    stat[2] = 1;
    stat[3] = 0o020_620;
    stat[5] = 5 << 8 | 1;
    stat[7] = 1024;
    stat
};

/// The descriptors there are.
fn descriptor(fd: u64) -> Result<i32, Errno> {
    Some(int(fd))
        .filter(|fd| (0..=2).contains(fd))
        .ok_or(Errno::EBADF)
}

fn output(fd: u64) -> Result<Stream, Errno> {
    match int(fd) {
        1 => Ok(Stream::Stdout),
        2 => Ok(Stream::Stderr),
        _ => Err(Errno::EBADF),
    }
}

impl Process {
    pub(super) fn dispatch_files(&mut self, call: Sysno, a: Args) -> Option<Result<u64, Errno>> {
        Some(match call {
            Sysno::read | Sysno::readv => read(a),
            Sysno::close => descriptor(a[0]).map(|_| 0),
            Sysno::fstat => descriptor(a[0]).and_then(|_| self.write_console_stat(a[1])),
            Sysno::newfstatat => self.newfstatat(a),
            Sysno::ioctl => descriptor(a[0]).and(Err(Errno::ENOTTY)),
            Sysno::lseek => descriptor(a[0]).and(Err(Errno::ESPIPE)),
            Sysno::fcntl => fcntl(a),
            Sysno::getcwd => self.getcwd(a),
            Sysno::open
            | Sysno::stat
            | Sysno::lstat
            | Sysno::access
            | Sysno::readlink
            | Sysno::unlink
            | Sysno::mkdir
            | Sysno::rmdir
            | Sysno::chdir => self.no_such_file(a[0]),
            Sysno::openat
            | Sysno::openat2
            | Sysno::faccessat
            | Sysno::faccessat2
            | Sysno::readlinkat
            | Sysno::unlinkat
            | Sysno::mkdirat => self.no_such_file(a[1]),
            Sysno::statx => match self.no_such_file(a[1]) {
                // Of a descriptor: `std` asks `fstat` then.
                Err(Errno::EBADF) => Err(Errno::ENOSYS),
                other => other,
            },
            _ => return None,
        })
    }

    /// `write` and `writev`. While the launcher has room for nothing, because nobody reads what it has, the thread waits
    /// and the network goes on; as soon as there is room for a part, the part is written.
    pub(super) fn write_call(&mut self, call: Sysno, a: Args) -> Answer {
        let written = match call {
            Sysno::write => self.write(a),
            _ => self.writev(a),
        };
        match written {
            Err(Errno::EAGAIN) => Answer::Repeat {
                at_ns: tsc::now_ns().saturating_add(FULL_CONSOLE_NS),
            },
            other => Answer::Return(other),
        }
    }

    fn write(&self, [fd, from, len, ..]: Args) -> Result<u64, Errno> {
        let stream = output(fd)?;
        self.write_out(stream, from, len)
    }

    /// The pieces are read as they are written, so what another thread changes meanwhile may show, as in Linux.
    fn writev(&self, [fd, pieces, count, ..]: Args) -> Result<u64, Errno> {
        let stream = output(fd)?;
        if count > IOV_MAX {
            return Err(Errno::EINVAL);
        }
        let mut total: u64 = 0;
        for piece in 0..count {
            let address = pieces.wrapping_add(piece * 16);
            let Some([from, len]) = self.memory.read::<[u64; 2]>(UserVirt(address)) else {
                return if total == 0 { Err(Errno::EFAULT) } else { Ok(total) };
            };
            match self.write_out(stream, from, len) {
                Ok(bytes) => {
                    total = total.saturating_add(bytes);
                    if bytes < len {
                        break;
                    }
                }
                Err(errno) if total == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(total)
    }

    /// How many bytes the launcher had room for, from the front; EAGAIN if it had none.
    fn write_out(&self, stream: Stream, from: u64, len: u64) -> Result<u64, Errno> {
        if len == 0 {
            return Ok(0);
        }
        self.memory.translate(UserVirt(from), len).ok_or(Errno::EFAULT)?;
        let mut piece = [0; PIECE_BYTES];
        let mut done = 0;
        while done < len {
            let count = usize::try_from(len - done).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let bytes = piece.get_mut(..count).ok_or(Errno::EFAULT)?;
            self.memory
                .copy_in(UserVirt(from + done), bytes)
                .ok_or(Errno::EFAULT)?;
            let taken = host::console_write(stream, bytes);
            done += taken as u64;
            if taken < count {
                break;
            }
        }
        if done == 0 { Err(Errno::EAGAIN) } else { Ok(done) }
    }

    fn write_console_stat(&mut self, to: u64) -> Result<u64, Errno> {
        self.memory
            .write(UserVirt(to), CONSOLE_STAT)
            .ok_or(Errno::EFAULT)?;
        Ok(0)
    }

    /// With an empty path, of the descriptor.
    fn newfstatat(&mut self, [fd, path, to, ..]: Args) -> Result<u64, Errno> {
        match self.no_such_file(path) {
            Err(Errno::EBADF) => {
                descriptor(fd)?;
                self.write_console_stat(to)
            }
            other => other,
        }
    }

    /// There are no files: ENOENT, if the path can be read. EBADF: the path is empty.
    fn no_such_file(&self, path: u64) -> Result<u64, Errno> {
        let mut buffer = MaybeUninit::uninit();
        let path = self
            .memory
            .read_string::<PATH_BYTES>(UserVirt(path), &mut buffer)
            .ok_or(Errno::EFAULT)?;
        Err(if path.is_empty() {
            Errno::EBADF
        } else {
            Errno::ENOENT
        })
    }

    fn getcwd(&mut self, [to, size, ..]: Args) -> Result<u64, Errno> {
        if size < 2 {
            return Err(Errno::ERANGE);
        }
        self.memory.copy_out(UserVirt(to), b"/\0").ok_or(Errno::EFAULT)?;
        Ok(2)
    }

    /// Input is at its end, which is readable; output is always possible. With none of the wanted, it is a sleep.
    pub(super) fn poll(&mut self, [list, count, timeout_ms, ..]: Args) -> Answer {
        let ready = match self.poll_ready(list, count) {
            Ok(ready) => ready,
            Err(errno) => return Answer::Return(Err(errno)),
        };
        match u64::try_from(int(timeout_ms)) {
            Ok(timeout_ms) if ready == 0 && timeout_ms > 0 => {
                sleep(Ok(tsc::now_ns().saturating_add(timeout_ms * 1_000_000)))
            }
            Err(_) if ready == 0 => sleep(Ok(u64::MAX)),
            _ => Answer::Return(Ok(ready)),
        }
    }

    /// Writes `revents` of each `struct pollfd`; how many are not 0.
    fn poll_ready(&mut self, list: u64, count: u64) -> Result<u64, Errno> {
        if count > POLL_MAX {
            return Err(Errno::EINVAL);
        }
        let mut ready = 0;
        for index in 0..count {
            let at = list.wrapping_add(index * 8);
            let fd: i32 = self.memory.read(UserVirt(at)).ok_or(Errno::EFAULT)?;
            let wanted: u16 = self
                .memory
                .read(UserVirt(at.wrapping_add(4)))
                .ok_or(Errno::EFAULT)?;
            let found = match fd {
                0 => wanted & POLLIN,
                1 | 2 => wanted & POLLOUT,
                ..0 => 0,
                _ => POLLNVAL,
            };
            self.memory
                .write(UserVirt(at.wrapping_add(6)), found)
                .ok_or(Errno::EFAULT)?;
            ready += u64::from(found != 0);
        }
        Ok(ready)
    }
}

/// Standard input is at its end.
fn read([fd, ..]: Args) -> Result<u64, Errno> {
    if int(fd) == 0 { Ok(0) } else { Err(Errno::EBADF) }
}

fn fcntl([fd, command, ..]: Args) -> Result<u64, Errno> {
    let fd = descriptor(fd)?;
    match int(command) {
        F_GETFD | F_SETFD | F_SETFL => Ok(0),
        // O_RDONLY and O_WRONLY.
        F_GETFL => Ok(u64::from(fd != 0)),
        F_DUPFD => Err(Errno::EMFILE),
        _ => Err(Errno::EINVAL),
    }
}
