//! A run in progress: one loop that carries output, heeds signals, serves the control socket, and ends with the
//! machine.

use super::elastic::Elastic;
use super::machine::Machine;
use super::stopping::{Step, Stopping};
use super::streams::{KernelLog, Output};
use super::{RunError, verdict::verdict};
use crate::control::{Counting, Info, MachineCounters, Scaling, Server, Wish};
use crate::hostcall;
use ix_abi::host::Stream;
use ix_abi::host::area::Outcome;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

/// Signals that ask us to stop, as descriptors to poll.
pub(super) struct Signals {
    sources: Vec<(i32, UnixStream)>,
}

impl Signals {
    /// From now on, these signals do nothing but show here.
    pub(super) fn catch() -> io::Result<Self> {
        let catch = |signal| {
            let (ours, handlers) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, handlers)?;
            Ok((signal, ours))
        };
        let sources = [SIGINT, SIGTERM, SIGHUP].into_iter().map(catch);
        Ok(Self {
            sources: sources.collect::<io::Result<_>>()?,
        })
    }

    /// Each signal that came since the last call, as often as it came.
    fn take(&mut self) -> Vec<i32> {
        let came = |(signal, source): &mut (i32, UnixStream)| {
            let mut bytes = [0; 64];
            let count = source.read(&mut bytes).unwrap_or(0);
            std::iter::repeat_n(*signal, count)
        };
        self.sources.iter_mut().flat_map(came).collect()
    }

    fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.sources
            .iter()
            .map(|(_, source)| PollFd::new(source.as_fd(), PollFlags::POLLIN))
    }
}

/// Everything the loop holds.
pub(super) struct Session {
    /// The machine.
    pub(super) machine: Machine,
    /// Who answers what the app wants of the host.
    pub(super) host_calls: hostcall::Server,
    /// Where the kernel's log goes.
    pub(super) log: KernelLog,
    /// Our standard output, for the app's.
    pub(super) stdout: Output,
    /// Our standard error, for the app's and the log.
    pub(super) stderr: Output,
    /// Who may ask us to stop.
    pub(super) signals: Signals,
    /// How far that has come.
    pub(super) stopping: Stopping,
    /// Who decides how many cores it works on, if that is not left to the user.
    pub(super) elastic: Option<Elastic>,
    /// The control socket.
    pub(super) control: Server,
    /// What it tells about us.
    pub(super) info: Info,
    /// When the machine was started.
    pub(super) started: Instant,
}

impl Session {
    /// Tells the user something, on standard error.
    pub(super) fn note(&mut self, line: &str) {
        self.stderr.push(format!("ix: {line}\n").as_bytes());
    }

    /// Carries on until the machine is gone and everything it said has been passed on.
    pub(super) fn carry(mut self) -> Result<u8, RunError> {
        let mut complaints = String::new();
        let end = loop {
            self.host_calls.notice(&self.machine.ram.area().host_calls);
            self.move_output(&mut complaints)?;
            self.heed_signals()?;
            self.serve_control()?;
            if let Some(elastic) = &mut self.elastic {
                elastic.look(self.machine.ram.area(), Instant::now());
            }
            // The process's standard error ends when it does, and wakes us.
            if self.machine.complaints.has_ended() {
                break self.machine.child.wait().map_err(RunError::Watch)?;
            }
            self.sleep()?;
        };
        self.finish(end, &mut complaints)
    }

    /// Takes in what the machine says, as long as there is room for it.
    fn move_output(&mut self, complaints: &mut String) -> Result<(), RunError> {
        let console = &self.machine.ram.area().console;
        let mut record = Vec::new();
        while self.stdout.has_room() && self.stderr.has_room() {
            record.clear();
            match console.pop(|byte| record.push(byte)) {
                Some(Stream::Stdout) => self.stdout.push(&record),
                Some(Stream::Stderr) => self.stderr.push(&record),
                None => break,
            }
        }
        let mut room = [0; 4096];
        while self.stderr.has_room() {
            let bytes = self.machine.log.read(&mut room);
            if bytes.is_empty() {
                break;
            }
            self.log
                .push(bytes, &mut self.stderr)
                .map_err(RunError::KernelLog)?;
        }
        while !self.machine.doorbell.read(&mut room).is_empty() {}
        while let bytes @ [_, ..] = self.machine.complaints.read(&mut room) {
            complaints.push_str(&String::from_utf8_lossy(bytes));
        }
        Ok(())
    }

    fn heed_signals(&mut self) -> Result<(), RunError> {
        let now = Instant::now();
        for signal in self.signals.take() {
            let step = self.stopping.on_signal(signal, now);
            self.take(step)?;
        }
        match self.stopping.on_time(now) {
            Some(step) => self.take(step),
            None => Ok(()),
        }
    }

    fn take(&mut self, step: Step) -> Result<(), RunError> {
        let stop = &self.machine.ram.area().stop;
        match step {
            Step::Ask => stop.store(1, Ordering::Release),
            Step::End => stop.store(2, Ordering::Release),
            Step::Kill => self.machine.child.kill().map_err(RunError::Watch)?,
        }
        Ok(())
    }

