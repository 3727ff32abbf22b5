//! The lab's file system: busybox, kernel modules, our programs, and [`init`](super::inside) that makes a system of it.

use super::modules;
use crate::artifacts;
use anyhow::{Context, Result};
use cpio::NewcBuilder;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Folders that are mounted on, or written to.
const FOLDERS: [&str; 9] = [
    "bin", "dev", "etc", "ixion", "modules", "proc", "run", "sys", "tmp",
];

const DIRECTORY: u32 = 0o04_0755;
const PROGRAM: u32 = 0o10_0755;

/// Makes it, in a file without a name that vanishes with its last user.
///
/// # Errors
/// If something that belongs into it is not there; `scripts/deps lab` puts it there.
pub(crate) fn build(modules_folder: &Path) -> Result<File> {
    let file = File::from(memfd_create("initramfs", MFdFlags::MFD_CLOEXEC)?);
    let mut archive = Archive(BufWriter::new(file));
    for folder in FOLDERS {
        archive.add(folder, DIRECTORY, &[])?;
    }
    archive.program("bin/busybox", &busybox()?)?;
    archive.program("init", &artifacts::beside("lab-init"))?;
    archive.program("ixion/ix", artifacts::ix())?;
    archive.program("ixion/ixion-kernel", artifacts::kernel())?;
    archive.program("ixion/echo", artifacts::echo())?;
    // Their names sort into the order of loading.
    for (number, module) in modules::in_load_order(modules_folder, &modules::WANTED)?
        .iter()
        .enumerate()
    {
        let name = module.file_name().context("a module has a name")?;
        archive.program(&format!("modules/{number:03}-{}", name.to_string_lossy()), module)?;
    }
    archive.finish()
}

fn busybox() -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("busybox"))
        .find(|file| file.is_file())
        .context("there is no busybox; run scripts/deps lab")
}

/// A cpio archive in the format the kernel unpacks (`newc`, buffer-format.rst in its documentation).
struct Archive(BufWriter<File>);

impl Archive {
    fn program(&mut self, name: &str, file: &Path) -> Result<()> {
        let contents = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.add(name, PROGRAM, &contents)
    }

    fn add(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<()> {
        let size = u32::try_from(contents.len()).context("a file of the archive is below 4 GiB")?;
        let mut entry = NewcBuilder::new(name)
            .mode(mode)
            .nlink(1)
            .write(&mut self.0, size);
        entry.write_all(contents)?;
        entry.finish()?;
        Ok(())
    }

    fn finish(self) -> Result<File> {
        Ok(cpio::newc::trailer(self.0)?.into_inner()?)
    }
}
