use super::handles::{Handles, Opened};
use super::open::permissions;
use super::place::{Inside, Place};
use super::volumes::Volumes;
use crate::config::Access;
use crate::sys::read_directory;
use ix_abi::host::hostcall::{DATA_BYTES, FileStatus, HERE, Operation, Request};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, readlinkat, renameat2};
use nix::sys::stat::{FileStat, SFlag, fchmod, fstat, mkdirat};
use nix::unistd::{
    AccessFlags, UnlinkatFlags, Whence, faccessat, fdatasync, fsync, ftruncate, lseek, unlinkat,
};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// Size of a directory above volumes, as told.
const BLOCK_BYTES: u64 = 4096;

/// Fixed part of a `struct linux_dirent64`: inode, offset, length, type.
const DIRENT_BYTES: usize = 19;

const DT_DIR: u8 = 4;

/// Answers calls on files.
#[derive(Debug)]
pub struct Files {
    pub(super) volumes: Volumes,
    pub(super) handles: Handles,
}

/// Bytes of an answer, besides its value.
type Data = Vec<u8>;

impl Files {
    /// With nothing open.
    #[must_use]
    pub fn new(volumes: Volumes) -> Self {
        Self {
            volumes,
            handles: Handles::new(),
        }
    }

    /// Answers `request`, whose data are `data`. What the answer's data are is left in `data`.
    pub(super) fn answer(&mut self, request: &Request, data: &mut Data) -> Result<u64, Errno> {
        let given = std::mem::take(data);
        let [first, second, third, _] = request.arguments;
        let done = |()| 0;
        match request.operation.ok_or(Errno::ENOSYS)? {
            Operation::Open => self.open(&given, first, second),
            Operation::Close => self.handles.close(first).map(done),
            Operation::Read => self.read(first, second, third, data),
            Operation::Write => self.write(first, second, &given),
            Operation::Seek => self.seek(first, second, third),
            Operation::Status => self.status(first, data),
            Operation::PathStatus => self.path_status(&given, first, data),
            Operation::ReadDirectory => self.read_directory(first, second, data),
            Operation::Truncate => self.truncate(first, second).map(done),
            Operation::Sync => self.sync(first, second).map(done),
            Operation::SetMode => self.set_mode(first, second).map(done),
            Operation::SetPathMode => self.set_path_mode(&given, first).map(done),
            Operation::MakeDirectory => self.make_directory(&given, first).map(done),
            Operation::Remove => self.remove(&given, first).map(done),
            Operation::Rename => self.rename(&given, first, second).map(done),
            Operation::ReadLink => self.read_link(&given, data),
            Operation::Access => self.access(&given, first).map(done),
            Operation::InputRead | Operation::InputReady => Err(Errno::ENOSYS),
        }
    }

    fn read(&mut self, handle: u64, count: u64, offset: u64, data: &mut Data) -> Result<u64, Errno> {
        let (mut file, _) = self.handles.file(handle, Errno::EISDIR)?;
        data.resize(room(count), 0);
        let count = retried(|| match offset {
            HERE => file.read(data),
            offset => file.read_at(data, offset),
        })?;
        data.truncate(count);
        Ok(count as u64)
    }

    fn write(&mut self, handle: u64, offset: u64, data: &[u8]) -> Result<u64, Errno> {
        let (mut file, _) = self.handles.file(handle, Errno::EBADF)?;
        let count = retried(|| match offset {
            HERE => file.write(data),
            offset => file.write_at(data, offset),
        })?;
        Ok(count as u64)
    }

    fn seek(&mut self, handle: u64, offset: u64, whence: u64) -> Result<u64, Errno> {
        let whence = match whence {
            0 => Whence::SeekSet,
            1 => Whence::SeekCur,
            2 => Whence::SeekEnd,
            3 => Whence::SeekData,
            4 => Whence::SeekHole,
            _ => return Err(Errno::EINVAL),
        };
        match self.handles.get(handle)? {
            Opened::File { file, .. } => lseek(file, offset.cast_signed(), whence).map(i64::cast_unsigned),
            Opened::Above { next, .. } if offset == 0 && matches!(whence, Whence::SeekSet) => {
                *next = 0;
                Ok(0)
            }
            Opened::Above { .. } => Err(Errno::EINVAL),
        }
    }

