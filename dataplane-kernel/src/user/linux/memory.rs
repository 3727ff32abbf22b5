use super::{Args, int};
use crate::user::memory::{Moving, Refused, Replace};
use crate::user::process::Process;
use crate::user::window::Protection;
use syscalls::Errno;

const PROT_READ: i32 = 1;
const PROT_WRITE: i32 = 2;
const PROT_EXEC: i32 = 4;

const MAP_FIXED: i32 = 0x10;
const MAP_ANONYMOUS: i32 = 0x20;
const MAP_NORESERVE: i32 = 0x4000;
const MAP_HUGETLB: i32 = 0x4_0000;
const MAP_FIXED_NOREPLACE: i32 = 0x10_0000;

const MREMAP_MAYMOVE: i32 = 1;

const MADV_DONTNEED: i32 = 4;
const MADV_FREE: i32 = 8;

/// Reservations of address space at least this large are refused. A mapping takes its memory at once, and glibc reserves
/// 64 or 128 MiB for the malloc arena of each thread, of which most never touch more than a little. Refused, glibc falls
/// back to mapping single allocations (see the loader for how it is kept from trying).
const RESERVATION_LIMIT_BYTES: u64 = 64 << 20;

impl From<Refused> for Errno {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoMemory => Errno::ENOMEM,
            Refused::Invalid => Errno::EINVAL,
            Refused::Exists => Errno::EEXIST,
        }
    }
}

/// What a protection means. Writable code is refused, as SELinux refuses it.
fn protection(bits: u64) -> Result<Protection, Errno> {
    let has = |bit| int(bits) & bit != 0;
    match (has(PROT_READ), has(PROT_WRITE), has(PROT_EXEC)) {
        (_, true, true) => Err(Errno::EACCES),
        (_, true, false) => Ok(Protection::ReadWrite),
        (_, false, true) => Ok(Protection::ReadExecute),
        (true, false, false) => Ok(Protection::Read),
        (false, false, false) => Ok(Protection::None),
    }
}

impl Process {
    pub(super) fn mmap(&mut self, [address, len, bits, flags, fd, _]: Args) -> Result<u64, Errno> {
        let has = |flag| int(flags) & flag != 0;
        let protection = protection(bits)?;
        if !has(MAP_ANONYMOUS) {
            // Files are not mapped: a page of theirs would have to be asked for at a fault.
            return self.files.get(int(fd)).and(Err(Errno::ENODEV));
        }
        if has(MAP_HUGETLB) {
            return Err(Errno::ENOMEM);
        }
        if protection == Protection::None && has(MAP_NORESERVE) && len >= RESERVATION_LIMIT_BYTES {
            return Err(Errno::ENOMEM);
        }
        let mapped = if has(MAP_FIXED_NOREPLACE) {
            self.memory.map_at(address, len, protection, Replace::No)
        } else if has(MAP_FIXED) {
            self.memory.map_at(address, len, protection, Replace::Yes)
        } else {
            self.memory.map(address, len, protection)
        };
        Ok(mapped?)
    }

    pub(super) fn munmap(&mut self, [address, len, ..]: Args) -> Result<u64, Errno> {
        self.memory.unmap(address, len)?;
        Ok(0)
    }

    pub(super) fn mprotect(&mut self, [address, len, bits, ..]: Args) -> Result<u64, Errno> {
        self.memory.protect(address, len, protection(bits)?)?;
        Ok(0)
    }

    pub(super) fn mremap(&mut self, [address, old_len, new_len, flags, ..]: Args) -> Result<u64, Errno> {
        let moving = match int(flags) {
            0 => Moving::No,
            MREMAP_MAYMOVE => Moving::Yes,
            _ => return Err(Errno::EINVAL),
        };
        match self.memory.resize(address, old_len, new_len, moving) {
            Err(Refused::Invalid) if address.is_multiple_of(4096) && new_len != 0 => Err(Errno::EFAULT),
            other => Ok(other?),
        }
    }

    /// Advice is taken where it changes what the program sees: pages given back read as zeros.
    pub(super) fn madvise(&mut self, [address, len, advice, ..]: Args) -> Result<u64, Errno> {
        match int(advice) {
            MADV_DONTNEED => self.memory.discard(address, len)?,
            MADV_FREE | 0..=3 | 14..=17 | 20..=23 => {}
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }
}
