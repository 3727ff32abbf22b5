use super::{Answer, Args, int};
use crate::user::futex::ANY;
use crate::user::process::Process;
use crate::user::thread::Wait;
use syscalls::Errno;

const FUTEX_WAIT: i32 = 0;
const FUTEX_WAKE: i32 = 1;
const FUTEX_REQUEUE: i32 = 3;
const FUTEX_CMP_REQUEUE: i32 = 4;
const FUTEX_WAIT_BITSET: i32 = 9;
const FUTEX_WAKE_BITSET: i32 = 10;
/// Which clock an absolute timeout means; the other flag (private) makes no difference in one process.
const FUTEX_CLOCK_REALTIME: i32 = 0x100;
const OPERATION: i32 = 0x7f;

/// Counts come as C's `int`; negative ones wake one, as in Linux.
fn count(argument: u64) -> u64 {
    u64::from(int(argument).max(1).cast_unsigned())
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "futex words and bit sets have 32 bits"
)]
const fn word(argument: u64) -> u32 {
    argument as u32
}

impl Process {
    pub(super) fn futex(&mut self, a: Args) -> Answer {
        self.futex_answer(a)
            .unwrap_or_else(|errno| Answer::Return(Err(errno)))
    }

    fn futex_answer(
        &mut self,
        [address, operation, value, extra, other, bits]: Args,
    ) -> Result<Answer, Errno> {
        let flags = int(operation);
        let woken = match flags & OPERATION {
            FUTEX_WAIT => {
                let deadline_ns = self.deadline_after(extra)?;
                return self.futex_wait(address, word(value), ANY, deadline_ns);
            }
            FUTEX_WAIT_BITSET => {
                let deadline_ns = self.deadline_at(extra, flags & FUTEX_CLOCK_REALTIME != 0)?;
                return self.futex_wait(address, word(value), word(bits), deadline_ns);
            }
            FUTEX_WAKE => self.futex_wake(address, count(value), ANY),
            FUTEX_WAKE_BITSET if word(bits) == 0 => return Err(Errno::EINVAL),
            FUTEX_WAKE_BITSET => self.futex_wake(address, count(value), word(bits)),
            FUTEX_CMP_REQUEUE if self.futex_word(address)? != word(bits) => return Err(Errno::EAGAIN),
            FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
                let wanted = u64::from(int(value).max(0).cast_unsigned());
                let woken = self.futex_wake(address, wanted, ANY);
                woken + self.futex_requeue(address, other, u64::from(int(extra).max(0).cast_unsigned()))
            }
            _ => return Err(Errno::ENOSYS),
        };
        Ok(Answer::Return(Ok(woken)))
    }

    fn futex_wait(
        &mut self,
        address: u64,
        expected: u32,
        bits: u32,
        deadline_ns: u64,
    ) -> Result<Answer, Errno> {
        if bits == 0 {
            return Err(Errno::EINVAL);
        }
        if self.futex_word(address)? != expected {
            return Err(Errno::EAGAIN);
        }
        Ok(Answer::Wait(Wait {
            futex: Some((address, bits)),
            deadline_ns,
            timed_out: Err(Errno::ETIMEDOUT),
        }))
    }
}