    fn status(&mut self, handle: u64, data: &mut Data) -> Result<u64, Errno> {
        let status = match self.handles.get(handle)? {
            Opened::File { file, .. } => told(&fstat(file)?),
            Opened::Above { names, .. } => above(names.len()),
        };
        data.extend(status.to_bytes());
        Ok(0)
    }

    fn path_status(&mut self, path: &[u8], of_link: u64, data: &mut Data) -> Result<u64, Errno> {
        let status = match self.volumes.find(path)? {
            Place::Inside(inside) => {
                let flags = if of_link == 0 {
                    OFlag::empty()
                } else {
                    OFlag::O_NOFOLLOW
                };
                told(&fstat(inside.look(flags)?)?)
            }
            Place::Above(names) => above(names.len()),
        };
        data.extend(status.to_bytes());
        Ok(0)
    }

    fn read_directory(&mut self, handle: u64, count: u64, data: &mut Data) -> Result<u64, Errno> {
        match self.handles.get(handle)? {
            Opened::File { file, .. } => {
                data.resize(room(count), 0);
                let count = retried(|| read_directory(&*file, data))?;
                data.truncate(count);
            }
            Opened::Above { names, next } => {
                while let Some(name) = names.get(*next) {
                    let entry = dirent(name, *next as u64 + 1);
                    if data.len() + entry.len() > room(count) {
                        break;
                    }
                    data.extend(entry);
                    *next += 1;
                }
                if data.is_empty() && *next < names.len() {
                    return Err(Errno::EINVAL);
                }
            }
        }
        Ok(data.len() as u64)
    }

    fn truncate(&mut self, handle: u64, size: u64) -> Result<(), Errno> {
        let (file, _) = self.handles.file(handle, Errno::EINVAL)?;
        ftruncate(file, i64::try_from(size).map_err(|_| Errno::EINVAL)?)
    }

    fn sync(&mut self, handle: u64, data_only: u64) -> Result<(), Errno> {
        let (file, _) = self.handles.file(handle, Errno::EINVAL)?;
        if data_only == 0 {
            fsync(file)
        } else {
            fdatasync(file)
        }
    }

    fn set_mode(&mut self, handle: u64, mode: u64) -> Result<(), Errno> {
        match self.handles.file(handle, Errno::EROFS)? {
            (_, Access::ReadOnly) => Err(Errno::EROFS),
            (file, Access::ReadWrite) => fchmod(file, permissions(mode)),
        }
    }

    /// By way of an open file, because Linux has no call that changes what has only been looked at.
    fn set_path_mode(&mut self, path: &[u8], mode: u64) -> Result<(), Errno> {
        self.volumes.find_changeable(path)?;
        let handle = self.open(path, 0, 0)? & u64::from(u32::MAX);
        let result = self.set_mode(handle, mode);
        self.handles.close(handle)?;
        result
    }

    fn make_directory(&mut self, path: &[u8], mode: u64) -> Result<(), Errno> {
        if let Place::Above(_) = self.volumes.find(path)? {
            return Err(Errno::EEXIST);
        }
        let inside = self.volumes.find_changeable(path)?;
        if inside.path.as_os_str().is_empty() {
            return Err(Errno::EEXIST);
        }
        let (parent, name) = inside.parent()?;
        mkdirat(parent, name, permissions(mode))
    }

    fn remove(&mut self, path: &[u8], directory: u64) -> Result<(), Errno> {
        let inside = self.volumes.find_changeable(path)?;
        let (parent, name) = inside.parent()?;
        match directory {
            0 if inside.must_be_directory => Err(Errno::ENOTDIR),
            0 => unlinkat(parent, name, UnlinkatFlags::NoRemoveDir),
            _ => unlinkat(parent, name, UnlinkatFlags::RemoveDir),
        }
    }

