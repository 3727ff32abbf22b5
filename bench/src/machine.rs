//! Where, when and how something was measured.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::process::Command;

/// The machine, and what was run on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Local time, to the minute.
    pub(crate) date: String,
    /// As git describes it.
    pub(crate) commit: String,
    /// What the person who measures has called.
    pub(crate) command: String,
    cpu: String,
    cores: usize,
    /// Version of the host's kernel.
    host: String,
    /// Load average over a minute, when the measurement had ended.
    load: String,
    qemu: String,
}

impl Machine {
    /// This one, now.
    pub(crate) fn here() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: output("date", &["+%Y-%m-%d %H:%M"]),
            commit: output("git", &["describe", "--always", "--dirty"]),
            command: command(),
            cpu: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            host: output("uname", &["-r"]),
            load: load.split(' ').next().unwrap_or("?").to_owned(),
            qemu: output("qemu-system-x86_64", &["--version"]),
        }
    }
}

impl Machine {
    /// Whether others wanted the cores, too: a measurement keeps two threads and a half busy.
    pub(crate) fn was_busy(&self) -> bool {
        let load = self.load.parse::<f64>().unwrap_or_default();
        u32::try_from(self.cores).is_ok_and(|cores| load > 2.0 * f64::from(cores))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, commit {}; {}, {} cores, host Linux {} (load {} at the end); {}.",
            self.date, self.commit, self.cpu, self.cores, self.host, self.load, self.qemu
        )
    }
}

/// The first line that a program says; nothing if it cannot be run.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let text = output
        // Some tell their version as if it were an error.
        .map(|output| {
            if output.stdout.is_empty() {
                output.stderr
            } else {
                output.stdout
            }
        })
        .and_then(|text| String::from_utf8(text).ok())
        .unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or("?", |(_, name)| name.trim())
        .to_owned()
}

/// `bench/run` names itself, since it adds folders.
fn command() -> String {
    std::env::var("BENCH_COMMAND").unwrap_or_else(|_| {
        let words = std::env::args().skip(1);
        words.fold("ix-bench".to_owned(), |all, word| all + " " + &word)
    })
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn a_machine_is_busy_when_twice_as_many_want_to_run_as_can() {
        let with = |load: &str| {
            let mut machine = Machine::here();
            (machine.cores, machine.load) = (2, load.to_owned());
            machine.was_busy()
        };
        assert!(with("4.01") && !with("4.0") && !with("?"));
    }
}
