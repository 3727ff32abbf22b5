use super::{Args, int};
use crate::arch::context::{ExtendedState, Resume};
use crate::arch::syscall_entry;
use crate::mem::UserVirt;
use crate::user::futex::ANY;
use crate::user::process::Process;
use ix_abi::app::layout::USER_END;
use ix_abi::host::area::Outcome;
use syscalls::Errno;

const CLONE_VM: u64 = 0x100;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_SETTLS: u64 = 0x8_0000;
const CLONE_PARENT_SETTID: u64 = 0x10_0000;
const CLONE_CHILD_CLEARTID: u64 = 0x20_0000;
const CLONE_CHILD_SETTID: u64 = 0x100_0000;

/// Without these it would be another process.
const THREAD_FLAGS: u64 = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;

const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;
const ARCH_GET_GS: u64 = 0x1004;

const PR_SET_NAME: i32 = 15;
const PR_GET_NAME: i32 = 16;

/// A request for a thread, from either call. Addresses are 0 where not given.
struct NewThread {
    flags: u64,
    stack_top: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
}

impl Process {
    pub(super) fn clone_thread(&mut self, number: usize, a: Args) -> Result<u64, Errno> {
        let [flags, stack_top, parent_tid, child_tid, tls, _] = a;
        self.spawn(
            number,
            &NewThread {
                flags,
                stack_top,
                parent_tid,
                child_tid,
                tls,
            },
        )
    }

    /// `clone3(2)`: of `struct clone_args`, the fields that its first version has.
    pub(super) fn clone3(&mut self, number: usize, [args, size, ..]: Args) -> Result<u64, Errno> {
        if size < 64 {
            return Err(Errno::EINVAL);
        }
        let fields: [u64; 8] = self.memory.read(UserVirt(args)).ok_or(Errno::EFAULT)?;
        let [
            flags,
            _pidfd,
            child_tid,
            parent_tid,
            _exit_signal,
            stack,
            stack_size,
            tls,
        ] = fields;
        let stack_top = stack.checked_add(stack_size).ok_or(Errno::EINVAL)?;
        self.spawn(
            number,
            &NewThread {
                flags,
                stack_top,
                parent_tid,
                child_tid,
                tls,
            },
        )
    }

    /// Starts a thread that goes on where its parent's call returns, but with 0 and on its own stack.
    fn spawn(&mut self, number: usize, new: &NewThread) -> Result<u64, Errno> {
        let has = |flag| new.flags & flag != 0;
        if new.flags & THREAD_FLAGS != THREAD_FLAGS {
            return Err(Errno::ENOSYS);
        }
        if has(CLONE_SETTLS) && new.tls >= USER_END {
            return Err(Errno::EPERM);
        }
        let parent = self.threads.get(number).ok_or(Errno::ESRCH)?;
        let (name, signal_mask) = (parent.name, parent.signal_mask);
        let mut context = parent.context.clone();
        context.rax = 0;
        context.resume = Resume::LinuxCall;
        if new.stack_top != 0 {
            context.rsp = new.stack_top;
        }
        let mut extended = ExtendedState::new();
        extended.save();
        if has(CLONE_SETTLS) {
            extended.fs_base = new.tls;
        }
        let child = self.threads.add(context, extended).ok_or(Errno::EAGAIN)?;
        let thread = self.threads.get_mut(child).ok_or(Errno::EAGAIN)?;
        (thread.name, thread.signal_mask) = (name, signal_mask);
        if has(CLONE_CHILD_CLEARTID) {
            thread.clear_child_tid = new.child_tid;
        }
        let id = thread.id;
        for (flag, address) in [
            (CLONE_PARENT_SETTID, new.parent_tid),
            (CLONE_CHILD_SETTID, new.child_tid),
        ] {
            if has(flag) && self.memory.write(UserVirt(address), id).is_none() {
                self.threads.remove(child);
                return Err(Errno::EFAULT);
            }
        }
        self.scheduler.wake(child);
        Ok(id.into())
    }

    /// The end of a thread; with the last one, of the program.
    pub(super) fn end_thread(&mut self, number: usize) {
        let Some(thread) = self.threads.get(number) else {
            return;
        };
        let (address, status) = (thread.clear_child_tid, int(thread.context.rdi).to_le_bytes()[0]);
        if address != 0 && self.memory.write(UserVirt(address), 0u32).is_some() {
            self.futex_wake(address, 1, ANY);
        }
        self.scheduler.remove(number);
        self.threads.remove(number);
        if self.threads.count() == 0 {
            self.outcome = Some(Outcome::Exited(status));
        }
    }

    pub(super) fn thread_id(&self, number: usize) -> u64 {
        self.threads.get(number).map_or(0, |thread| thread.id.into())
    }

    pub(super) fn set_tid_address(&mut self, number: usize, [address, ..]: Args) -> Result<u64, Errno> {
        let thread = self.threads.get_mut(number).ok_or(Errno::ESRCH)?;
        thread.clear_child_tid = address;
        Ok(thread.id.into())
    }

    /// The bases of the running thread are in the processor.
    pub(super) fn arch_prctl(&mut self, [what, address, ..]: Args) -> Result<u64, Errno> {
        let base = Some(address)
            .filter(|&address| address < USER_END)
            .ok_or(Errno::EPERM);
        match what {
            ARCH_SET_FS => syscall_entry::set_fs_base(base?),
            ARCH_SET_GS => syscall_entry::set_user_gs_base(base?),
            ARCH_GET_FS => self
                .memory
                .write(UserVirt(address), syscall_entry::fs_base())
                .ok_or(Errno::EFAULT)?,
            ARCH_GET_GS => self
                .memory
                .write(UserVirt(address), syscall_entry::user_gs_base())
                .ok_or(Errno::EFAULT)?,
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }

    /// Names of threads: they stand in what is said about faults.
    pub(super) fn prctl(&mut self, number: usize, [what, address, ..]: Args) -> Result<u64, Errno> {
        let thread = self.threads.get_mut(number).ok_or(Errno::ESRCH)?;
        match int(what) {
            PR_SET_NAME => {
                let mut name = [0; 16];
                for (place, offset) in name.iter_mut().take(15).zip(0..) {
                    *place = self
                        .memory
                        .read(UserVirt(address.wrapping_add(offset)))
                        .ok_or(Errno::EFAULT)?;
                    if *place == 0 {
                        break;
                    }
                }
                thread.name = name;
            }
            PR_GET_NAME => self
                .memory
                .copy_out(UserVirt(address), &thread.name)
                .ok_or(Errno::EFAULT)?,
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}
