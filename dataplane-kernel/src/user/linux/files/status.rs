use super::super::{Answer, Args, int};
use super::ask::Then;
use super::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW};
use crate::mem::UserVirt;
use crate::user::descriptors::Open;
use crate::user::loader::USER_ID;
use crate::user::process::Process;
use ix_abi::host::hostcall::{DATA_BYTES, FileStatus, Operation};
use syscalls::Errno;

/// The streams: a character device that is written a line at a time.
const CONSOLE: FileStatus = FileStatus {
    device: 0,
    inode: 0,
    mode: S_IFCHR | 0o620,
    links: 1,
    size: 0,
    block_bytes: 1024,
    blocks: 0,
    times: [[0; 2]; 3],
};

const S_IFCHR: u64 = 0o020_000;
const S_IFMT: u64 = 0o170_000;

/// Major and minor number of `/dev/console`.
const CONSOLE_DEVICE: [u64; 2] = [5, 1];

/// `stx_mask`: what `stat` would tell as well.
const STATX_BASIC_STATS: u64 = 0x7ff;

/// How ring 3 wants to be told.
#[derive(Clone, Copy, Debug)]
pub(in crate::user) enum Layout {
    Stat,
    Statx,
}

/// Of a path, what is asked about.
struct Place {
    directory: u64,
    path: u64,
    flags: i32,
}

impl Process {
    pub(super) fn fstat(&mut self, thread: usize, [fd, to, ..]: Args) -> Result<Answer, Errno> {
        self.descriptor_status(thread, fd, to, Layout::Stat)
    }

    /// `newfstatat`.
    pub(super) fn stat_at(&mut self, thread: usize, a: Args) -> Result<Answer, Errno> {
        let [directory, path, to, flags, ..] = a;
        let flags = int(flags);
        let place = Place {
            directory,
            path,
            flags,
        };
        self.status_at(thread, &place, to, Layout::Stat)
    }

    pub(super) fn statx(&mut self, thread: usize, a: Args) -> Result<Answer, Errno> {
        let [directory, path, flags, _wanted, to, _] = a;
        let flags = int(flags);
        let place = Place {
            directory,
            path,
            flags,
        };
        self.status_at(thread, &place, to, Layout::Statx)
    }

    fn status_at(&mut self, thread: usize, place: &Place, to: u64, layout: Layout) -> Result<Answer, Errno> {
        let path = if place.flags & AT_EMPTY_PATH != 0 && self.names_descriptor(place.path)? {
            if int(place.directory) != AT_FDCWD {
                return self.descriptor_status(thread, place.directory, to, layout);
            }
            self.current_directory()?
        } else {
            self.path_at(place.directory, place.path)?
        };
        let of_link = u64::from(place.flags & AT_SYMLINK_NOFOLLOW != 0);
        let arguments = [of_link, 0, 0, 0];
        let then = Then::Status { to, layout };
        Ok(self.ask(thread, Operation::PathStatus, arguments, path.bytes(), then))
    }

    /// With AT_EMPTY_PATH: no path at all, or an empty one.
    fn names_descriptor(&self, path: u64) -> Result<bool, Errno> {
        if path == 0 {
            return Ok(true);
        }
        let first: u8 = self.memory.read(UserVirt(path)).ok_or(Errno::EFAULT)?;
        Ok(first == 0)
    }

    fn descriptor_status(
        &mut self,
        thread: usize,
        fd: u64,
        to: u64,
        layout: Layout,
    ) -> Result<Answer, Errno> {
        match self.files.get(int(fd))? {
            Open::Input | Open::Output(_) => Ok(Answer::Return(self.write_status(to, layout, &CONSOLE))),
            Open::File(file) => {
                let arguments = [file.handle.into(), 0, 0, 0];
                let then = Then::Status { to, layout };
                Ok(self.ask(thread, Operation::Status, arguments, &[], then))
            }
        }
    }

    /// Writes a status the way ring 3 wants it.
    pub(super) fn write_status(
        &mut self,
        to: u64,
        layout: Layout,
        status: &FileStatus,
    ) -> Result<u64, Errno> {
        let written = match layout {
            Layout::Stat => self.memory.write(UserVirt(to), stat(status)),
            Layout::Statx => self.memory.write(UserVirt(to), statx(status)),
        };
        written.map(|()| 0).ok_or(Errno::EFAULT)
    }

