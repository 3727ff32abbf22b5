use super::super::{Answer, Args, int};
use super::ask::{Next, Then};
use crate::mem::UserVirt;
use crate::user::descriptors::Open;
use crate::user::memory::Memory;
use crate::user::process::Process;
use alloc::vec::Vec;
use ix_abi::host::hostcall::{Answered, DATA_BYTES, HERE, Operation, Slot};
use syscalls::{Errno, Sysno};

/// Most pieces of a `readv` or `writev`.
pub(super) const IOV_MAX: u64 = 1024;

/// Linux moves no more in one call.
const MOST_BYTES: u64 = 0x7fff_f000;

/// Where ring 3's bytes are.
#[derive(Clone, Copy, Debug)]
enum Spans {
    One {
        address: u64,
        len: u64,
    },
    /// `struct iovec`s, which are read again for each piece.
    Many {
        list: u64,
        count: u64,
    },
}

/// A read or write under way, a slotful at a time.
#[derive(Debug)]
pub(in crate::user) struct Transfer {
    operation: Operation,
    handle: u32,
    /// Where in the file it began, unless at the file's own position.
    offset: u64,
    spans: Spans,
    /// Bytes moved so far.
    done: u64,
    /// Bytes asked for in this piece.
    asked: usize,
}

impl Transfer {
    /// Of this piece.
    pub(super) fn question(&self) -> (Operation, [u64; 4]) {
        let offset = match self.offset {
            HERE => HERE,
            start => start.saturating_add(self.done),
        };
        let (handle, asked) = (u64::from(self.handle), self.asked as u64);
        let arguments = match self.operation {
            Operation::InputRead => [asked, 0, 0, 0],
            Operation::Read => [handle, asked, offset, 0],
            _ => [handle, offset, 0, 0],
        };
        (self.operation, arguments)
    }

    /// Bytes of data that go with it.
    pub(super) fn data_bytes(&self) -> usize {
        match self.operation {
            Operation::Write => self.asked,
            _ => 0,
        }
    }

    /// Hands out what the next piece consists of: address, length, and how far from the piece's start. Returns the
    /// piece's length.
    fn each_span(
        &self,
        memory: &Memory,
        mut take: impl FnMut(u64, usize, usize) -> Result<(), Errno>,
    ) -> Result<usize, Errno> {
        let (mut skip, mut taken) = (self.done, 0);
        let count = match self.spans {
            Spans::One { .. } => 1,
            Spans::Many { count, .. } => count,
        };
        for index in 0..count {
            let (address, len) = self.spans.get(memory, index)?;
            let skipped = skip.min(len);
            skip -= skipped;
            let room = DATA_BYTES - taken;
            let len = usize::try_from(len - skipped).map_or(room, |len| len.min(room));
            if len > 0 {
                take(address.wrapping_add(skipped), len, taken)?;
                taken += len;
            }
            if taken == DATA_BYTES {
                break;
            }
        }
        Ok(taken)
    }
}

impl Spans {
    fn get(&self, memory: &Memory, index: u64) -> Result<(u64, u64), Errno> {
        match *self {
            Spans::One { address, len } => Ok((address, len.min(MOST_BYTES))),
            Spans::Many { list, .. } => {
                let entry = UserVirt(list.wrapping_add(index * 16));
                let [address, len]: [u64; 2] = memory.read(entry).ok_or(Errno::EFAULT)?;
                Ok((address, len.min(MOST_BYTES)))
            }
        }
    }
}

/// What a call of this kind says about where.
fn spans_and_offset(call: Sysno, [_, at, count, offset, ..]: Args) -> Result<(Spans, u64), Errno> {
    let spans = match call {
        Sysno::read | Sysno::write | Sysno::pread64 | Sysno::pwrite64 => Spans::One {
            address: at,
            len: count,
        },
        _ if count > IOV_MAX => return Err(Errno::EINVAL),
        _ => Spans::Many { list: at, count },
    };
    let offset = match call {
        Sysno::pread64 | Sysno::pwrite64 | Sysno::preadv | Sysno::pwritev => Some(offset),
        _ => None,
    };
    match offset {
        Some(offset) if offset.cast_signed() < 0 => Err(Errno::EINVAL),
        Some(offset) => Ok((spans, offset)),
        None => Ok((spans, HERE)),
    }
}

