use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{MmapAdvise, madvise, mlock};
use std::io;
use std::ptr::NonNull;
use vm_memory::MmapRegion;

fn start(region: &MmapRegion) -> Option<NonNull<c_void>> {
    NonNull::new(region.as_ptr().cast())
}

fn advise(region: &MmapRegion, advice: MmapAdvise) -> nix::Result<()> {
    let start = start(region).ok_or(Errno::EINVAL)?;
    // SAFETY: the range is one mapping of this process's, and neither of the two pieces of advice given here takes
    // anything away or changes a byte.
    unsafe { madvise(start, region.size(), advice) }
}

/// Asks for large pages behind a mapping of small ones. Where the host does not do that, small ones must do.
pub fn want_large_pages(region: &MmapRegion) {
    let _ = advise(region, MmapAdvise::MADV_HUGEPAGE);
}

/// Has every page of a mapping present. Linux before 5.14 cannot, and gives pages as they are touched.
///
/// # Errors
/// If there is not enough memory.
pub fn populate(region: &MmapRegion) -> io::Result<()> {
    match advise(region, MmapAdvise::MADV_POPULATE_WRITE) {
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Keeps a mapping from being swapped out, as far as the limit on locked memory allows.
pub fn lock(region: &MmapRegion) {
    if let Some(start) = start(region) {
        // SAFETY: the range is one mapping of this process's; locking changes none of its bytes. Without the right to it
        // the call fails, and swapping is the administrator's to avoid.
        let _ = unsafe { mlock(start, region.size()) };
    }
}

#[cfg(test)]
mod tests {
    use super::{populate, want_large_pages};
    use vm_memory::MmapRegion;

    #[test]
    fn populated_memory_is_there() {
        let region = MmapRegion::<()>::new(8 << 20).unwrap();
        want_large_pages(&region);
        populate(&region).unwrap();
        let map = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let entry = map
            .split(&format!("{:x}-", region.as_ptr().addr()))
            .nth(1)
            .unwrap();
        let rss = entry.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        let kib: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib >= 8 << 10, "{kib} KiB");
    }
}
