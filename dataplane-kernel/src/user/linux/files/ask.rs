use super::super::Answer;
use super::descriptor::Opening;
use super::path::Path;
use super::status::Layout;
use super::transfer::Transfer;
use crate::arch::tsc;
use crate::mem::UserVirt;
use crate::user::host_calls::{Kind, Pending, Place};
use crate::user::process::Process;
use crate::user::thread::Wait;
use ix_abi::host::hostcall::{Answered, FILE_STATUS_BYTES, FileStatus, Operation, Slot};
use syscalls::Errno;

/// Time between two tries of a call for which there is no slot.
const NO_SLOT_NS: u64 = 200_000;

/// Data are copied between ring 3 and a slot in pieces of this size.
const PIECE_BYTES: usize = 512;

/// What is done with the launcher's answer.
#[derive(Debug)]
pub(in crate::user) enum Then {
    /// Its value is dropped: a success is 0.
    Nothing,
    /// So is the whole answer: the result is this.
    Ignore(u64),
    /// Its value is the result.
    Value,
    /// A file is open.
    Opened(Opening),
    /// Its data are ring 3's: at most `room` bytes at `to`.
    Bytes { to: u64, room: usize },
    /// Its data are a file's status, for ring 3.
    Status { to: u64, layout: Layout },
    /// Its data are a file's status; if that is a directory, it becomes the current one.
    Enter(Path),
    /// Bytes have been moved.
    Moved(Transfer),
    /// It is input's `revents`.
    Polled { list: u64, count: u64 },
}

/// What comes of an answer.
pub(super) enum Next {
    /// The call's result.
    Result(Result<u64, Errno>),
    /// A further question, in the same place.
    Again(Transfer),
}

impl From<Result<u64, Errno>> for Next {
    fn from(result: Result<u64, Errno>) -> Self {
        Next::Result(result)
    }
}

impl Process {
    /// A place to ask this in; or, if there is none now, the answer that has the thread come again.
    pub(super) fn slot_for(&mut self, operation: Operation) -> Result<Place, Answer> {
        if !self.host.is_connected() {
            return Err(Answer::Return(Err(Errno::ENOENT)));
        }
        self.host.free(Kind::of(operation)).ok_or(Answer::Repeat {
            at_ns: tsc::now_ns().saturating_add(NO_SLOT_NS),
        })
    }

    /// Asks the launcher; the thread waits for what comes of it.
    pub(super) fn ask(
        &mut self,
        number: usize,
        operation: Operation,
        arguments: [u64; 4],
        data: &[u8],
        then: Then,
    ) -> Answer {
        let place = match self.slot_for(operation) {
            Ok(place) => place,
            Err(answer) => return answer,
        };
        if let Some(slot) = self.host.slot(place) {
            slot.write(0, data);
        }
        self.ask_at(place, number, (operation, arguments), data.len(), then)
    }

    /// The same with the place chosen and the data in it.
    pub(super) fn ask_at(
        &mut self,
        place: Place,
        thread: usize,
        question: (Operation, [u64; 4]),
        data_bytes: usize,
        then: Then,
    ) -> Answer {
        self.host
            .post(place, question, data_bytes, Pending { thread, then });
        // Only the answer ends this wait.
        Answer::Wait(Wait {
            futex: None,
            deadline_ns: u64::MAX,
            timed_out: Err(Errno::EIO),
        })
    }

    /// Ends the waits of the threads whose answers are there; `true` if there was one.
    pub(in crate::user) fn take_answers(&mut self) -> bool {
        let mut woken = false;
        while let Some((place, answered, Pending { thread, then })) = self.host.take() {
            let Some(slot) = self.host.slot(place) else {
                continue;
            };
            match self.on_answer(slot, answered, then) {
                Next::Result(result) => {
                    self.wake_with(thread, result);
                    woken = true;
                }
                Next::Again(transfer) => {
                    let (question, data_bytes) = (transfer.question(), transfer.data_bytes());
                    let then = Then::Moved(transfer);
                    self.host
                        .post(place, question, data_bytes, Pending { thread, then });
                }
            }
        }
        woken
    }

    fn on_answer(&mut self, slot: &Slot, answered: Answered, then: Then) -> Next {
        let result = answered.result.map_err(Errno::new);
        let result = match then {
            Then::Nothing => result.map(|_| 0),
            Then::Ignore(value) => Ok(value),
            Then::Value => result,
            Then::Opened(opening) => self.on_opened(result, &opening),
            Then::Bytes { to, room } => result.and_then(|count| {
                let count = usize::try_from(count).unwrap_or(room).min(room);
                self.give_data(slot, 0, to, count)?;
                Ok(count as u64)
            }),
            Then::Status { to, layout } => {
                result.and_then(|_| self.write_status(to, layout, &status(slot, answered)?))
            }
            Then::Enter(path) => result.and_then(|_| self.enter(&path, &status(slot, answered)?)),
            Then::Polled { list, count } => result.and_then(|found| self.on_polled(list, count, found)),
            Then::Moved(transfer) => return self.on_moved(slot, answered, result, transfer),
        };
        result.into()
    }

    /// Copies `count` bytes of a slot's data to ring 3.
    pub(super) fn give_data(
        &mut self,
        slot: &Slot,
        offset: usize,
        to: u64,
        count: usize,
    ) -> Result<(), Errno> {
        let mut piece = [0; PIECE_BYTES];
        for done in (0..count).step_by(PIECE_BYTES) {
            let bytes = piece
                .get_mut(..PIECE_BYTES.min(count - done))
                .ok_or(Errno::EFAULT)?;
            slot.read(offset + done, bytes);
            let address = UserVirt(to.wrapping_add(done as u64));
            self.memory.copy_out(address, bytes).ok_or(Errno::EFAULT)?;
        }
        Ok(())
    }

    /// Copies `count` bytes of ring 3's to a slot's data.
    pub(super) fn take_data(&self, slot: &Slot, offset: usize, from: u64, count: usize) -> Result<(), Errno> {
        let mut piece = [0; PIECE_BYTES];
        for done in (0..count).step_by(PIECE_BYTES) {
            let bytes = piece
                .get_mut(..PIECE_BYTES.min(count - done))
                .ok_or(Errno::EFAULT)?;
            let address = UserVirt(from.wrapping_add(done as u64));
            self.memory.copy_in(address, bytes).ok_or(Errno::EFAULT)?;
            slot.write(offset + done, bytes);
        }
        Ok(())
    }
}

/// The status that an answer's data are.
fn status(slot: &Slot, answered: Answered) -> Result<FileStatus, Errno> {
    if answered.data_bytes < FILE_STATUS_BYTES {
        return Err(Errno::EIO);
    }
    let mut bytes = [0; FILE_STATUS_BYTES];
    slot.read(0, &mut bytes);
    Ok(FileStatus::from_bytes(&bytes))
}
