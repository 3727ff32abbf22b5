use ix_abi::host::HostArea;
use ix_abi::host::area::HOST_AREA_GPA;
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Guest memory: a memfd that the machine maps as its RAM, of which this process maps the host area.
pub struct GuestRam {
    file: File,
    area: MmapRaw,
}

impl GuestRam {
    /// New, zeroed memory of this size. It can neither shrink nor grow, so no one can take our mapping's ground away.
    pub fn create(bytes: u64) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create("ixion-ram", flags)?);
        file.set_len(bytes)?;
        fcntl(
            &file,
            FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW),
        )?;
        Self::map(file)
    }

    /// The memory behind `path`, which another process created; the machine's side of [`GuestRam::create`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::map(File::options().read(true).write(true).open(path)?)
    }

    fn map(file: File) -> io::Result<Self> {
        if file.metadata()?.len() < HOST_AREA_GPA + size_of::<HostArea>() as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no room for the host area",
            ));
        }
        let area = MmapOptions::new()
            .offset(HOST_AREA_GPA)
            .len(size_of::<HostArea>())
            .map_raw(&file)?;
        Ok(Self { file, area })
    }

    /// What kernel and launcher share.
    pub fn area(&self) -> &HostArea {
        // SAFETY: the mapping is as large as a HostArea, page-aligned as it wants to be, writable, and lives as long as
        // `self`; the file is at least that large (checked in `map`) and, when we made it, sealed against shrinking. A
        // HostArea is nothing but atomics, so every bit pattern is legal and other processes may write at any time.
        unsafe { &*self.area.as_ptr().cast::<HostArea>() }
    }
}

impl AsFd for GuestRam {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::GuestRam;
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::atomic::Ordering;

    #[test]
    fn both_sides_see_one_area() {
        let ours = GuestRam::create(64 << 20).unwrap();
        let path = format!("/proc/self/fd/{}", ours.as_fd().as_raw_fd());
        let theirs = GuestRam::open(path.as_ref()).unwrap();
        assert_eq!(theirs.area().stop.load(Ordering::Relaxed), 0);
        ours.area().stop.store(1, Ordering::Relaxed);
        assert_eq!(theirs.area().stop.load(Ordering::Relaxed), 1);
        assert!(ours.file.set_len(0).is_err());
    }

    #[test]
    fn memory_without_room_for_the_area_is_refused() {
        assert!(GuestRam::create(1 << 20).is_err());
    }
}
