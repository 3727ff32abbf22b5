use super::super::{Answer, Args, int};
use super::ask::Then;
use super::path::Path;
use crate::user::descriptors::{Closed, File, OnExec, Open};
use crate::user::process::Process;
use ix_abi::host::Stream;
use ix_abi::host::hostcall::{DIRECTORY, Operation};
use syscalls::Errno;

const O_WRONLY: i32 = 0o1;
const O_CREAT: i32 = 0o100;
const O_TRUNC: i32 = 0o1000;
const O_APPEND: i32 = 0o2000;
const O_CLOEXEC: i32 = 0o2_000_000;

/// What `creat(2)` stands for.
pub(super) const CREAT_FLAGS: u64 = (O_CREAT | O_TRUNC | O_WRONLY) as u64;

const F_DUPFD: i32 = 0;
const F_GETFD: i32 = 1;
const F_SETFD: i32 = 2;
const F_GETFL: i32 = 3;
const F_SETFL: i32 = 4;
const F_DUPFD_CLOEXEC: i32 = 1030;
const FD_CLOEXEC: i32 = 1;

/// The launcher's handle in the value of an [`Operation::Open`].
const HANDLE: u64 = DIRECTORY - 1;

fn on_exec(flags: u64) -> OnExec {
    if int(flags) & O_CLOEXEC == 0 {
        OnExec::Keep
    } else {
        OnExec::Close
    }
}

fn result(number: i32) -> Result<u64, Errno> {
    u64::try_from(number).map_err(|_| Errno::EBADF)
}

/// A file that is being opened.
#[derive(Debug)]
pub(in crate::user) struct Opening {
    number: i32,
    flags: i32,
    on_exec: OnExec,
    path: Path,
}

impl Process {
    pub(super) fn openat(&mut self, thread: usize, a: Args) -> Result<Answer, Errno> {
        let [directory, path, flags, mode, ..] = a;
        let path = self.path_at(directory, path)?;
        if let Err(answer) = self.slot_for(Operation::Open) {
            return Ok(answer);
        }
        let number = self.files.reserve(0)?;
        let opening = Opening {
            number,
            flags: int(flags) & !O_CLOEXEC,
            on_exec: on_exec(flags),
            path: path.clone(),
        };
        let arguments = [u64::from(int(flags).cast_unsigned()), mode & 0o7777, 0, 0];
        Ok(self.ask(
            thread,
            Operation::Open,
            arguments,
            path.bytes(),
            Then::Opened(opening),
        ))
    }

    pub(super) fn on_opened(&mut self, result: Result<u64, Errno>, opening: &Opening) -> Result<u64, Errno> {
        let number = opening.number;
        let value = result.inspect_err(|_| self.files.release(number))?;
        let file = File {
            handle: u32::try_from(value & HANDLE).unwrap_or_default(),
            flags: opening.flags,
            directory: (value & DIRECTORY != 0).then(|| opening.path.without_slash()),
        };
        self.files.fill(number, Open::File(file), opening.on_exec);
        self::result(number)
    }

    pub(super) fn close(&mut self, thread: usize, [fd, ..]: Args) -> Result<Answer, Errno> {
        if let Open::File(_) = self.files.get(int(fd))?
            && let Err(answer) = self.slot_for(Operation::Close)
        {
            return Ok(answer);
        }
        let closed = self.files.close(int(fd))?;
        Ok(self.forget(thread, closed, Then::Nothing, 0))
    }

    /// Has the launcher close a file that no descriptor stands for any more.
    fn forget(&mut self, thread: usize, closed: Closed, then: Then, value: u64) -> Answer {
        match closed {
            Closed::Last(file) => {
                let arguments = [file.handle.into(), 0, 0, 0];
                self.ask(thread, Operation::Close, arguments, &[], then)
            }
            Closed::Shared => Answer::Return(Ok(value)),
        }
    }

    pub(super) fn dup(&mut self, fd: u64) -> Result<u64, Errno> {
        result(self.files.duplicate(int(fd), 0, OnExec::Keep)?)
    }

    pub(super) fn dup2(&mut self, thread: usize, [fd, to, ..]: Args) -> Result<Answer, Errno> {
        if int(fd) == int(to) {
            self.files.get(int(fd))?;
            return Ok(Answer::Return(result(int(to))));
        }
        self.duplicate_to(thread, int(fd), int(to), OnExec::Keep)
    }

    pub(super) fn dup3(&mut self, thread: usize, [fd, to, flags, ..]: Args) -> Result<Answer, Errno> {
        if int(fd) == int(to) || int(flags) & !O_CLOEXEC != 0 {
            return Err(Errno::EINVAL);
        }
        self.duplicate_to(thread, int(fd), int(to), on_exec(flags))
    }

    fn duplicate_to(&mut self, thread: usize, fd: i32, to: i32, on_exec: OnExec) -> Result<Answer, Errno> {
        self.files.get(fd)?;
        if let Ok(Open::File(_)) = self.files.get(to)
            && let Err(answer) = self.slot_for(Operation::Close)
        {
            return Ok(answer);
        }
        let closed = self.files.replace(fd, to, on_exec)?;
        let value = result(to)?;
        Ok(self.forget(thread, closed, Then::Ignore(value), value))
    }

    pub(super) fn fcntl(&mut self, [fd, command, argument, ..]: Args) -> Result<u64, Errno> {
        let fd = int(fd);
        let open = self.files.get(fd)?;
        let flags = match open {
            Open::Input => 0,
            Open::Output(Stream::Stdout | Stream::Stderr) => O_WRONLY,
            Open::File(file) => file.flags,
        };
        let from = usize::try_from(int(argument)).map_err(|_| Errno::EINVAL);
        match int(command) {
            F_DUPFD => result(self.files.duplicate(fd, from?, OnExec::Keep)?),
            F_DUPFD_CLOEXEC => result(self.files.duplicate(fd, from?, OnExec::Close)?),
            F_GETFD => Ok(u64::from(self.files.on_exec(fd)? == OnExec::Close)),
            F_SETFD if int(argument) & FD_CLOEXEC != 0 => {
                self.files.set_on_exec(fd, OnExec::Close).map(|()| 0)
            }
            F_SETFD => self.files.set_on_exec(fd, OnExec::Keep).map(|()| 0),
            F_GETFL => result(flags),
            // Nothing that is open here can be had without waiting; appending is decided at opening.
            F_SETFL if (int(argument) ^ flags) & O_APPEND != 0 => Err(Errno::EINVAL),
            F_SETFL => Ok(0),
            _ => Err(Errno::EINVAL),
        }
    }
}
