use super::super::time::sleep;
use super::super::{Answer, Args, int};
use super::ask::Then;
use crate::arch::tsc;
use crate::mem::UserVirt;
use crate::user::descriptors::Open;
use crate::user::process::Process;
use ix_abi::host::hostcall::{Operation, WITHOUT_END};
use syscalls::Errno;

/// Most descriptors of a `poll`.
const POLL_MAX: u64 = 256;

const POLLIN: u16 = 1;
const POLLOUT: u16 = 4;
const POLLERR: u16 = 8;
const POLLHUP: u16 = 0x10;
const POLLNVAL: u16 = 0x20;

/// What a look at the descriptors has found.
#[derive(Default)]
struct Found {
    ready: u64,
    /// Input is among them, and only the launcher knows of it.
    input: Input,
}

#[derive(Default, PartialEq, Eq)]
enum Input {
    #[default]
    Unwanted,
    Wanted,
}

impl Process {
    /// Files and output are always ready. Of input, the launcher is asked, who waits as well; without input, it is a sleep.
    pub(super) fn poll(&mut self, thread: usize, [list, count, timeout_ms, ..]: Args) -> Answer {
        let found = match self.look(list, count, 0) {
            Ok(found) => found,
            Err(errno) => return Answer::Return(Err(errno)),
        };
        let timeout_ms = match u64::try_from(int(timeout_ms)) {
            _ if found.ready > 0 => 0,
            Ok(timeout_ms) => timeout_ms,
            Err(_) => WITHOUT_END,
        };
        if found.input == Input::Wanted && self.host.is_connected() {
            let then = Then::Polled { list, count };
            return self.ask(thread, Operation::InputReady, [timeout_ms, 0, 0, 0], &[], then);
        }
        match timeout_ms {
            0 => Answer::Return(Ok(found.ready)),
            WITHOUT_END => sleep(Ok(u64::MAX)),
            timeout_ms => sleep(Ok(tsc::now_ns().saturating_add(timeout_ms * 1_000_000))),
        }
    }

    /// The launcher has said what is to be said of input.
    pub(super) fn on_polled(&mut self, list: u64, count: u64, input: u64) -> Result<u64, Errno> {
        let input = u16::try_from(input).unwrap_or(POLLERR);
        Ok(self.look(list, count, input)?.ready)
    }

    /// Writes `revents` of each `struct pollfd`; `input` are those of standard input.
    fn look(&mut self, list: u64, count: u64, input: u16) -> Result<Found, Errno> {
        if count > POLL_MAX {
            return Err(Errno::EINVAL);
        }
        let mut found = Found::default();
        for index in 0..count {
            let at = list.wrapping_add(index * 8);
            let fd: i32 = self.memory.read(UserVirt(at)).ok_or(Errno::EFAULT)?;
            let wanted: u16 = self
                .memory
                .read(UserVirt(at.wrapping_add(4)))
                .ok_or(Errno::EFAULT)?;
            let revents = match self.files.get(fd) {
                _ if fd < 0 => 0,
                Ok(Open::Input) if !self.host.is_connected() => wanted & POLLIN,
                Ok(Open::Input) => {
                    found.input = Input::Wanted;
                    input & (wanted & POLLIN | POLLERR | POLLHUP)
                }
                Ok(Open::Output(_)) => wanted & POLLOUT,
                Ok(Open::File(_)) => wanted & (POLLIN | POLLOUT),
                Err(_) => POLLNVAL,
            };
            self.memory
                .write(UserVirt(at.wrapping_add(6)), revents)
                .ok_or(Errno::EFAULT)?;
            found.ready += u64::from(revents != 0);
        }
        Ok(found)
    }
}
