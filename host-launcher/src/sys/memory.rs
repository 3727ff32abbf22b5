use ix_abi::host::HostArea;
use ix_abi::host::area::HOST_AREA_GPA;
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Pages behind guest RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageKind {
    /// Reserved pages of 1 GiB.
    Huge1G,
    /// Reserved pages of 2 MiB.
    Huge2M,
    /// Small pages, which Linux joins to large ones where it can.
    Transparent,
}

/// Guest memory: a memfd that the machine maps as its RAM, of which this process maps the beginning, to the end of the
/// host area.
pub struct GuestRam {
    file: File,
    beginning: MmapRaw,
}

const AREA_OFFSET: usize = 0x00f0_0000;
const _: () = assert!(AREA_OFFSET as u64 == HOST_AREA_GPA);

impl GuestRam {
    /// New, zeroed memory of this size. It can neither shrink nor grow, so no one can take our mapping's ground away.
    /// Reserved pages are taken at once; others when they are touched.
    ///
    /// # Errors
    /// If the host has not got the memory, or not in such pages.
    pub fn create(bytes: u64, pages: PageKind) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let reserved = match pages {
            PageKind::Huge1G => MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_1GB,
            PageKind::Huge2M => MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB,
            PageKind::Transparent => MFdFlags::empty(),
        };
        let file = File::from(memfd_create("ixion-ram", flags | reserved)?);
        file.set_len(bytes)?;
        if !reserved.is_empty() {
            let len = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
            fallocate(&file, FallocateFlags::empty(), 0, len)?;
        }
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Self::map(file)
    }

    /// The memory behind `path`, which another process created; the machine's side of [`GuestRam::create`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::map(File::options().read(true).write(true).open(path)?)
    }

    fn map(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        // A mapping of reserved pages is made of whole ones.
        let page = meta.blksize().max(4096);
        let len = (HOST_AREA_GPA + size_of::<HostArea>() as u64).next_multiple_of(page);
        if meta.len() < len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no room for the host area",
            ));
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let beginning = MmapOptions::new().len(len).map_raw(&file)?;
        Ok(Self { file, beginning })
    }

    /// The same memory, mapped for somebody else in this process.
    pub fn map_again(&self) -> io::Result<Self> {
        Self::map(self.file.try_clone()?)
    }

    /// What kernel and launcher share.
    pub fn area(&self) -> &HostArea {
        // SAFETY: the mapping reaches from the memory's start at least to the end of the host area, at an offset that is
        // aligned as it wants to be; it is writable, and lives as long as `self`; the file is at least that large (checked
        // in `map`) and, when we made it, sealed against shrinking. A HostArea is nothing but atomics, so every bit
        // pattern is legal and other processes may write at any time.
        unsafe { &*self.beginning.as_ptr().add(AREA_OFFSET).cast::<HostArea>() }
    }
}

impl AsFd for GuestRam {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{GuestRam, PageKind};
    use std::os::fd::{AsFd, AsRawFd};
    use std::sync::atomic::Ordering;

    #[test]
    fn both_sides_see_one_area() {
        let ours = GuestRam::create(64 << 20, PageKind::Transparent).unwrap();
        let path = format!("/proc/self/fd/{}", ours.as_fd().as_raw_fd());
        let theirs = GuestRam::open(path.as_ref()).unwrap();
        assert_eq!(theirs.area().stop.load(Ordering::Relaxed), 0);
        ours.area().stop.store(1, Ordering::Relaxed);
        assert_eq!(theirs.area().stop.load(Ordering::Relaxed), 1);
        assert!(ours.file.set_len(0).is_err());
    }

    #[test]
    fn memory_without_room_for_the_area_is_refused() {
        assert!(GuestRam::create(1 << 20, PageKind::Transparent).is_err());
    }
}
