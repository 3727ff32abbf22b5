use super::files::Files;
use super::handles::Opened;
use super::place::{Inside, Place};
use ix_abi::host::hostcall::DIRECTORY;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use std::fs::File;
use std::os::fd::AsFd;

/// Flags that mean something for the files that can be opened here. Others are dropped, but for those in [`REFUSED`].
const HEEDED: OFlag = OFlag::O_ACCMODE
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_TRUNC)
    .union(OFlag::O_APPEND)
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_DSYNC)
    .union(OFlag::O_SYNC);

/// Flags without which the program would not get what it expects.
const REFUSED: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECT);

/// Of a mode, what a file of the guest's may have: no file of its making runs as somebody else on the host.
pub(super) const PERMISSIONS: u32 = 0o777;

/// Only the permissions of a mode.
pub(super) fn permissions(mode: u64) -> Mode {
    Mode::from_bits_truncate(u32::try_from(mode & u64::from(PERMISSIONS)).unwrap_or_default())
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Regular,
    Directory,
    Link,
}

/// Pipes, sockets and devices of the host are refused: EACCES.
fn sort(file: impl AsFd) -> Result<Sort, Errno> {
    match SFlag::from_bits_truncate(fstat(file)?.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFREG => Ok(Sort::Regular),
        SFlag::S_IFDIR => Ok(Sort::Directory),
        SFlag::S_IFLNK => Ok(Sort::Link),
        _ => Err(Errno::EACCES),
    }
}

impl Files {
    /// [`Operation::Open`](ix_abi::host::hostcall::Operation::Open).
    pub(super) fn open(&mut self, path: &[u8], flags: u64, mode: u64) -> Result<u64, Errno> {
        let flags = i32::try_from(flags).map_err(|_| Errno::EINVAL)?;
        let flags = OFlag::from_bits_retain(flags);
        if flags.intersects(REFUSED) {
            return Err(Errno::EINVAL);
        }
        // It shares a bit with O_DIRECTORY.
        if flags.contains(OFlag::O_TMPFILE) {
            return Err(Errno::EOPNOTSUPP);
        }
        let flags = flags & HEEDED;
        let (opened, directory) = match self.volumes.find(path)? {
            Place::Inside(inside) => open_inside(&inside, flags, permissions(mode))?,
            Place::Above(_) if writes(flags) => return Err(Errno::EISDIR),
            Place::Above(names) => {
                let names = names.into_iter().collect();
                (Opened::Above { names, next: 0 }, DIRECTORY)
            }
        };
        Ok(u64::from(self.handles.add(opened)?) | directory)
    }
}

fn writes(flags: OFlag) -> bool {
    flags & OFlag::O_ACCMODE != OFlag::O_RDONLY || flags.intersects(OFlag::O_CREAT | OFlag::O_TRUNC)
}

fn open_inside(inside: &Inside<'_>, flags: OFlag, mode: Mode) -> Result<(Opened, u64), Errno> {
    if writes(flags) {
        inside.volume.check_writable()?;
    }
    let creates = flags.contains(OFlag::O_CREAT);
    if creates && inside.must_be_directory {
        return Err(Errno::EISDIR);
    }
    // Looked at before it is opened, because to open a device or a pipe may already do something.
    match inside.look(flags & OFlag::O_NOFOLLOW) {
        Ok(found) => drop(sort(found)?),
        Err(Errno::ENOENT) if creates => {}
        Err(errno) => return Err(errno),
    }
    let mode = if creates { mode } else { Mode::empty() };
    let directory = if inside.must_be_directory {
        OFlag::O_DIRECTORY
    } else {
        OFlag::empty()
    };
    // Should it be another file by now, then at least without waiting for anything, and looked at again.
    let flags = flags | directory | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = inside.volume.open(&inside.path, flags, mode)?;
    let directory = match sort(&file)? {
        Sort::Directory => DIRECTORY,
        Sort::Regular | Sort::Link => 0,
    };
    let opened = Opened::File {
        file: File::from(file),
        access: inside.volume.access,
    };
    Ok((opened, directory))
}
