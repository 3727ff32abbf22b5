use super::{Answer, Args, int};
use crate::arch::tsc;
use crate::host;
use crate::mem::UserVirt;
use crate::user::process::Process;
use crate::user::thread::Wait;
use core::sync::atomic::Ordering;
use syscalls::Errno;

const NS_PER_S: u64 = 1_000_000_000;

const CLOCK_REALTIME: i32 = 0;
const CLOCK_REALTIME_COARSE: i32 = 5;
/// The others up to this one (monotonic, raw, boot time, and the times used by process and thread) all count from boot: an
/// app has its core to itself.
const CLOCK_BOOTTIME: i32 = 7;

const TIMER_ABSTIME: i32 = 1;

/// Nanoseconds since 1970 when the clock was at 0.
fn epoch_ns() -> u64 {
    host::area().map_or(0, |area| area.boot_epoch_ns.load(Ordering::Relaxed))
}

/// What a clock has to be advanced by from time since boot; `None`: no such clock.
fn offset_ns(clock: i32) -> Option<u64> {
    match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => Some(epoch_ns()),
        1..=CLOCK_BOOTTIME => Some(0),
        _ => None,
    }
}

const fn timespec(ns: u64) -> [u64; 2] {
    [ns / NS_PER_S, ns % NS_PER_S]
}

impl Process {
    pub(super) fn clock_gettime(&mut self, [clock, to, ..]: Args) -> Result<u64, Errno> {
        let offset_ns = offset_ns(int(clock)).ok_or(Errno::EINVAL)?;
        let now = timespec(tsc::now_ns().wrapping_add(offset_ns));
        self.memory.write(UserVirt(to), now).ok_or(Errno::EFAULT)?;
        Ok(0)
    }

    pub(super) fn clock_getres(&mut self, [clock, to, ..]: Args) -> Result<u64, Errno> {
        offset_ns(int(clock)).ok_or(Errno::EINVAL)?;
        if to != 0 {
            self.memory
                .write(UserVirt(to), timespec(1))
                .ok_or(Errno::EFAULT)?;
        }
        Ok(0)
    }

    pub(super) fn gettimeofday(&mut self, [to, ..]: Args) -> Result<u64, Errno> {
        if to != 0 {
            let [s, ns] = timespec(tsc::now_ns().wrapping_add(epoch_ns()));
            self.memory
                .write(UserVirt(to), [s, ns / 1000])
                .ok_or(Errno::EFAULT)?;
        }
        Ok(0)
    }

    pub(super) fn time(&mut self, [to, ..]: Args) -> Result<u64, Errno> {
        let [s, _] = timespec(tsc::now_ns().wrapping_add(epoch_ns()));
        if to != 0 {
            self.memory.write(UserVirt(to), s).ok_or(Errno::EFAULT)?;
        }
        Ok(s)
    }

    /// The `timespec` at `address`, in nanoseconds.
    fn read_timespec(&self, address: u64) -> Result<u64, Errno> {
        let [s, ns]: [i64; 2] = self.memory.read(UserVirt(address)).ok_or(Errno::EFAULT)?;
        let (s, ns) = (u64::try_from(s), u64::try_from(ns));
        let (Ok(s), Ok(ns @ 0..NS_PER_S)) = (s, ns) else {
            return Err(Errno::EINVAL);
        };
        Ok(s.saturating_mul(NS_PER_S).saturating_add(ns))
    }

    /// The deadline that is a `timespec` from now; none if it is at 0.
    pub(super) fn deadline_after(&self, address: u64) -> Result<u64, Errno> {
        if address == 0 {
            return Ok(u64::MAX);
        }
        Ok(tsc::now_ns().saturating_add(self.read_timespec(address)?))
    }

    /// The deadline that a `timespec` says in time since boot or since 1970; none if it is at 0.
    pub(super) fn deadline_at(&self, address: u64, since_1970: bool) -> Result<u64, Errno> {
        if address == 0 {
            return Ok(u64::MAX);
        }
        let offset_ns = if since_1970 { epoch_ns() } else { 0 };
        Ok(self.read_timespec(address)?.saturating_sub(offset_ns))
    }

    pub(super) fn nanosleep(&mut self, [request, ..]: Args) -> Answer {
        sleep(self.deadline_after_required(request))
    }

    pub(super) fn clock_nanosleep(&mut self, [clock, flags, request, ..]: Args) -> Answer {
        sleep(match offset_ns(int(clock)) {
            None => Err(Errno::EINVAL),
            Some(offset) if int(flags) & TIMER_ABSTIME != 0 => {
                self.read_timespec(request).map(|at| at.saturating_sub(offset))
            }
            Some(_) => self.deadline_after_required(request),
        })
    }

    fn deadline_after_required(&self, address: u64) -> Result<u64, Errno> {
        Ok(tsc::now_ns().saturating_add(self.read_timespec(address)?))
    }
}

/// Waits for nothing but a deadline. Nothing interrupts a sleep, so the time left is never written.
pub(super) fn sleep(deadline: Result<u64, Errno>) -> Answer {
    match deadline {
        Ok(deadline_ns) => Answer::Wait(Wait {
            futex: None,
            deadline_ns,
            timed_out: Ok(0),
        }),
        Err(errno) => Answer::Return(Err(errno)),
    }
}
