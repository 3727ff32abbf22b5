//! Guest memory, and what pages it is made of.

use crate::config::MemSize;
use crate::sys::{GuestRam, PageKind};
use std::io;

/// Memory in small pages, which nobody needs to have reserved.
///
/// # Errors
/// If the host has not got it.
pub fn small(size: MemSize) -> io::Result<GuestRam> {
    GuestRam::create(size.bytes(), PageKind::Transparent)
}

/// Memory in the largest pages that are to be had: those of 1 GiB or 2 MiB that the administrator has reserved, else
/// small ones, which Linux joins to larger ones where it can.
///
/// # Errors
/// If the host has not got it.
pub fn large(size: MemSize) -> io::Result<(GuestRam, PageKind)> {
    let reserved = [(PageKind::Huge1G, 1 << 30), (PageKind::Huge2M, 2 << 20)]
        .into_iter()
        .filter(|(_, page)| size.bytes().is_multiple_of(*page))
        .find_map(|(pages, _)| Some((GuestRam::create(size.bytes(), pages).ok()?, pages)));
    match reserved {
        Some(memory) => Ok(memory),
        None => Ok((small(size)?, PageKind::Transparent)),
    }
}

/// What to say about memory that is not in reserved pages.
#[must_use]
pub fn advice(size: MemSize) -> String {
    let pages = size.bytes().div_ceil(2 << 20);
    format!(
        "guest memory is in transparent huge pages at best; for reserved ones: sysctl vm.nr_hugepages={pages} or more"
    )
}

#[cfg(test)]
mod tests {
    use super::{advice, large, small};
    use crate::config::MemSize;
    use std::sync::atomic::Ordering;

    #[test]
    fn there_is_memory_with_and_without_reserved_pages() {
        for size in ["64M", "65M"] {
            let size: MemSize = size.parse().unwrap();
            let (memory, _) = large(size).unwrap();
            memory.area().stop.store(1, Ordering::Relaxed);
            assert_eq!(small(size).unwrap().area().stop.load(Ordering::Relaxed), 0);
        }
        assert!(advice("65M".parse().unwrap()).contains("nr_hugepages=33 "));
    }
}
