use crate::config::{Access, Volume};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Linux may be unsure about `..` while someone else renames, and says so; then it is asked again, this often.
const TRIES: usize = 16;

/// Why a volume cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The directory cannot be opened.
    #[error("cannot open the volume {0}; it must be a directory that you can read")]
    Open(PathBuf, #[source] io::Error),
}

/// A directory of the host, open.
#[derive(Debug)]
pub(super) struct OpenVolume {
    /// Where the app sees it.
    pub(super) guest: Vec<Vec<u8>>,
    pub(super) access: Access,
    directory: OwnedFd,
}

/// All that is granted.
#[derive(Debug)]
pub struct Volumes {
    pub(super) list: Vec<OpenVolume>,
}

impl Volumes {
    /// Opens them.
    pub fn open(volumes: &[Volume]) -> Result<Self, VolumeError> {
        let open = |volume: &Volume| {
            let directory = File::options()
                .read(true)
                .custom_flags((OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).bits())
                .open(&volume.host)
                .map_err(|error| VolumeError::Open(volume.host.clone(), error))?;
            Ok(OpenVolume {
                guest: volume
                    .guest
                    .iter()
                    .map(|name| name.clone().into_bytes())
                    .collect(),
                access: volume.access,
                directory: directory.into(),
            })
        };
        let list = volumes.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { list })
    }

    /// The directories, with what may be done in them.
    pub fn directories(&self) -> impl Iterator<Item = (BorrowedFd<'_>, Access)> {
        self.list
            .iter()
            .map(|volume| (volume.directory.as_fd(), volume.access))
    }
}

impl OpenVolume {
    /// Opens what `path` leads to when this volume is the root.
    pub(super) fn open(&self, path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let mut result = Err(Errno::EAGAIN);
        for _ in 0..TRIES {
            result = openat2(&self.directory, path, how);
            if !matches!(result, Err(Errno::EAGAIN | Errno::EINTR)) {
                break;
            }
        }
        result
    }

    /// An error, if nothing may be changed here.
    pub(super) fn check_writable(&self) -> Result<(), Errno> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Errno::EROFS),
        }
    }
}
