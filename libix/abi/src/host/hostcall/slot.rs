use super::Operation;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Room for data in a slot, of the request and then of the answer.
pub const DATA_BYTES: usize = 1 << 16;

const WORD: usize = size_of::<u64>();

/// Errors are negated numbers down to this one; what is below it is none.
const LAST_ERRNO: i64 = -4095;

/// Linux' EIO, which stands for an answer that is none.
const EIO: i32 = 5;

/// Where one question and its answer lie. The data go word by word through atomics, so neither side needs unsafe code.
#[repr(C)]
pub struct Slot {
    /// Kernel: raised by one with each request.
    posted: AtomicU32,
    /// Launcher: the request that the answer is to.
    answered: AtomicU32,
    pub(super) operation: AtomicU32,
    /// Of the request; later of the answer.
    pub(super) data_bytes: AtomicU32,
    arguments: [AtomicU64; 4],
    /// Two's complement; negative: an error.
    result: AtomicU64,
    data: [AtomicU64; DATA_BYTES / WORD],
}

/// A request as the launcher has copied it, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which one it is; goes into the answer.
    pub turn: u32,
    /// What is wanted; `None`: nothing that there is.
    pub operation: Option<Operation>,
    /// See [`Operation`].
    pub arguments: [u64; 4],
    /// Bytes of data that are there.
    pub data_bytes: usize,
}

/// An answer as the kernel has copied it, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The value, which is not negative, or Linux' number of an error.
    pub result: Result<u64, i32>,
    /// Bytes of data that are there.
    pub data_bytes: usize,
}

impl Slot {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Slot {
            posted: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            operation: AtomicU32::new(0),
            data_bytes: AtomicU32::new(0),
            arguments: [const { AtomicU64::new(0) }; 4],
            result: AtomicU64::new(0),
            data: [const { AtomicU64::new(0) }; DATA_BYTES / WORD],
        }
    }

    /// Kernel: posts a request whose data have been written before.
    #[allow(clippy::cast_possible_truncation, reason = "at most DATA_BYTES")]
    pub fn post(&self, operation: Operation, arguments: [u64; 4], data_bytes: usize) {
        self.operation.store(operation as u32, Ordering::Relaxed);
        for (place, value) in self.arguments.iter().zip(arguments) {
            place.store(value, Ordering::Relaxed);
        }
        self.data_bytes
            .store(data_bytes.min(DATA_BYTES) as u32, Ordering::Relaxed);
        // Nobody else writes this word who means well, and the answer to a wrong one is never seen.
        let turn = self.answered.load(Ordering::Relaxed).wrapping_add(1);
        self.posted.store(turn, Ordering::Release);
    }

    /// Launcher: the request that waits for an answer.
    pub fn request(&self) -> Option<Request> {
        let turn = self.posted.load(Ordering::Acquire);
        if turn == self.answered.load(Ordering::Relaxed) {
            return None;
        }
        Some(Request {
            turn,
            operation: Operation::from_number(self.operation.load(Ordering::Relaxed)),
            arguments: core::array::from_fn(|i| self.arguments[i].load(Ordering::Relaxed)),
            data_bytes: self.count(),
        })
    }

    /// Launcher: answers the request of `turn` with a value or an error of Linux; data have been written before.
    #[allow(clippy::cast_possible_truncation, reason = "at most DATA_BYTES")]
    pub fn answer(&self, turn: u32, result: Result<u64, i32>, data_bytes: usize) {
        let word = match result {
            Ok(value) => value,
            Err(errno) => i64::from(errno).wrapping_neg().cast_unsigned(),
        };
        self.result.store(word, Ordering::Relaxed);
        self.data_bytes
            .store(data_bytes.min(DATA_BYTES) as u32, Ordering::Relaxed);
        self.answered.store(turn, Ordering::Release);
    }

    /// Kernel: the answer to what was posted, if it is there.
    pub fn answered(&self) -> Option<Answered> {
        if !self.is_answered() {
            return None;
        }
        let result = match self.result.load(Ordering::Relaxed).cast_signed() {
            value @ 0.. => Ok(value.cast_unsigned()),
            error @ LAST_ERRNO..0 => Err(i32::try_from(-error).unwrap_or(EIO)),
            _ => Err(EIO),
        };
        Some(Answered {
            result,
            data_bytes: self.count(),
        })
    }

    /// Kernel: whether it is.
    #[inline]
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire) == self.posted.load(Ordering::Relaxed)
    }

    fn count(&self) -> usize {
        let count = self.data_bytes.load(Ordering::Relaxed);
        usize::try_from(count).map_or(DATA_BYTES, |count| count.min(DATA_BYTES))
    }

    /// Puts bytes into the data, from `offset` on; what is beyond its end is cut off.
    pub fn write(&self, offset: usize, mut bytes: &[u8]) {
        let mut at = offset;
        while let Some(word) = self.data.get(at / WORD)
            && !bytes.is_empty()
        {
            let lane = at % WORD;
            let (now, later) = bytes.split_at(bytes.len().min(WORD - lane));
            let mut value = match now.len() {
                WORD => [0; WORD],
                _ => word.load(Ordering::Relaxed).to_le_bytes(),
            };
            value[lane..lane + now.len()].copy_from_slice(now);
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
            at += now.len();
            bytes = later;
        }
    }

    /// Copies bytes of the data, from `offset` on; what is beyond its end is left as it is.
    pub fn read(&self, offset: usize, mut bytes: &mut [u8]) {
        let mut at = offset;
        while let Some(word) = self.data.get(at / WORD)
            && !bytes.is_empty()
        {
            let lane = at % WORD;
            let count = bytes.len().min(WORD - lane);
            let (now, later) = bytes.split_at_mut(count);
            let value = word.load(Ordering::Relaxed).to_le_bytes();
            now.copy_from_slice(&value[lane..lane + count]);
            at += count;
            bytes = later;
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}
