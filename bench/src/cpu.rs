//! CPU time of QEMU's threads: the main loop, which carries packets between tap and guest memory, and the virtual CPU.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// CPU time since the process began.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    /// The thread that is the process' first.
    pub(crate) main_loop: Duration,
    /// All others: the virtual CPU, and helpers that hardly run.
    pub(crate) vcpu: Duration,
}

impl CpuTime {
    /// Of the process `pid`, from `/proc/PID/task/*/schedstat`.
    pub(crate) fn of(pid: u32) -> Result<Self> {
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
    pub(crate) fn since(&self, before: &Self) -> Self {
        let main_loop = self.main_loop.saturating_sub(before.main_loop);
        Self {
            main_loop,
            vcpu: self.vcpu.saturating_sub(before.vcpu),
        }
    }
}
