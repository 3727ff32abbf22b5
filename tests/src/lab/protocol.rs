//! What the harness and the lab say to each other: each message is a line of JSON, followed by as many bytes as it
//! announces.

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};

/// The virtio-serial port's name.
pub(crate) const PORT: &str = "ixion.lab";

/// The word on the kernel's command line that asks for a shell on the console instead of the port.
pub(crate) const SHELL: &str = "ixion.lab.shell";

/// More than a message may carry: a mistake, not a message.
const LARGEST: usize = 256 << 20;

/// From the harness.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Start a program; its words, its own name first.
    Start {
        /// What the harness calls it from now on.
        process: u32,
        /// Its words.
        words: Vec<String>,
    },
    /// Send a process a signal; one that has ended gets none.
    Signal {
        /// Which.
        process: u32,
        /// The signal's number.
        signal: i32,
    },
    /// Write an executable file; its contents follow.
    Put {
        /// Where.
        path: String,
    },
    /// Kill every process but the agent.
    KillAll,
}

/// One of a process's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// From the lab.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It has booted and takes requests.
    Ready,
    /// A process runs.
    Started {
        /// Which.
        process: u32,
        /// Its id in the lab.
        pid: i32,
    },
    /// A process has said something, which follows.
    Said {
        /// Which.
        process: u32,
        /// Where.
        output: Output,
    },
    /// A process has ended, and said all it had to say. Also when it could not be started: the reason is what it said.
    Ended {
        /// Which.
        process: u32,
        /// Its exit code; 128 + the signal that killed it; 127 if it could not be started.
        code: i32,
    },
    /// `KillAll` is done.
    AllKilled,
}

/// A message as it is sent.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    message: T,
    /// Of what follows.
    bytes: usize,
}

/// Sends a message and what follows it.
///
/// # Errors
/// If the other side is gone.
pub(crate) fn send(to: &mut impl Write, message: impl Serialize, payload: &[u8]) -> Result<()> {
    let bytes = payload.len();
    let mut line = serde_json::to_vec(&Envelope { message, bytes })?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.write_all(payload)?;
    Ok(to.flush()?)
}

/// Receives a message and what follows it; `None` at the end.
///
/// # Errors
/// If what comes is no message.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<Option<(T, Vec<u8>)>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let envelope: Envelope<T> = serde_json::from_slice(&line)
        .with_context(|| format!("not a message: {}", String::from_utf8_lossy(&line)))?;
    ensure!(envelope.bytes <= LARGEST, "a message of {} bytes", envelope.bytes);
    let mut payload = vec![0; envelope.bytes];
    from.read_exact(&mut payload)?;
    Ok(Some((envelope.message, payload)))
}

#[cfg(test)]
mod tests {
    use super::{Output, Report, Request, receive, send};

    #[test]
    fn messages_arrive_in_order_with_what_follows_them() {
        let mut wire = Vec::new();
        let start = Request::Start {
            process: 7,
            words: vec!["echo".to_owned(), "two\nlines".to_owned()],
        };
        send(&mut wire, &start, b"").unwrap();
        send(&mut wire, Request::KillAll, b"{}\n\0\xff").unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(receive(&mut wire).unwrap(), Some((start, vec![])));
        assert_eq!(
            receive(&mut wire).unwrap(),
            Some((Request::KillAll, b"{}\n\0\xff".to_vec()))
        );
        assert_eq!(receive::<Request>(&mut wire).unwrap(), None);
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let mut wire = Vec::new();
        let said = Report::Said {
            process: 1,
            output: Output::Stderr,
        };
        send(&mut wire, said, b"12345").unwrap();
        for end in 1..wire.len() {
            assert!(receive::<Report>(&mut &wire[..end]).is_err(), "{end}");
        }
    }
}
