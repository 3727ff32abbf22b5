//! Guest RAM, as the machine process has it: the launcher's memory file, mapped whole, and there from the beginning.

use super::{Memory, layout};
use crate::sys::{self, Inherited, PageKind};
use std::fs::File;
use std::io;
use std::sync::Arc;
use vm_memory::mmap::{FromRangesError, MmapRegionError};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// Guest memory, as the device models and the loader see it.
pub type Ram = GuestMemoryMmap<()>;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// The mapping failed.
    #[error("cannot map guest memory")]
    Map(#[source] MmapRegionError),
    /// The pieces do not make an address space.
    #[error("cannot lay out guest memory")]
    Layout(#[source] FromRangesError),
    /// The host has not got it.
    #[error("cannot have guest memory all at once; give less with --mem")]
    Populate(#[source] io::Error),
}

/// Maps the memory of `memory`, and has every page of it present.
pub fn map(file: Inherited, memory: Memory) -> Result<Ram, RamError> {
    let file = Arc::new(File::from(file.into_owned()));
    let mut regions = Vec::new();
    for piece in layout::ram(memory.bytes) {
        let offset = FileOffset::from_arc(Arc::clone(&file), piece.offset);
        let bytes = usize::try_from(piece.bytes).unwrap_or(usize::MAX);
        let mapping = MmapRegion::<()>::from_file(offset, bytes).map_err(RamError::Map)?;
        if memory.pages == PageKind::Transparent {
            sys::want_large_pages(&mapping);
        }
        sys::populate(&mapping).map_err(RamError::Populate)?;
        let region = GuestRegionMmap::new(mapping, GuestAddress(piece.base));
        regions.push(region.ok_or(RamError::Layout(FromRangesError::InvalidGuestRegion))?);
    }
    GuestMemoryMmap::from_regions(regions).map_err(|error| RamError::Layout(error.into()))
}

/// Keeps the memory from being swapped out, as far as the limit on locked memory allows.
pub fn lock(ram: &Ram) {
    ram.iter().for_each(|region| sys::lock(region));
}