    fn rename(&mut self, paths: &[u8], first: u64, keep: u64) -> Result<(), Errno> {
        let first = usize::try_from(first).map_err(|_| Errno::EINVAL)?;
        let (from, to) = paths.split_at_checked(first).ok_or(Errno::EINVAL)?;
        let (from, to) = (
            self.volumes.find_changeable(from)?,
            self.volumes.find_changeable(to)?,
        );
        if !std::ptr::eq(from.volume, to.volume) {
            return Err(Errno::EXDEV);
        }
        if from.must_be_directory || to.must_be_directory {
            let from = Inside {
                must_be_directory: true,
                path: from.path.clone(),
                ..from
            };
            from.look(OFlag::O_NOFOLLOW)?;
        }
        let ((from_parent, from_name), (to_parent, to_name)) = (from.parent()?, to.parent()?);
        let flags = if keep == 0 {
            RenameFlags::empty()
        } else {
            RenameFlags::RENAME_NOREPLACE
        };
        renameat2(from_parent, from_name, to_parent, to_name, flags)
    }

    fn read_link(&mut self, path: &[u8], data: &mut Data) -> Result<u64, Errno> {
        let Place::Inside(inside) = self.volumes.find(path)? else {
            return Err(Errno::EINVAL);
        };
        let link = inside.look(OFlag::O_NOFOLLOW)?;
        if fstat(&link)?.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
            return Err(Errno::EINVAL);
        }
        data.extend(readlinkat(link, "")?.as_bytes());
        data.truncate(DATA_BYTES);
        Ok(data.len() as u64)
    }

    fn access(&mut self, path: &[u8], mode: u64) -> Result<(), Errno> {
        let mode = i32::try_from(mode)
            .ok()
            .and_then(AccessFlags::from_bits)
            .ok_or(Errno::EINVAL)?;
        let writes = mode.contains(AccessFlags::W_OK);
        match self.volumes.find(path)? {
            Place::Inside(inside) => {
                let found = inside.look(OFlag::empty())?;
                if writes {
                    inside.volume.check_writable()?;
                }
                faccessat(found, "", mode, AtFlags::AT_EMPTY_PATH | AtFlags::AT_EACCESS)
            }
            Place::Above(_) if writes => Err(Errno::EROFS),
            Place::Above(_) => Ok(()),
        }
    }
}

/// Bytes to move at most.
fn room(count: u64) -> usize {
    usize::try_from(count).map_or(DATA_BYTES, |count| count.min(DATA_BYTES))
}

/// Again, as long as it is only interrupted.
fn retried(mut call: impl FnMut() -> io::Result<usize>) -> Result<usize, Errno> {
    loop {
        match call() {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(errno(&error)),
        }
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What the guest is told of a file.
fn told(stat: &FileStat) -> FileStatus {
    let time = |s: i64, ns: i64| [s.cast_unsigned(), ns.cast_unsigned()];
    FileStatus {
        device: stat.st_dev,
        inode: stat.st_ino,
        mode: stat.st_mode.into(),
        links: stat.st_nlink,
        size: stat.st_size.cast_unsigned(),
        block_bytes: stat.st_blksize.cast_unsigned(),
        blocks: stat.st_blocks.cast_unsigned(),
        times: [
            time(stat.st_atime, stat.st_atime_nsec),
            time(stat.st_mtime, stat.st_mtime_nsec),
            time(stat.st_ctime, stat.st_ctime_nsec),
        ],
    }
}

/// What it is told of a directory above volumes, of which there are few.
fn above(names: usize) -> FileStatus {
    FileStatus {
        inode: 1,
        mode: u64::from(SFlag::S_IFDIR.bits() | 0o555),
        links: names as u64 + 2,
        size: BLOCK_BYTES,
        block_bytes: BLOCK_BYTES,
        ..FileStatus::default()
    }
}

/// A `struct linux_dirent64` for a directory.
fn dirent(name: &[u8], next: u64) -> Vec<u8> {
    let len = (DIRENT_BYTES + name.len() + 1).next_multiple_of(8);
    let mut entry = Vec::with_capacity(len);
    entry.extend(next.to_le_bytes());
    entry.extend(next.to_le_bytes());
    entry.extend(u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes());
    entry.push(DT_DIR);
    entry.extend(name);
    entry.resize(len, 0);
    entry
}
