use super::volumes::{OpenVolume, Volumes};
use ix_abi::host::hostcall::PATH_BYTES;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// Into a volume.
    Inside(Inside<'a>),
    /// To a directory that is there because volumes lie below it; these are the names in it.
    Above(BTreeSet<Vec<u8>>),
}

/// A place in a volume.
#[derive(Debug)]
pub(super) struct Inside<'a> {
    pub(super) volume: &'a OpenVolume,
    /// From the volume's root; empty: the root itself.
    pub(super) path: PathBuf,
    /// The path ended with a slash: it must lead to a directory.
    pub(super) must_be_directory: bool,
}

impl Volumes {
    /// Where `path` leads: into the volume with the longest prefix of it.
    pub(super) fn find(&self, path: &[u8]) -> Result<Place<'_>, Errno> {
        let names = names(path)?;
        let inside = self
            .list
            .iter()
            .filter(|volume| names.starts_with(&as_slices(&volume.guest)))
            .max_by_key(|volume| volume.guest.len());
        if let Some(volume) = inside {
            let rest = names.get(volume.guest.len()..).unwrap_or_default();
            return Ok(Place::Inside(Inside {
                volume,
                path: rest.iter().map(|name| OsStr::from_bytes(name)).collect(),
                must_be_directory: path.ends_with(b"/"),
            }));
        }
        let below = |volume: &OpenVolume| {
            let guest = as_slices(&volume.guest);
            let next = guest.strip_prefix(names.as_slice())?.first()?.to_vec();
            Some(next)
        };
        let below: BTreeSet<Vec<u8>> = self.list.iter().filter_map(below).collect();
        if below.is_empty() && !names.is_empty() {
            return Err(Errno::ENOENT);
        }
        Ok(Place::Above(below))
    }

    /// The same, for what changes the place itself: a volume, and what is above one, stays as it is.
    pub(super) fn find_changeable(&self, path: &[u8]) -> Result<Inside<'_>, Errno> {
        match self.find(path)? {
            Place::Inside(inside) => {
                inside.volume.check_writable()?;
                Ok(inside)
            }
            Place::Above(_) => Err(Errno::EROFS),
        }
    }
}

fn as_slices(names: &[Vec<u8>]) -> Vec<&[u8]> {
    names.iter().map(Vec::as_slice).collect()
}

/// The names of a path as the kernel sends it: absolute, without `.` and `..`.
fn names(path: &[u8]) -> Result<Vec<&[u8]>, Errno> {
    if path.len() >= PATH_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    let names: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .collect();
    let is_wrong = |name: &&[u8]| matches!(*name, b"." | b"..") || name.contains(&0);
    if path.first() != Some(&b'/') || names.iter().any(is_wrong) {
        return Err(Errno::EINVAL);
    }
    Ok(names)
}

impl<'a> Inside<'a> {
    /// The directory it is in, and its name there. A volume's root has none: EBUSY.
    pub(super) fn parent(&self) -> Result<(OwnedFd, &OsStr), Errno> {
        let name = self.path.file_name().ok_or(Errno::EBUSY)?;
        let parent = self.path.parent().unwrap_or(Path::new(""));
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        Ok((self.volume.open(parent, flags, Mode::empty())?, name))
    }

    /// What is there, without opening it. Of a link, with O_NOFOLLOW, the link.
    pub(super) fn look(&self, flags: OFlag) -> Result<OwnedFd, Errno> {
        let directory = if self.must_be_directory {
            OFlag::O_DIRECTORY
        } else {
            OFlag::empty()
        };
        self.volume
            .open(&self.path, OFlag::O_PATH | flags | directory, Mode::empty())
    }
}
