//! Signals are recorded, not delivered: handlers never run. A signal sent to the program itself (`abort` does) does what
//! its default action says, unless it is ignored.

use super::{Answer, Args, int};
use crate::mem::UserVirt;
use crate::user::fault;
use crate::user::process::Process;
use crate::user::thread::PROCESS_ID;
use ix_abi::host::area::Outcome;
use syscalls::{Errno, Sysno};

const SIGNALS: usize = 64;
const SIG_DFL: u64 = 0;
const SIG_IGN: u64 = 1;

const SIGKILL: usize = 9;
const SIGCHLD: u8 = 17;
const SIGCONT: u8 = 18;
const SIGSTOP: usize = 19;
const SIGURG: u8 = 23;
const SIGWINCH: u8 = 28;

/// `struct sigaction` as the kernel knows it: handler, flags, restorer, mask.
type Action = [u64; 4];

/// What was asked for each signal, from 1.
#[derive(Debug)]
pub(crate) struct Signals {
    actions: [Action; SIGNALS],
}

impl Default for Signals {
    fn default() -> Self {
        Signals {
            actions: [[0; 4]; SIGNALS],
        }
    }
}

/// The number of a signal as an index.
fn index(signal: u64) -> Result<usize, Errno> {
    let number = usize::try_from(int(signal)).map_err(|_| Errno::EINVAL)?;
    number
        .checked_sub(1)
        .filter(|&index| index < SIGNALS)
        .ok_or(Errno::EINVAL)
}

impl Process {
    pub(super) fn rt_sigaction(&mut self, [signal, new, old, size, ..]: Args) -> Result<u64, Errno> {
        let index = index(signal)?;
        let action: Option<Action> = match new {
            0 => None,
            address => Some(self.memory.read(UserVirt(address)).ok_or(Errno::EFAULT)?),
        };
        if size != 8 || action.is_some() && [SIGKILL, SIGSTOP].contains(&(index + 1)) {
            return Err(Errno::EINVAL);
        }
        let place = self.signals.actions.get_mut(index).ok_or(Errno::EINVAL)?;
        let before = *place;
        if let Some(action) = action {
            *place = action;
        }
        if old != 0 {
            self.memory.write(UserVirt(old), before).ok_or(Errno::EFAULT)?;
        }
        Ok(0)
    }

    pub(super) fn rt_sigprocmask(
        &mut self,
        number: usize,
        [how, new, old, size, ..]: Args,
    ) -> Result<u64, Errno> {
        if size != 8 {
            return Err(Errno::EINVAL);
        }
        let thread = self.threads.get_mut(number).ok_or(Errno::ESRCH)?;
        let before = thread.signal_mask;
        if new != 0 {
            let set: u64 = self.memory.read(UserVirt(new)).ok_or(Errno::EFAULT)?;
            thread.signal_mask = match int(how) {
                0 => before | set,
                1 => before & !set,
                2 => set,
                _ => return Err(Errno::EINVAL),
            };
        }
        if old != 0 {
            self.memory.write(UserVirt(old), before).ok_or(Errno::EFAULT)?;
        }
        Ok(0)
    }

    pub(super) fn sigaltstack(&mut self, number: usize, [new, old, ..]: Args) -> Result<u64, Errno> {
        let thread = self.threads.get_mut(number).ok_or(Errno::ESRCH)?;
        let before = thread.signal_stack;
        if new != 0 {
            thread.signal_stack = self.memory.read(UserVirt(new)).ok_or(Errno::EFAULT)?;
        }
        if old != 0 {
            self.memory.write(UserVirt(old), before).ok_or(Errno::EFAULT)?;
        }
        Ok(0)
    }

    /// `kill(pid, signal)`, `tkill(tid, signal)`, `tgkill(pid, tid, signal)`.
    pub(super) fn signal_call(&mut self, call: Sysno, a: Args) -> Answer {
        let is_process = |id: u64| int(id) == PROCESS_ID.cast_signed();
        let is_thread = |id: u64| self.threads.has_id(id);
        let (found, signal) = match call {
            Sysno::kill => (is_process(a[0]) || int(a[0]) == 0, a[1]),
            Sysno::tkill => (is_thread(a[0]), a[1]),
            _ => (is_process(a[0]) && is_thread(a[1]), a[2]),
        };
        if !found {
            return Answer::Return(Err(Errno::ESRCH));
        }
        if int(signal) == 0 {
            return Answer::Return(Ok(0));
        }
        self.raise(signal)
    }

    fn raise(&mut self, signal: u64) -> Answer {
        let index = match index(signal) {
            Ok(index) => index,
            Err(errno) => return Answer::Return(Err(errno)),
        };
        let handler = self
            .signals
            .actions
            .get(index)
            .map_or(SIG_DFL, |action| action[0]);
        let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
        if handler == SIG_IGN || handler == SIG_DFL && [SIGCHLD, SIGCONT, SIGURG, SIGWINCH].contains(&number)
        {
            return Answer::Return(Ok(0));
        }
        let note = if handler == SIG_DFL {
            ""
        } else {
            "; its handler is not run, handlers never are"
        };
        log::warn!("the app raised {}{note}", fault::signal_name(number));
        Answer::EndProcess(Outcome::Signalled(number))
    }
}
