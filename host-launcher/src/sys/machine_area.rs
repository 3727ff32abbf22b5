use ix_abi::host::Counters;
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// A table of counters that the machine process writes and the launcher reads.
pub struct MachineArea {
    file: File,
    map: MmapRaw,
}

impl MachineArea {
    /// A new, empty one, which can neither shrink nor grow.
    ///
    /// # Errors
    /// If the host has no memory for it.
    pub fn create() -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("ixion-machine", flags)?);
        file.set_len(size_of::<Counters>() as u64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Self::map(file)
    }

    /// The one behind `file`, which the launcher created.
    ///
    /// # Errors
    /// If it is too small, or cannot be mapped.
    pub fn map(file: File) -> io::Result<Self> {
        if file.metadata()?.len() < size_of::<Counters>() as u64 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let map = MmapOptions::new().len(size_of::<Counters>()).map_raw(&file)?;
        Ok(Self { file, map })
    }

    /// The table.
    pub fn counters(&self) -> &Counters {
        // SAFETY: the mapping is as large as the table (checked in `map`; the file is sealed against shrinking), starts at
        // a page, is writable and lives as long as `self`. The table is nothing but atomics, so every bit pattern is
        // legal and the other process may write at any time.
        unsafe { &*self.map.as_ptr().cast::<Counters>() }
    }
}

impl AsFd for MachineArea {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::MachineArea;

    #[test]
    fn both_sides_see_one_table() {
        let ours = MachineArea::create().unwrap();
        let theirs = MachineArea::map(ours.file.try_clone().unwrap()).unwrap();
        theirs.counters().describe(["exits"].into_iter());
        theirs.counters().publish(0, [7].into_iter());
        assert_eq!(
            ours.counters().read().map(|(_, value)| value).collect::<Vec<_>>(),
            [7]
        );
        assert!(ours.file.set_len(0).is_err());
        assert!(MachineArea::map(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
