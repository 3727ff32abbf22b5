//! Files: the standard streams, and what the launcher grants. Output goes through the console ring; all else is asked of
//! the launcher, and the thread that asks waits while the network and other threads go on.

/// Asking, and what is done with the answers.
mod ask;
pub(in crate::user) use ask::Then;

/// Paths.
mod path;

/// Opening and closing, and what descriptors are.
mod descriptor;

/// Reading and writing.
mod transfer;

/// Output.
mod console;

/// What is told of a file.
mod status;

/// Changing the tree.
mod tree;

/// Waiting for input.
mod poll;

use super::{Answer, Args, int};
use crate::user::process::Process;
use syscalls::{Errno, Sysno};

/// A descriptor in place of a path's first directory that means the current one.
const AT_FDCWD: i32 = -100;
const AT_SYMLINK_NOFOLLOW: i32 = 0x100;
const AT_REMOVEDIR: i32 = 0x200;
const AT_EMPTY_PATH: i32 = 0x1000;

/// [`AT_FDCWD`] as an argument.
const CURRENT: u64 = AT_FDCWD.cast_unsigned() as u64;

impl Process {
    /// Calls about files. Those that name their place only by path are those with a directory, from the current one.
    pub(super) fn dispatch_files(&mut self, number: usize, call: Sysno, a: Args) -> Option<Answer> {
        let [first, second, third, fourth, ..] = a;
        let answer = match call {
            Sysno::open => self.openat(number, [CURRENT, first, second, third, 0, 0]),
            Sysno::creat => self.openat(number, [CURRENT, first, descriptor::CREAT_FLAGS, second, 0, 0]),
            Sysno::openat => self.openat(number, a),
            Sysno::close => self.close(number, a),
            Sysno::read | Sysno::readv | Sysno::pread64 | Sysno::preadv => self.read_call(number, call, a),
            Sysno::write | Sysno::writev | Sysno::pwrite64 | Sysno::pwritev => {
                self.write_call(number, call, a)
            }
            Sysno::lseek => self.lseek(number, a),
            Sysno::fstat => self.fstat(number, a),
            Sysno::stat => self.stat_at(number, [CURRENT, first, second, 0, 0, 0]),
            Sysno::lstat => {
                let flags = AT_SYMLINK_NOFOLLOW as u64;
                self.stat_at(number, [CURRENT, first, second, flags, 0, 0])
            }
            Sysno::newfstatat => self.stat_at(number, a),
            Sysno::statx => self.statx(number, a),
            Sysno::getdents64 => self.getdents64(number, a),
            Sysno::poll => Ok(self.poll(number, a)),
            Sysno::mkdir => self.mkdirat(number, [CURRENT, first, second, 0, 0, 0]),
            Sysno::mkdirat => self.mkdirat(number, a),
            Sysno::unlink => self.unlinkat(number, [CURRENT, first, 0, 0, 0, 0]),
            Sysno::rmdir => self.unlinkat(number, [CURRENT, first, AT_REMOVEDIR as u64, 0, 0, 0]),
            Sysno::unlinkat => self.unlinkat(number, a),
            Sysno::rename => self.renameat2(number, [CURRENT, first, CURRENT, second, 0, 0]),
            Sysno::renameat => self.renameat2(number, [first, second, third, fourth, 0, 0]),
            Sysno::renameat2 => self.renameat2(number, a),
            Sysno::readlink => self.readlinkat(number, [CURRENT, first, second, third, 0, 0]),
            Sysno::readlinkat => self.readlinkat(number, a),
            Sysno::access => self.faccessat(number, [CURRENT, first, second, 0, 0, 0]),
            Sysno::faccessat | Sysno::faccessat2 => self.faccessat(number, a),
            Sysno::chmod => self.fchmodat(number, [CURRENT, first, second, 0, 0, 0]),
            Sysno::fchmodat => self.fchmodat(number, a),
            Sysno::fchmod => self.fchmod(number, a),
            Sysno::ftruncate => self.ftruncate(number, a),
            Sysno::fsync => self.sync(number, first, tree::Sync::All),
            Sysno::fdatasync => self.sync(number, first, tree::Sync::Data),
            Sysno::chdir => self.chdir(number, a),
            Sysno::dup2 => self.dup2(number, a),
            Sysno::dup3 => self.dup3(number, a),
            _ => self
                .dispatch_descriptors(call, a)?
                .map(|value| Answer::Return(Ok(value))),
        };
        Some(answer.unwrap_or_else(|errno| Answer::Return(Err(errno))))
    }

    /// Calls about files for which nobody is asked.
    fn dispatch_descriptors(&mut self, call: Sysno, a: Args) -> Option<Result<u64, Errno>> {
        let [first, second, ..] = a;
        Some(match call {
            Sysno::ioctl => self.files.get(int(first)).and(Err(Errno::ENOTTY)),
            Sysno::fcntl => self.fcntl(a),
            Sysno::dup => self.dup(first),
            Sysno::fchdir => self.fchdir(first),
            Sysno::getcwd => self.getcwd(a),
            Sysno::fadvise64 => self.files.get(int(first)).map(|_| 0),
            // Who follows them outside may be led elsewhere than the program can go.
            Sysno::symlink | Sysno::link => self.readable_path(first).and(Err(Errno::EPERM)),
            Sysno::symlinkat | Sysno::linkat => self.readable_path(second).and(Err(Errno::EPERM)),
            // Known, and done by reading and writing instead.
            Sysno::copy_file_range | Sysno::sendfile | Sysno::openat2 => Err(Errno::ENOSYS),
            _ => return None,
        })
    }
}
