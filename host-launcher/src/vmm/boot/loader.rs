//! The kernel image and the app's file, into guest memory.

use crate::vmm::layout;
use crate::vmm::ram::Ram;
use ix_abi::host::area::HOST_AREA_GPA;
use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

const PAGE: u64 = 4096;

/// Where things came to lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Where the kernel is entered.
    pub entry: u32,
    /// The app's file.
    pub app: Range<u64>,
}

/// Why the machine cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The kernel image is none.
    #[error("the kernel image {0} is broken; build it again with make build")]
    Kernel(PathBuf, #[source] linux_loader::loader::Error),
    /// Or is for another loader.
    #[error("{0} is no Ixion kernel (it has no PVH entry); build it with make build")]
    NoEntry(PathBuf),
    /// The kernel image reaches into the host area.
    #[error("the kernel image {0} is too large; a kernel ends below 15 MiB")]
    KernelTooLarge(PathBuf),
    /// The app does not fit.
    #[error("the app does not fit; give more with --mem")]
    AppTooLarge,
    /// The loader's own tables do not fit.
    #[error("the tables for the kernel do not fit into low memory")]
    Tables,
}

/// Loads both.
pub(super) fn load(ram: &Ram, kernel: &Path, app: &Path) -> Result<Loaded, LoadError> {
    let mut file = open(kernel)?;
    let image =
        Elf::load(ram, None, &mut file, None).map_err(|error| LoadError::Kernel(kernel.to_owned(), error))?;
    if image.kernel_end > HOST_AREA_GPA {
        return Err(LoadError::KernelTooLarge(kernel.to_owned()));
    }
    let entry = match image.pvh_boot_cap {
        PvhBootCapability::PvhEntryPresent(entry) => u32::try_from(entry.0).ok(),
        _ => None,
    };
    Ok(Loaded {
        entry: entry.ok_or_else(|| LoadError::NoEntry(kernel.to_owned()))?,
        app: load_app(ram, app, image.kernel_end)?,
    })
}

/// The app's file goes to the top of low RAM, out of the way of everything.
fn load_app(ram: &Ram, path: &Path, kernel_end: u64) -> Result<Range<u64>, LoadError> {
    let failed = |error| LoadError::Read(path.to_owned(), error);
    let mut file = open(path)?;
    let len = file.metadata().map_err(failed)?.len();
    let low = ram.find_region(GuestAddress(0)).ok_or(LoadError::AppTooLarge)?;
    let start = low.len().checked_sub(len).ok_or(LoadError::AppTooLarge)? & !(PAGE - 1);
    if start < kernel_end.max(layout::LOADED_END) {
        return Err(LoadError::AppTooLarge);
    }
    let count = usize::try_from(len).map_err(|_| LoadError::AppTooLarge)?;
    ram.read_exact_volatile_from(GuestAddress(start), &mut file, count)
        .map_err(|error| failed(io::Error::other(error)))?;
    Ok(start..start + len)
}

fn open(path: &Path) -> Result<File, LoadError> {
    File::open(path).map_err(|error| LoadError::Read(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::{LoadError, load};
    use crate::vmm::ram::Ram;
    use std::path::{Path, PathBuf};
    use vm_memory::{Bytes, GuestAddress};

    /// An ELF file with one segment of code at 1 MiB and a PVH note.
    fn kernel(note_kind: u32) -> Vec<u8> {
        let word = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_le_bytes());
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
        [0x10_0000, 64, 0]
            .into_iter()
            .for_each(|value| word(&mut file, value));
        file.extend(b"\0\0\0\0\x40\0\x38\0\x02\0\0\0\0\0\0\0");
        let note_at = 64 + 2 * 56;
        // Type and flags; offset, virtual and physical address, size in file and memory, alignment.
        for (kind, offset, address, bytes) in [(1, note_at + 20, 0x10_0000, 4), (4, note_at, 0, 20)] {
            word(&mut file, kind | 5 << 32);
            [offset, address, address, bytes, bytes, 4]
                .into_iter()
                .for_each(|value| word(&mut file, value));
        }
        for value in [4, 4, note_kind, u32::from_le_bytes(*b"Xen\0"), 0x10_0040] {
            file.extend(value.to_le_bytes());
        }
        file.extend(b"code");
        file
    }

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, kernel: &[u8], app_bytes: usize) -> Self {
            let folder = std::env::temp_dir().join(format!("ix-loader-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("kernel"), kernel).unwrap();
            std::fs::write(folder.join("app"), vec![7; app_bytes]).unwrap();
            Self(folder)
        }

        fn load(&self, ram: &Ram) -> Result<super::Loaded, LoadError> {
            load(ram, &self.0.join("kernel"), &self.0.join("app"))
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn ram(mib: usize) -> Ram {
        Ram::from_ranges(&[(GuestAddress(0), mib << 20)]).unwrap()
    }

    #[test]
    fn kernel_and_app_lie_where_they_should() {
        let files = Files::new("good", &kernel(18), 5000);
        let ram = ram(64);
        let loaded = files.load(&ram).unwrap();
        assert_eq!(loaded.entry, 0x10_0040);
        assert_eq!(loaded.app, 0x3ff_e000..0x3ff_e000 + 5000);
        assert_eq!(
            ram.read_obj::<[u8; 4]>(GuestAddress(0x10_0000)).unwrap(),
            *b"code"
        );
        assert_eq!(
            ram.read_obj::<[u8; 2]>(GuestAddress(loaded.app.end - 1)).unwrap(),
            [7, 0]
        );
    }

    #[test]
    fn what_cannot_be_loaded_is_named() {
        let other = Files::new("other", &kernel(17), 1);
        assert!(matches!(other.load(&ram(64)), Err(LoadError::NoEntry(_))));
        let broken = Files::new("broken", b"#!/bin/sh\n", 1);
        assert!(matches!(broken.load(&ram(64)), Err(LoadError::Kernel(..))));
        let cut = Files::new("cut", &kernel(18)[..180], 1);
        assert!(matches!(cut.load(&ram(64)), Err(LoadError::Kernel(..))));
        let large = Files::new("large", &kernel(18), 48 << 20);
        assert_eq!(large.load(&ram(64)).unwrap().app.start, 16 << 20);
        assert!(matches!(large.load(&ram(63)), Err(LoadError::AppTooLarge)));
        assert!(matches!(large.load(&ram(32)), Err(LoadError::AppTooLarge)));
        let mut image = kernel(18);
        image[64 + 40..64 + 48].copy_from_slice(&0xe0_0001_u64.to_le_bytes());
        let long = Files::new("long", &image, 1);
        assert!(matches!(long.load(&ram(64)), Err(LoadError::KernelTooLarge(_))));
        let missing = load(&ram(64), Path::new("/nowhere"), Path::new("/nowhere"));
        assert!(matches!(missing, Err(LoadError::Read(..))));
    }
}
