use super::super::{Args, int};
use super::AT_FDCWD;
use crate::mem::UserVirt;
use crate::user::process::Process;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use ix_abi::host::hostcall::{FileStatus, PATH_BYTES};
use syscalls::Errno;

const S_IFMT: u64 = 0o170_000;
const S_IFDIR: u64 = 0o040_000;

/// An absolute path without empty parts, `.` and `..`. A slash at its end says that it must lead to a directory.
///
/// `..` takes away the part before it, link or not: what is asked of the launcher is where it looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::user) struct Path(Vec<u8>);

impl Path {
    /// `text` as it is meant in the directory `base`.
    fn join(base: &[u8], text: &[u8]) -> Result<Self, Errno> {
        let mut path = match text.first() {
            Some(b'/') => Vec::new(),
            _ => base.strip_suffix(b"/").unwrap_or(base).to_vec(),
        };
        let mut must_be_directory = false;
        for part in text.split(|&byte| byte == b'/') {
            must_be_directory = matches!(part, b"" | b"." | b"..");
            match part {
                b"" | b"." => {}
                b".." => {
                    let parent = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                    path.truncate(parent);
                }
                name => {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
            }
        }
        if must_be_directory || path.is_empty() {
            path.push(b'/');
        }
        if path.len() >= PATH_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(Path(path))
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Without the slash at its end, unless it is that slash.
    pub(super) fn without_slash(&self) -> Arc<[u8]> {
        match self.0.as_slice() {
            [rest @ .., b'/'] if !rest.is_empty() => rest.into(),
            all => all.into(),
        }
    }
}

impl Process {
    /// The path at `address` as it is meant in the directory that a descriptor stands for.
    pub(super) fn path_at(&self, directory: u64, address: u64) -> Result<Path, Errno> {
        let mut buffer = MaybeUninit::uninit();
        let text = self.read_path(address, &mut buffer)?;
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        if text.first() == Some(&b'/') || int(directory) == AT_FDCWD {
            return Path::join(&self.directory, text);
        }
        let file = self.files.file(int(directory), Errno::ENOTDIR)?;
        Path::join(file.directory.as_deref().ok_or(Errno::ENOTDIR)?, text)
    }

    /// The path of the current directory.
    pub(super) fn current_directory(&self) -> Result<Path, Errno> {
        Path::join(&self.directory, b".")
    }

    /// Only whether there is one.
    pub(super) fn readable_path(&self, address: u64) -> Result<u64, Errno> {
        self.read_path(address, &mut MaybeUninit::uninit()).map(|_| 0)
    }

    fn read_path<'b>(
        &self,
        address: u64,
        buffer: &'b mut MaybeUninit<[u8; PATH_BYTES]>,
    ) -> Result<&'b [u8], Errno> {
        self.memory
            .read_string(UserVirt(address), buffer)
            .ok_or(Errno::EFAULT)
    }

    pub(super) fn getcwd(&mut self, [to, size, ..]: Args) -> Result<u64, Errno> {
        let path = [&*self.directory, &[0]].concat();
        if size < path.len() as u64 {
            return Err(Errno::ERANGE);
        }
        self.memory.copy_out(UserVirt(to), &path).ok_or(Errno::EFAULT)?;
        Ok(path.len() as u64)
    }

    /// The current directory is now `path`, if its status says that it is one.
    pub(super) fn enter(&mut self, path: &Path, status: &FileStatus) -> Result<u64, Errno> {
        if status.mode & S_IFMT != S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        self.directory = path.without_slash();
        Ok(0)
    }

    pub(super) fn fchdir(&mut self, directory: u64) -> Result<u64, Errno> {
        let file = self.files.file(int(directory), Errno::ENOTDIR)?;
        self.directory = file.directory.clone().ok_or(Errno::ENOTDIR)?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, PATH_BYTES, Path};
    use std::string::String;

    fn join(base: &str, text: &str) -> String {
        let path = Path::join(base.as_bytes(), text.as_bytes()).unwrap();
        String::from_utf8(path.0).unwrap()
    }

    #[test]
    fn paths_are_absolute_and_plain() {
        for (base, text, path) in [
            ("/", "a", "/a"),
            ("/a/b", "c//d", "/a/b/c/d"),
            ("/a/b", "../c", "/a/c"),
            ("/a/b", "/c", "/c"),
            ("/a/b", ".", "/a/b/"),
            ("/a/b", "..", "/a/"),
            ("/a", "c/", "/a/c/"),
            ("/", "/", "/"),
            ("/a", "../../../..", "/"),
            ("/a", "./x/./y/../z", "/a/x/z"),
            ("/a/", "b", "/a/b"),
            ("/", "...", "/..."),
        ] {
            assert_eq!(join(base, text), path, "{base} {text}");
        }
    }

    #[test]
    fn a_path_has_a_longest() {
        let long = "x".repeat(PATH_BYTES - 2);
        assert_eq!(join("/", &long).len(), PATH_BYTES - 1);
        assert_eq!(Path::join(b"/a", long.as_bytes()), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn a_directory_is_remembered_without_its_slash() {
        for (path, without) in [("/", "/"), ("/a/", "/a"), ("/a", "/a")] {
            let path = Path::join(b"/", path.as_bytes()).unwrap();
            assert_eq!(*path.without_slash(), *without.as_bytes());
        }
    }
}
