//! A process in the lab.

use super::protocol::Request;
use super::wire::{Seen, Wire};
use crate::output::Stream;
use crate::run::Ended;
use nix::sys::signal::Signal;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How long a process may take to say what it should, or to end. The lab's processors are emulated, and a machine in it
/// runs on those.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process in the lab. Dropping it kills it.
#[derive(Debug)]
pub struct Process<'lab> {
    wire: &'lab Wire,
    console: &'lab Stream,
    seen: Seen,
    what: String,
    pid: i32,
}

impl<'lab> Process<'lab> {
    /// Starts one and waits until it runs.
    ///
    /// # Panics
    /// If it cannot be started.
    pub(crate) fn start(wire: &'lab Wire, console: &'lab Stream, words: &[&str]) -> Self {
        let mut process = Process {
            wire,
            console,
            seen: wire.start(words),
            what: words.join(" "),
            pid: 0,
        };
        match process.seen.started.within(PATIENCE) {
            Ok(pid) => process.pid = pid,
            Err(_) => process.fail("it was not started"),
        }
        process
    }

    /// Its process id in the lab.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for a line on its standard output with `part` in it.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for(&self, part: &str) -> String {
        self.line(&self.seen.stdout, part)
    }

    /// Waits for a line on its standard error with `part` in it.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for_complaint(&self, part: &str) -> String {
        self.line(&self.seen.stderr, part)
    }

    fn line(&self, stream: &Stream, part: &str) -> String {
        stream
            .line_with(part, PATIENCE)
            .unwrap_or_else(|| self.fail(&format!("it did not say `{part}`")))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let process = self.seen.number;
        let signal = signal as i32;
        self.wire.send(&Request::Signal { process, signal }, &[]);
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn stop(self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.finish()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn finish(self) -> Ended {
        self.finish_within(PATIENCE)
    }

    /// Waits so long until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn finish_within(self, patience: Duration) -> Ended {
        match self.seen.ended.within(patience) {
            Ok(code) => Ended {
                code,
                stdout: self.seen.stdout.text(),
                stderr: self.seen.stderr.text(),
                log: String::new(),
            },
            Err(RecvTimeoutError::Timeout) => self.fail("it did not end"),
            Err(RecvTimeoutError::Disconnected) => self.fail("the lab is gone"),
        }
    }

    /// Fails the test, with all there is to know.
    pub(crate) fn fail(&self, problem: &str) -> ! {
        let threads = self.wire.start(&["sh", "-c", include_str!("threads.sh")]);
        // What there is of it will do.
        let _ = threads.ended.within(Duration::from_secs(20));
        panic!(
            "{}: {problem}\n--- stdout\n{}\n--- stderr\n{}\n--- the lab's threads\n{}\n--- its console\n{}",
            self.what,
            self.seen.stdout.text(),
            self.seen.stderr.text(),
            threads.stdout.text(),
            self.console.text()
        )
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
