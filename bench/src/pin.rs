//! Which core runs what: the virtual CPU has the first to itself; QEMU's main loop and the client share the second. Left
//! to the scheduler, rates vary by 20 % and the lone request's time by a factor of two, with where the client happens to
//! be put.

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::fs;

const VCPU: usize = 0;
const OTHERS: usize = 1;

fn pin(thread: Option<u32>, core: usize) -> Result<()> {
    if std::thread::available_parallelism()?.get() <= OTHERS {
        return Ok(());
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    let thread = thread.and_then(|id| Pid::from_raw(id.cast_signed()));
    sched_setaffinity(thread, &cores).context("cannot pin a thread to a core")
}

/// The calling thread is the client's.
pub(crate) fn client() -> Result<()> {
    pin(None, OTHERS)
}

/// The threads of a QEMU that has booted its guest: besides the main loop, the one that has worked most is the virtual
/// CPU.
pub(crate) fn qemu(pid: u32) -> Result<()> {
    let mut vcpu = (0, pid);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let id: u32 = task
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .context("no thread id")?;
        pin(Some(id), OTHERS)?;
        let stat = fs::read_to_string(task.path().join("schedstat"))?;
        let ran: u64 = stat
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or_default();
        if id != pid && (ran, id) > vcpu {
            vcpu = (ran, id);
        }
    }
    pin(Some(vcpu.1), VCPU)
}