    fn serve_control(&mut self) -> Result<(), RunError> {
        let area = self.machine.ram.area();
        let (info, started) = (&self.info, self.started);
        let ask = || self.machine.doorbell.ring();
        let machine = self.machine.area.as_ref().map(|area| MachineCounters {
            table: area.counters(),
            ask: &ask,
        });
        let counting = Counting {
            kernel: &area.counters,
            machine,
        };
        let scaling = Scaling {
            area,
            most: info.max_cores,
        };
        let wish = self.control.serve(&counting, &scaling, || {
            let state = match (area.outcome(), area.stage.load(Ordering::Acquire)) {
                (Outcome::Running, 0) => "booting",
                (Outcome::Running, _) => "running",
                _ => "ended",
            };
            Info {
                state: state.to_owned(),
                uptime_s: started.elapsed().as_secs(),
                cores: scaling.active(),
                ..info.clone()
            }
        });
        if wish == Wish::Stop && !self.stopping.is_begun() {
            let step = self.stopping.on_signal(SIGTERM, Instant::now());
            self.take(step)?;
        }
        Ok(())
    }

    /// Waits until there is something to do, and writes what can be written.
    fn sleep(&mut self) -> Result<(), RunError> {
        let area = self.machine.ram.area();
        // Without room for more, to hear of more would only keep both sides busy.
        let has_room = self.stdout.has_room() && self.stderr.has_room();
        area.wants_doorbell.store(has_room.into(), Ordering::SeqCst);
        area.host_calls.wants_doorbell.store(1, Ordering::SeqCst);
        // The kernel looks at the wish after it has written; we look at what it has written after the wish. One of the
        // two looks sees the other side's write.
        fence(Ordering::SeqCst);
        let has_output = has_room && !area.console.is_empty();
        if !has_output && !self.host_calls.is_behind(&area.host_calls) {
            self.wait()?;
        }
        let area = self.machine.ram.area();
        area.wants_doorbell.store(0, Ordering::SeqCst);
        area.host_calls.wants_doorbell.store(0, Ordering::SeqCst);
        self.write()
    }

    /// Sleeps until something moves, or until the next thing is due.
    fn wait(&mut self) -> Result<(), RunError> {
        let machine = &self.machine;
        let mut fds = Vec::new();
        fds.extend(
            [machine.doorbell.poll_fd(), machine.complaints.poll_fd()]
                .into_iter()
                .flatten(),
        );
        fds.extend(machine.log.poll_fd().filter(|_| self.stderr.has_room()));
        fds.extend(
            [self.stdout.poll_fd(), self.stderr.poll_fd()]
                .into_iter()
                .flatten(),
        );
        fds.extend(self.signals.poll_fds());
        fds.extend(self.control.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let look = self.elastic.as_ref().map(Elastic::due);
        let due = [self.stopping.deadline(), look]
            .into_iter()
            .flatten()
            .min()
            .map(|due| due.saturating_duration_since(Instant::now()));
        let patience = [due, self.control.patience()].into_iter().flatten().min();
        poll_for(&mut fds, patience)
    }

    /// Writes what can be written. When no one reads the app's standard output any more, that is a SIGPIPE to it.
    fn write(&mut self) -> Result<(), RunError> {
        // If no one reads our standard error, no one is left to be told.
        let _ = self.stderr.write();
        if self.stdout.write().is_err() && !self.stopping.is_begun() {
            let step = self.stopping.on_signal(SIGPIPE, Instant::now());
            self.take(step)?;
        }
        Ok(())
    }

    /// The machine is gone: passes on the rest, unless a signal says that no one waits for it.
    fn finish(mut self, end: ExitStatus, complaints: &mut String) -> Result<u8, RunError> {
        loop {
            self.move_output(complaints)?;
            if self.stdout.is_empty() && self.stderr.is_empty() {
                self.log.finish(&mut self.stderr);
            }
            let mut fds: Vec<PollFd<'_>> = [self.stdout.poll_fd(), self.stderr.poll_fd()]
                .into_iter()
                .flatten()
                .collect();
            if fds.is_empty() {
                break;
            }
            fds.extend(self.signals.poll_fds());
            poll_for(&mut fds, None)?;
            if !self.signals.take().is_empty() {
                break;
            }
            self.write()?;
        }
        verdict(
            self.machine.kind,
            end,
            self.machine.ram.area().outcome(),
            self.stopping.forced_by(),
            complaints,
        )
    }
}

fn poll_for(fds: &mut [PollFd<'_>], patience: Option<Duration>) -> Result<(), RunError> {
    // Rounded up to the next millisecond: what is due sooner must not be polled for in a tight loop.
    let patience = patience.map(|patience| patience + Duration::from_millis(1));
    let timeout = patience.map_or(PollTimeout::NONE, |patience| {
        patience.try_into().unwrap_or(PollTimeout::MAX)
    });
    match poll(fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(RunError::Watch(errno.into())),
    }
}
