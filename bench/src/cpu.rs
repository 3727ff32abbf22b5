//! CPU time of QEMU's threads: the main loop, which carries packets between tap and guest memory, and the virtual CPU; and
//! of the client.

use anyhow::{Context, Result};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::fs;
use std::time::Duration;

/// QEMU's CPU time since it began.
#[derive(Clone, Copy, Debug, Default)]
struct CpuTime {
    /// The thread that is the process' first.
    main_loop: Duration,
    /// All others: the virtual CPU, and helpers that hardly run.
    vcpu: Duration,
}

impl CpuTime {
    /// Of the process `pid`, from `/proc/PID/task/*/schedstat`.
    fn of(pid: u32) -> Result<Self> {
        let mut time = Self::default();
        for task in
            fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))?
        {
            let task = task?;
            // A thread may end while we look.
            let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else {
                continue;
            };
            let ran = stat
                .split(' ')
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or_default();
            if task.file_name().to_str() == Some(&pid.to_string()) {
                time.main_loop += Duration::from_nanos(ran);
            } else {
                time.vcpu += Duration::from_nanos(ran);
            }
        }
        Ok(time)
    }

    /// What was used since `before`.
    fn since(&self, before: &Self) -> Self {
        let main_loop = self.main_loop.saturating_sub(before.main_loop);
        Self {
            main_loop,
            vcpu: self.vcpu.saturating_sub(before.vcpu),
        }
    }
}

/// What everybody has used so far; the calling thread is the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    qemu: CpuTime,
    client: Timespec,
}

/// CPU time between two looks at the clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// QEMU's main loop.
    pub(crate) main_loop: Duration,
    /// The virtual CPU.
    pub(crate) vcpu: Duration,
    /// The client.
    pub(crate) client: Duration,
}

impl Clocks {
    /// Looks at them; QEMU is the process `qemu`.
    pub(crate) fn read(qemu: u32) -> Result<Self> {
        Ok(Self {
            qemu: CpuTime::of(qemu)?,
            client: clock_gettime(ClockId::ThreadCPUTime),
        })
    }

    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Result<Used> {
        let CpuTime { main_loop, vcpu } = self.qemu.since(&before.qemu);
        Ok(Used {
            main_loop,
            vcpu,
            client: Duration::try_from(self.client - before.client)?,
        })
    }
}
