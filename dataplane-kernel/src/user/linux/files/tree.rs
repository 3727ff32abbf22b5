use super::super::{Answer, Args, int};
use super::AT_REMOVEDIR;
use super::ask::Then;
use crate::mem::UserVirt;
use crate::user::process::Process;
use ix_abi::host::hostcall::{DATA_BYTES, Operation};
use syscalls::Errno;

const RENAME_NOREPLACE: i32 = 1;

/// Permissions, of a mode.
const PERMISSIONS: u64 = 0o7777;

/// What of a file is to be on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sync {
    All,
    Data,
}

impl Process {
    pub(super) fn mkdirat(&mut self, thread: usize, [at, path, mode, ..]: Args) -> Result<Answer, Errno> {
        let path = self.path_at(at, path)?;
        let arguments = [mode & PERMISSIONS, 0, 0, 0];
        let operation = Operation::MakeDirectory;
        Ok(self.ask(thread, operation, arguments, path.bytes(), Then::Nothing))
    }

    pub(super) fn unlinkat(&mut self, thread: usize, [at, path, flags, ..]: Args) -> Result<Answer, Errno> {
        if int(flags) & !AT_REMOVEDIR != 0 {
            return Err(Errno::EINVAL);
        }
        let path = self.path_at(at, path)?;
        let arguments = [u64::from(int(flags) == AT_REMOVEDIR), 0, 0, 0];
        Ok(self.ask(thread, Operation::Remove, arguments, path.bytes(), Then::Nothing))
    }

    pub(super) fn renameat2(&mut self, thread: usize, a: Args) -> Result<Answer, Errno> {
        let [from_at, from, to_at, to, flags, _] = a;
        if int(flags) & !RENAME_NOREPLACE != 0 {
            return Err(Errno::EINVAL);
        }
        let from = self.path_at(from_at, from)?;
        let to = self.path_at(to_at, to)?;
        let both = [from.bytes(), to.bytes()].concat();
        let arguments = [
            from.bytes().len() as u64,
            u64::from(int(flags) == RENAME_NOREPLACE),
            0,
            0,
        ];
        Ok(self.ask(thread, Operation::Rename, arguments, &both, Then::Nothing))
    }

    pub(super) fn readlinkat(
        &mut self,
        thread: usize,
        [at, path, to, size, ..]: Args,
    ) -> Result<Answer, Errno> {
        if int(size) <= 0 {
            return Err(Errno::EINVAL);
        }
        let path = self.path_at(at, path)?;
        let room = usize::try_from(int(size)).map_or(DATA_BYTES, |size| size.min(DATA_BYTES));
        if !self.memory.is_writable(UserVirt(to), room as u64) {
            return Err(Errno::EFAULT);
        }
        let then = Then::Bytes { to, room };
        Ok(self.ask(thread, Operation::ReadLink, [0; 4], path.bytes(), then))
    }

    pub(super) fn faccessat(&mut self, thread: usize, [at, path, mode, ..]: Args) -> Result<Answer, Errno> {
        if int(mode) & !7 != 0 {
            return Err(Errno::EINVAL);
        }
        let path = self.path_at(at, path)?;
        let arguments = [mode & 7, 0, 0, 0];
        Ok(self.ask(thread, Operation::Access, arguments, path.bytes(), Then::Nothing))
    }

    pub(super) fn fchmodat(&mut self, thread: usize, [at, path, mode, ..]: Args) -> Result<Answer, Errno> {
        let path = self.path_at(at, path)?;
        let arguments = [mode & PERMISSIONS, 0, 0, 0];
        let operation = Operation::SetPathMode;
        Ok(self.ask(thread, operation, arguments, path.bytes(), Then::Nothing))
    }

    pub(super) fn fchmod(&mut self, thread: usize, [fd, mode, ..]: Args) -> Result<Answer, Errno> {
        let handle = self.files.file(int(fd), Errno::EPERM)?.handle;
        let arguments = [handle.into(), mode & PERMISSIONS, 0, 0];
        Ok(self.ask(thread, Operation::SetMode, arguments, &[], Then::Nothing))
    }

    pub(super) fn ftruncate(&mut self, thread: usize, [fd, size, ..]: Args) -> Result<Answer, Errno> {
        let handle = self.files.file(int(fd), Errno::EINVAL)?.handle;
        let arguments = [handle.into(), size, 0, 0];
        Ok(self.ask(thread, Operation::Truncate, arguments, &[], Then::Nothing))
    }

    pub(super) fn sync(&mut self, thread: usize, fd: u64, what: Sync) -> Result<Answer, Errno> {
        let handle = self.files.file(int(fd), Errno::EINVAL)?.handle;
        let data_only = u64::from(matches!(what, Sync::Data));
        let arguments = [handle.into(), data_only, 0, 0];
        Ok(self.ask(thread, Operation::Sync, arguments, &[], Then::Nothing))
    }

    pub(super) fn chdir(&mut self, thread: usize, [path, ..]: Args) -> Result<Answer, Errno> {
        let path = self.path_at(super::CURRENT, path)?;
        let then = Then::Enter(path.clone());
        Ok(self.ask(thread, Operation::PathStatus, [0; 4], path.bytes(), then))
    }
}
