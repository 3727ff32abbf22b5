use super::{Args, int};
use crate::arch::smp::MAX_CORES;
use crate::arch::{syscall_entry, tsc};
use crate::mem::UserVirt;
use crate::user::descriptors::MAX_DESCRIPTORS;
use crate::user::loader::USER_ID;
use crate::user::process::Process;
use crate::user::thread::PROCESS_ID;
use syscalls::{Errno, Sysno};

const RLIMIT_STACK: i32 = 3;
const RLIMIT_CORE: i32 = 4;
const RLIMIT_NOFILE: i32 = 7;
const RLIMITS: i32 = 16;

/// `struct utsname`: six fields of this size. The release is the oldest Linux whose calls are meant; a C library may refuse
/// to run on one older than it knows.
const UTSNAME_FIELD: usize = 65;
const UTSNAME: [&[u8]; 6] = [b"Linux", b"ixion", b"6.1.0-ixion", b"Ixion", b"x86_64", b"(none)"];

/// Bytes of random data made at a time.
const PIECE_BYTES: usize = 256;

/// Linux cuts off what is asked for beyond this.
const RANDOM_MAX_BYTES: u64 = 33_554_431;

impl Process {
    pub(super) fn dispatch_system(&mut self, call: Sysno, a: Args) -> Option<Result<u64, Errno>> {
        Some(match call {
            Sysno::getpid => Ok(PROCESS_ID.into()),
            Sysno::getppid => Ok(1),
            Sysno::getuid | Sysno::geteuid | Sysno::getgid | Sysno::getegid => Ok(USER_ID),
            Sysno::getrandom => self.getrandom(a),
            Sysno::prlimit64 => self.prlimit64(a),
            Sysno::getrlimit => self.prlimit64([0, a[0], 0, a[1], 0, 0]),
            Sysno::sched_getaffinity => self.sched_getaffinity(a),
            Sysno::getcpu => self.getcpu(a),
            Sysno::uname => self.uname(a),
            Sysno::sysinfo => self.sysinfo(a),
            _ => return None,
        })
    }

    fn getrandom(&mut self, [to, len, ..]: Args) -> Result<u64, Errno> {
        let len = len.min(RANDOM_MAX_BYTES);
        let mut done = 0;
        let mut piece = [0; PIECE_BYTES];
        while done < len {
            let count = usize::try_from(len - done).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let bytes = piece.get_mut(..count).ok_or(Errno::EFAULT)?;
            self.random.fill(bytes);
            self.memory
                .copy_out(UserVirt(to.wrapping_add(done)), bytes)
                .ok_or(Errno::EFAULT)?;
            done += count as u64;
        }
        Ok(len)
    }

    /// Limits are told, not changed.
    fn prlimit64(&mut self, [process, resource, new, old, ..]: Args) -> Result<u64, Errno> {
        if int(process) != 0 && int(process) != PROCESS_ID.cast_signed() {
            return Err(Errno::ESRCH);
        }
        let limit = match int(resource) {
            RLIMIT_STACK => self.stack_bytes,
            RLIMIT_CORE => 0,
            RLIMIT_NOFILE => MAX_DESCRIPTORS as u64,
            0..RLIMITS => u64::MAX,
            _ => return Err(Errno::EINVAL),
        };
        if new != 0 {
            return Err(Errno::EPERM);
        }
        if old != 0 {
            self.memory
                .write(UserVirt(old), [limit, limit])
                .ok_or(Errno::EFAULT)?;
        }
        Ok(0)
    }

    /// All cores of the dataplane.
    fn sched_getaffinity(&mut self, [_, len, to, ..]: Args) -> Result<u64, Errno> {
        if len < 8 || !len.is_multiple_of(8) {
            return Err(Errno::EINVAL);
        }
        let mask = u64::MAX >> (MAX_CORES - self.io_areas.len().clamp(1, MAX_CORES));
        self.memory.write(UserVirt(to), mask).ok_or(Errno::EFAULT)?;
        Ok(8)
    }

    /// A thread that is bound to no core may be on another a moment later.
    fn getcpu(&mut self, [cpu, node, ..]: Args) -> Result<u64, Errno> {
        let core = u32::try_from(syscall_entry::this_core()).unwrap_or(0);
        for (address, value) in [(cpu, core), (node, 0)] {
            if address != 0 {
                self.memory.write(UserVirt(address), value).ok_or(Errno::EFAULT)?;
            }
        }
        Ok(0)
    }

    fn uname(&mut self, [to, ..]: Args) -> Result<u64, Errno> {
        let mut name = [0; UTSNAME_FIELD * UTSNAME.len()];
        for (field, value) in name.chunks_mut(UTSNAME_FIELD).zip(UTSNAME) {
            field
                .iter_mut()
                .zip(value)
                .for_each(|(place, &byte)| *place = byte);
        }
        self.memory.copy_out(UserVirt(to), &name).ok_or(Errno::EFAULT)?;
        Ok(0)
    }

    /// `struct sysinfo`, as 14 words: uptime first, total and free memory fifth and sixth, their unit in the last.
    fn sysinfo(&mut self, [to, ..]: Args) -> Result<u64, Errno> {
        let total = self.memory.arena_bytes();
        let mut info = [0u64; 14];
        info[0] = tsc::now_ns() / 1_000_000_000;
        info[4] = total;
        info[5] = total.saturating_sub(self.memory.mapped_bytes());
        info[10] = self.threads.count() as u64;
        info[13] = 1;
        self.memory.write(UserVirt(to), info).ok_or(Errno::EFAULT)?;
        Ok(0)
    }
}
