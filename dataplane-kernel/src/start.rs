//! After boot.

use crate::boot_info::BootInfo;
use crate::host;
use ix_abi::host::exit;

/// Runs the machine.
pub fn start(boot: BootInfo) -> ! {
    log::info!("{} MiB free", boot.frames.free_bytes() >> 20);
    host::exit(exit::APP_ENDED)
}