    /// Entries of a directory, as the launcher's Linux writes them.
    pub(super) fn getdents64(&mut self, thread: usize, [fd, to, count, ..]: Args) -> Result<Answer, Errno> {
        let handle = self.files.file(int(fd), Errno::ENOTDIR)?.handle;
        let room = usize::try_from(count).map_or(DATA_BYTES, |count| count.min(DATA_BYTES));
        if !self.memory.is_writable(UserVirt(to), room as u64) {
            return Err(Errno::EFAULT);
        }
        let arguments = [handle.into(), room as u64, 0, 0];
        let then = Then::Bytes { to, room };
        Ok(self.ask(thread, Operation::ReadDirectory, arguments, &[], then))
    }
}

fn is_console(status: &FileStatus) -> bool {
    status.mode & S_IFMT == S_IFCHR
}

/// `struct stat` in words of 8 bytes; the fourth and fifth hold mode, user and group.
fn stat(status: &FileStatus) -> [u64; 18] {
    let [accessed, modified, changed] = status.times;
    let [major, minor] = CONSOLE_DEVICE;
    [
        status.device,
        status.inode,
        status.links,
        status.mode | USER_ID << 32,
        USER_ID,
        if is_console(status) { major << 8 | minor } else { 0 },
        status.size,
        status.block_bytes,
        status.blocks,
        accessed[0],
        accessed[1],
        modified[0],
        modified[1],
        changed[0],
        changed[1],
        0,
        0,
        0,
    ]
}

/// `struct statx` in words of 8 bytes. There is no time of birth, and there are no attributes.
fn statx(status: &FileStatus) -> [u64; 32] {
    let [accessed, modified, changed] = status.times;
    let mut words = [0; 32];
    words[0] = STATX_BASIC_STATS | status.block_bytes << 32;
    words[2] = status.links & u64::from(u32::MAX) | USER_ID << 32;
    words[3] = USER_ID | (status.mode & 0xffff) << 32;
    words[4] = status.inode;
    words[5] = status.size;
    words[6] = status.blocks;
    (words[8], words[9]) = (accessed[0], accessed[1]);
    (words[12], words[13]) = (changed[0], changed[1]);
    (words[14], words[15]) = (modified[0], modified[1]);
    if is_console(status) {
        words[16] = CONSOLE_DEVICE[0] | CONSOLE_DEVICE[1] << 32;
    }
    // Linux' dev_t: the lower part of the major number in bits 8 to 19, of the minor in 0 to 7; the rest of each above.
    let device = status.device;
    let major = device >> 8 & 0xfff | device >> 32 & 0xffff_f000;
    let minor = device & 0xff | device >> 12 & 0xffff_ff00;
    words[17] = major | minor << 32;
    words
}

#[cfg(test)]
mod tests {
    use super::{CONSOLE, FileStatus, stat, statx};

    const FILE: FileStatus = FileStatus {
        device: 0xfe << 8 | 3,
        inode: 77,
        mode: 0o100_644,
        links: 2,
        size: 1 << 40,
        block_bytes: 4096,
        blocks: 9,
        times: [[1, 2], [3, 4], [5, 6]],
    };

    fn bytes(words: &[u64]) -> std::vec::Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn half(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    /// Offsets are those of `<bits/struct_stat.h>`.
    #[test]
    fn fields_are_where_c_looks_for_them() {
        let bytes = bytes(&stat(&FILE));
        assert_eq!(bytes.len(), 144);
        assert_eq!((half(&bytes, 8), half(&bytes, 16)), (77, 2));
        assert_eq!([24, 28, 32].map(|at| half(&bytes, at)), [0o100_644, 1000, 1000]);
        assert_eq!((half(&bytes, 52), half(&bytes, 88)), (256, 3));
        assert_eq!(half(&self::bytes(&stat(&CONSOLE)), 40), 0x501);
    }

    /// Offsets are those of `<linux/stat.h>`.
    #[test]
    fn statx_says_the_same() {
        let bytes = bytes(&statx(&FILE));
        assert_eq!(bytes.len(), 256);
        assert_eq!(
            [0, 4, 16, 20, 24].map(|at| half(&bytes, at)),
            [0x7ff, 4096, 2, 1000, 1000]
        );
        assert_eq!(u16::from_le_bytes([bytes[28], bytes[29]]), 0o100_644);
        assert_eq!(
            [32, 44, 64, 96, 112].map(|at| half(&bytes, at)),
            [77, 256, 1, 5, 3]
        );
        assert_eq!((half(&bytes, 136), half(&bytes, 140)), (0xfe, 3));
    }
}
