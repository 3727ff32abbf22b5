//! Bytes on their way out: to our own standard output and error without ever blocking on who reads them, and the
//! kernel's log.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Output waits in memory up to this; beyond it, what feeds it is no longer read, and the guest has to wait.
const ENOUGH_BYTES: usize = 1 << 18;

/// A pipe or terminal that polls writable takes this much without blocking (PIPE_BUF).
const CHUNK_BYTES: usize = 4096;

/// One of our own output streams. It may be shared with other processes, so it is not switched to non-blocking;
/// instead it is written in pieces that fit.
pub(super) struct Output {
    fd: OwnedFd,
    pending: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Gone,
}

impl Output {
    /// Writes to a duplicate of `fd`.
    pub(super) fn new(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self {
            fd: fd.as_fd().try_clone_to_owned()?,
            pending: Vec::new(),
            state: State::Open,
        })
    }

    /// Adds bytes; they go to nowhere when no one reads any more.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.state == State::Open {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// Whether more should be pushed now.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < ENOUGH_BYTES
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// What to poll, if something waits.
    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        (!self.is_empty()).then(|| PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT))
    }

    /// Writes a piece if that goes without blocking. An error says that the reader is gone, once.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let mut ready = self.poll_fd().into_iter().collect::<Vec<_>>();
        if ready.is_empty() || poll(&mut ready, PollTimeout::ZERO)? == 0 {
            return Ok(());
        }
        let chunk = &self.pending[..self.pending.len().min(CHUNK_BYTES)];
        match nix::unistd::write(&self.fd, chunk) {
            Ok(count) => {
                self.pending.drain(..count);
                Ok(())
            }
            Err(Errno::EINTR | Errno::EAGAIN) => Ok(()),
            Err(errno) => {
                self.pending.clear();
                self.state = State::Gone;
                Err(errno.into())
            }
        }
    }
}

/// Where the kernel's log goes.
pub(super) enum LogSink {
    /// To standard error, each line with a prefix that tells it from the app's.
    Stderr,
    /// Into a file, as it is.
    File(File),
}

/// The kernel's log: takes bytes as they come, gives whole lines.
pub(super) struct KernelLog {
    sink: LogSink,
    line: Vec<u8>,
}

/// Longest line; a longer one is broken.
const MAX_LINE_BYTES: usize = 4096;

impl KernelLog {
    /// A log to `sink`.
    pub(super) fn new(sink: LogSink) -> Self {
        Self {
            sink,
            line: Vec::new(),
        }
    }

    /// Takes bytes of the serial line.
    pub(super) fn push(&mut self, bytes: &[u8], stderr: &mut Output) -> io::Result<()> {
        if let LogSink::File(file) = &mut self.sink {
            return file.write_all(bytes);
        }
        for &byte in bytes.iter().filter(|&&byte| byte != b'\r') {
            self.line.push(byte);
            if byte == b'\n' || self.line.len() >= MAX_LINE_BYTES {
                self.end_line(stderr);
            }
        }
        Ok(())
    }

    /// Gives out a last line without an end.
    pub(super) fn finish(&mut self, stderr: &mut Output) {
        if !self.line.is_empty() {
            self.end_line(stderr);
        }
    }

    fn end_line(&mut self, stderr: &mut Output) {
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        stderr.push(&[b"kernel: ", text, b"\n"].concat());
        self.line.clear();
    }
}

/// One of the machine's wires, read without blocking until its other end closes.
pub(super) struct Wire<R> {
    source: Option<R>,
}

impl<R: Read + AsFd> Wire<R> {
    /// Reads from `source`, which is non-blocking.
    pub(super) fn new(source: R) -> Self {
        Self { source: Some(source) }
    }

    /// What to poll, until the end.
    pub(super) fn poll_fd(&self) -> Option<PollFd<'_>> {
        self.source
            .as_ref()
            .map(|source| PollFd::new(source.as_fd(), PollFlags::POLLIN))
    }

    /// Whether the other end has closed, and all it sent has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.source.is_none()
    }

    /// The next bytes that are there, empty if none are.
    pub(super) fn read<'a>(&mut self, room: &'a mut [u8]) -> &'a [u8] {
        let Some(source) = &mut self.source else {
            return &[];
        };
        let end = match source.read(room) {
            Ok(count @ 1..) => return &room[..count],
            Ok(0) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        if end {
            self.source = None;
        }
        &[]
    }
}

impl Wire<UnixStream> {
    /// Wakes whoever reads at the other end. A full wire has woken him already.
    pub(super) fn ring(&self) {
        if let Some(mut source) = self.source.as_ref() {
            let _ = source.write(b"!");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KernelLog, LogSink, Output};
    use std::io::{Read, pipe};

    #[test]
    fn output_comes_out_in_order_and_waits_for_its_reader() {
        let (mut reader, writer) = pipe().unwrap();
        let mut output = Output::new(&writer).unwrap();
        drop(writer);
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        output.push(&bytes);
        assert!(!output.has_room());
        let mut seen = Vec::new();
        while !output.is_empty() {
            output.write().unwrap();
            let mut chunk = [0; 4096];
            let count = reader.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..count]);
        }
        drop(output);
        reader.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, bytes);
    }

    #[test]
    fn a_reader_that_is_gone_is_reported_once() {
        let (reader, writer) = pipe().unwrap();
        let mut output = Output::new(&writer).unwrap();
        drop(reader);
        output.push(b"x");
        output.write().unwrap_err();
        output.push(b"x");
        assert!(output.is_empty() && output.poll_fd().is_none());
    }

    #[test]
    fn log_lines_are_whole_and_marked() {
        let (_reader, writer) = pipe().unwrap();
        let mut stderr = Output::new(&writer).unwrap();
        let mut log = KernelLog::new(LogSink::Stderr);
        for piece in ["one", "\r\ntw", "o\n\nend"] {
            log.push(piece.as_bytes(), &mut stderr).unwrap();
        }
        log.finish(&mut stderr);
        assert_eq!(
            stderr.pending,
            b"kernel: one\nkernel: two\nkernel: \nkernel: end\n"
        );
    }
}
