use ix_abi::host::HostCalls;
use ix_abi::host::hostcall::{DATA_BYTES, INPUT_SLOTS, Operation, Request, WITHOUT_END};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Answers calls on standard input. Those that have to wait are kept; nothing is read before somebody asks.
#[derive(Debug)]
pub(super) struct Input {
    /// `None`: we have none either, which is the end of it.
    source: Option<File>,
    waiting: [Option<Waiting>; INPUT_SLOTS],
}

/// A call that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    turn: u32,
    wish: Wish,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    /// So many bytes, as soon as there are any.
    Bytes(usize),
    /// Only whether there are some, until then.
    Ready(Option<Instant>),
}

impl Input {
    /// Reads from a duplicate of `source`.
    pub(super) fn new(source: impl AsFd) -> Self {
        Self {
            source: source.as_fd().try_clone_to_owned().ok().map(File::from),
            waiting: [None; INPUT_SLOTS],
        }
    }

    /// Takes in new calls, and answers what can be answered now.
    pub(super) fn serve(&mut self, calls: &HostCalls) {
        for (slot, waiting) in calls.input.iter().zip(&mut self.waiting) {
            let Some(request) = slot.request() else {
                continue;
            };
            if waiting.is_none_or(|waiting| waiting.turn != request.turn) {
                match wish(&request) {
                    Some(wish) => {
                        let turn = request.turn;
                        *waiting = Some(Waiting { turn, wish });
                    }
                    None => slot.answer(request.turn, Err(Errno::ENOSYS as i32), 0),
                }
            }
        }
        for index in 0..INPUT_SLOTS {
            self.serve_one(calls, index);
        }
    }

    fn serve_one(&mut self, calls: &HostCalls, index: usize) {
        let Some(Waiting { turn, wish }) = self.waiting[index] else {
            return;
        };
        let slot = &calls.input[index];
        let found = self.look();
        match wish {
            Wish::Bytes(_) if found.is_empty() => return,
            Wish::Bytes(count) => {
                let mut bytes = vec![0; count];
                match self.read(&mut bytes) {
                    Ok(count) => {
                        slot.write(0, &bytes[..count]);
                        slot.answer(turn, Ok(count as u64), count);
                    }
                    Err(Errno::EAGAIN | Errno::EINTR) => return,
                    Err(errno) => slot.answer(turn, Err(errno as i32), 0),
                }
            }
            Wish::Ready(until) => {
                let is_over = until.is_some_and(|until| Instant::now() >= until);
                if found.is_empty() && !is_over {
                    return;
                }
                let revents = u64::from(found.bits().cast_unsigned());
                slot.answer(turn, Ok(revents), 0);
            }
        }
        self.waiting[index] = None;
    }

    /// What can be said of the source now. Without one, its end can be read.
    fn look(&self) -> PollFlags {
        let Some(source) = &self.source else {
            return PollFlags::POLLIN | PollFlags::POLLHUP;
        };
        let mut fds = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(_) => fds[0].revents().unwrap_or(PollFlags::empty()),
            Err(_) => PollFlags::empty(),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Errno> {
        match &mut self.source {
            Some(source) => source
                .read(bytes)
                .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
            None => Ok(0),
        }
    }

    /// What to wait for besides new calls: something to read, if somebody wants it, and the time that is up first.
    pub(super) fn wants(&self) -> (Option<BorrowedFd<'_>>, Option<Duration>) {
        let mut waiting = self.waiting.iter().flatten().peekable();
        let source = waiting.peek().and(self.source.as_ref()).map(AsFd::as_fd);
        let due = waiting.filter_map(|waiting| match waiting.wish {
            Wish::Ready(until) => until,
            Wish::Bytes(_) => None,
        });
        let patience = due.min().map(|due| due.saturating_duration_since(Instant::now()));
        (source, patience)
    }
}

fn wish(request: &Request) -> Option<Wish> {
    let [first, ..] = request.arguments;
    match request.operation? {
        Operation::InputRead => {
            let count = usize::try_from(first).map_or(DATA_BYTES, |count| count.min(DATA_BYTES));
            Some(Wish::Bytes(count))
        }
        Operation::InputReady if first == WITHOUT_END => Some(Wish::Ready(None)),
        // A time too far away to be told is never.
        Operation::InputReady => Some(Wish::Ready(
            Instant::now().checked_add(Duration::from_millis(first)),
        )),
        _ => None,
    }
}
