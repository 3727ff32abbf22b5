//! The harness' end of the port: requests go out, reports are sorted to whom they are for.

use super::protocol::{self, Output, Report, Request};
use crate::output::Stream;
use std::collections::HashMap;
use std::io::BufReader;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The port, seen from the harness.
#[derive(Debug)]
pub(crate) struct Wire {
    requests: Mutex<ChildStdin>,
    desk: Arc<Mutex<Desk>>,
    /// Told when the lab is ready, and when all is killed; disconnected when it is gone.
    pub(crate) news: Awaited<()>,
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Desk {
    last: u32,
    processes: HashMap<u32, Watched>,
    /// The lab is gone: nobody will ever be told anything.
    closed: bool,
}

/// What reports of a process go to.
#[derive(Debug)]
struct Watched {
    stdout: Stream,
    stderr: Stream,
    started: Sender<i32>,
    ended: Sender<i32>,
}

/// What is seen of a process in the lab. The channels are disconnected when nothing more will come.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) number: u32,
    pub(crate) stdout: Stream,
    pub(crate) stderr: Stream,
    pub(crate) started: Awaited<i32>,
    pub(crate) ended: Awaited<i32>,
}

/// News that come, or the knowledge that none will.
#[derive(Debug)]
pub(crate) struct Awaited<T>(Mutex<Receiver<T>>);

impl<T> Awaited<T> {
    fn new(from: Receiver<T>) -> Self {
        Awaited(Mutex::new(from))
    }

    /// Waits for the next; the error tells whether it may yet come.
    pub(crate) fn within(&self, patience: Duration) -> Result<T, RecvTimeoutError> {
        locked(&self.0).recv_timeout(patience)
    }
}

impl Wire {
    /// Reads reports on a thread of its own, until there are no more.
    pub(crate) fn new(requests: ChildStdin, reports: ChildStdout) -> Self {
        let desk = Arc::new(Mutex::new(Desk::default()));
        let (tell, news) = channel();
        let own = Arc::clone(&desk);
        std::thread::spawn(move || {
            let mut reports = BufReader::new(reports);
            while let Ok(Some((report, payload))) = protocol::receive(&mut reports) {
                locked(&own).sort(report, &payload, &tell);
            }
            locked(&own).close();
        });
        Wire {
            requests: Mutex::new(requests),
            desk,
            news: Awaited::new(news),
        }
    }

    /// Sends a request. If the lab is gone, so is the answer, and whoever waits for it learns that.
    pub(crate) fn send(&self, request: &Request, payload: &[u8]) {
        let _ = protocol::send(&mut *locked(&self.requests), request, payload);
    }

    /// Starts a process.
    pub(crate) fn start(&self, words: &[&str]) -> Seen {
        let (stdout, stderr) = (Stream::default(), Stream::default());
        let (told_start, started) = channel();
        let (told_end, ended) = channel();
        let watched = Watched {
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            started: told_start,
            ended: told_end,
        };
        let process = locked(&self.desk).expect(watched);
        let words = words.iter().map(|&word| word.to_owned()).collect();
        self.send(&Request::Start { process, words }, &[]);
        Seen {
            number: process,
            stdout,
            stderr,
            started: Awaited::new(started),
            ended: Awaited::new(ended),
        }
    }
}

impl Desk {
    fn expect(&mut self, watched: Watched) -> u32 {
        self.last += 1;
        if self.closed {
            watched.end();
        } else {
            self.processes.insert(self.last, watched);
        }
        self.last
    }

    fn sort(&mut self, report: Report, payload: &[u8], tell: &Sender<()>) {
        // Whoever does not listen any more has no use for it.
        match report {
            Report::Ready | Report::AllKilled => drop(tell.send(())),
            Report::Started { process, pid } => {
                if let Some(watched) = self.processes.get(&process) {
                    let _ = watched.started.send(pid);
                }
            }
            Report::Said { process, output } => {
                if let Some(watched) = self.processes.get(&process) {
                    match output {
                        Output::Stdout => watched.stdout.push(payload),
                        Output::Stderr => watched.stderr.push(payload),
                    }
                }
            }
            Report::Ended { process, code } => {
                if let Some(watched) = self.processes.remove(&process) {
                    let _ = watched.ended.send(code);
                    watched.end();
                }
            }
        }
    }

    fn close(&mut self) {
        self.closed = true;
        for (_, watched) in self.processes.drain() {
            watched.end();
        }
    }
}

impl Watched {
    fn end(self) {
        self.stdout.end();
        self.stderr.end();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