impl Process {
    /// `read` and its kin.
    pub(super) fn read_call(&mut self, thread: usize, call: Sysno, a: Args) -> Result<Answer, Errno> {
        let open = self.files.get(int(a[0]))?;
        let (operation, handle) = match open {
            Open::Input => (Operation::InputRead, 0),
            Open::File(file) => (Operation::Read, file.handle),
            Open::Output(_) => return Err(Errno::EBADF),
        };
        let (spans, offset) = spans_and_offset(call, a)?;
        match operation {
            Operation::InputRead if offset != HERE => return Err(Errno::ESPIPE),
            // Without a launcher there is nothing to read.
            Operation::InputRead if !self.host.is_connected() => return Ok(Answer::Return(Ok(0))),
            _ => {}
        }
        self.start(thread, operation, handle, spans, offset)
    }

    /// `write` and its kin.
    pub(super) fn write_call(&mut self, thread: usize, call: Sysno, a: Args) -> Result<Answer, Errno> {
        let handle = match self.files.get(int(a[0]))? {
            Open::Input => return Err(Errno::EBADF),
            Open::File(file) => file.handle,
            Open::Output(stream) => {
                let stream = *stream;
                return self.write_output(stream, call, a);
            }
        };
        let (spans, offset) = spans_and_offset(call, a)?;
        self.start(thread, Operation::Write, handle, spans, offset)
    }

    fn start(
        &mut self,
        thread: usize,
        operation: Operation,
        handle: u32,
        spans: Spans,
        offset: u64,
    ) -> Result<Answer, Errno> {
        let place = match self.slot_for(operation) {
            Ok(place) => place,
            Err(answer) => return Ok(answer),
        };
        let slot = self.host.slot(place).ok_or(Errno::EIO)?;
        let mut transfer = Transfer {
            operation,
            handle,
            offset,
            spans,
            done: 0,
            asked: 0,
        };
        transfer.asked = self.prepare(slot, &transfer)?;
        if transfer.asked == 0 {
            return Ok(Answer::Return(Ok(0)));
        }
        let (question, data_bytes) = (transfer.question(), transfer.data_bytes());
        Ok(self.ask_at(place, thread, question, data_bytes, Then::Moved(transfer)))
    }

    /// Makes the next piece ready: puts its bytes into the slot, or sees that there is room for them. Its length.
    fn prepare(&self, slot: &Slot, transfer: &Transfer) -> Result<usize, Errno> {
        transfer.each_span(&self.memory, |address, len, at| match transfer.operation {
            Operation::Write => self.take_data(slot, at, address, len),
            _ if self.memory.is_writable(UserVirt(address), len as u64) => Ok(()),
            _ => Err(Errno::EFAULT),
        })
    }

    /// A piece has been moved, or not.
    pub(super) fn on_moved(
        &mut self,
        slot: &Slot,
        answered: Answered,
        result: Result<u64, Errno>,
        mut transfer: Transfer,
    ) -> Next {
        let so_far = |done: u64, errno| Next::Result(if done > 0 { Ok(done) } else { Err(errno) });
        let count = match result {
            Ok(count) => usize::try_from(count).map_or(transfer.asked, |count| count.min(transfer.asked)),
            Err(errno) => return so_far(transfer.done, errno),
        };
        let count = match transfer.operation {
            Operation::Write => count,
            _ => count.min(answered.data_bytes),
        };
        if transfer.operation != Operation::Write
            && let Err(errno) = self.scatter(slot, &transfer, count)
        {
            return so_far(transfer.done, errno);
        }
        transfer.done += count as u64;
        let goes_on = transfer.operation != Operation::InputRead
            && count == transfer.asked
            && count == DATA_BYTES
            && transfer.done < MOST_BYTES;
        if !goes_on {
            return Next::Result(Ok(transfer.done));
        }
        match self.prepare(slot, &transfer) {
            Ok(0) => Next::Result(Ok(transfer.done)),
            Ok(asked) => {
                transfer.asked = asked;
                Next::Again(transfer)
            }
            Err(errno) => so_far(transfer.done, errno),
        }
    }

    /// Gives the first `count` bytes of a slot to where they were wanted.
    fn scatter(&mut self, slot: &Slot, transfer: &Transfer, count: usize) -> Result<(), Errno> {
        let mut spans = Vec::new();
        transfer.each_span(&self.memory, |address, len, at| {
            spans.push((address, len, at));
            Ok(())
        })?;
        for (address, len, at) in spans {
            self.give_data(slot, at, address, len.min(count.saturating_sub(at)))?;
        }
        Ok(())
    }

    pub(super) fn lseek(&mut self, thread: usize, [fd, offset, whence, ..]: Args) -> Result<Answer, Errno> {
        let file = self.files.file(int(fd), Errno::ESPIPE)?;
        let arguments = [
            file.handle.into(),
            offset,
            u64::from(int(whence).cast_unsigned()),
            0,
        ];
        Ok(self.ask(thread, Operation::Seek, arguments, &[], Then::Value))
    }
}
