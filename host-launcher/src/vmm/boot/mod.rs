//! What a PVH loader does (Xen, docs/misc/pvh.pandoc): kernel and app into memory, and the tables that describe the
//! machine. From here on the kernel cannot tell who has loaded it.

/// The kernel image and the app.
mod loader;
pub use loader::{LoadError, Loaded};

/// The tables of the loader's protocol.
mod start_info;

/// The tables of the platform.
mod acpi;

use super::ram::Ram;
use super::{Blueprint, layout};
use vm_memory::{Bytes, GuestAddress};

/// Loads everything; the result is where the kernel is entered, in 32-bit protected mode, with the address
/// [`layout::START_INFO`] in EBX.
///
/// # Errors
/// [`LoadError`], if something cannot be read or does not fit.
pub fn load(ram: &Ram, blueprint: &Blueprint) -> Result<u32, LoadError> {
    let loaded = loader::load(ram, &blueprint.kernel, &blueprint.app)?;
    let acpi = acpi::tables(layout::ACPI.start, blueprint.cpus.len());
    let room = usize::try_from(layout::ACPI.end - layout::ACPI.start).unwrap_or(0);
    let start_info = start_info::pieces(blueprint, &loaded, acpi.rsdp);
    if acpi.bytes.len() > room || blueprint.cmdline.len() > start_info::MAX_COMMAND_LINE {
        return Err(LoadError::Tables);
    }
    let acpi = (layout::ACPI.start, acpi.bytes);
    for (address, bytes) in start_info.into_iter().chain([acpi]) {
        ram.write_slice(&bytes, GuestAddress(address))
            .map_err(|_| LoadError::Tables)?;
    }
    Ok(loaded.entry)
}
