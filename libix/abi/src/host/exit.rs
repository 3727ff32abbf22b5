//! How a virtual machine ends. The kernel writes one byte to I/O port [`PORT`]; QEMU's `isa-debug-exit` then exits with
//! `byte * 2 + 1`, and our own VMM knows the port likewise. What the app did stands in the host area.

/// I/O port of the exit device (QEMU: `-device isa-debug-exit,iobase=0xf4,iosize=1`).
pub const PORT: u16 = 0xf4;

/// The app has ended; its [`super::area::Outcome`] says how.
pub const APP_ENDED: u8 = 0x10;

/// Ring 0 panicked or faulted; the serial line says where.
pub const KERNEL_PANIC: u8 = 0x20;

/// The machine or the command line is unfit (no memory map, no NIC, ...); the serial line says what.
pub const BOOT_FAILED: u8 = 0x30;

/// QEMU's exit status for a byte written to [`PORT`].
#[must_use]
pub const fn qemu_status(byte: u8) -> i32 {
    (byte as i32) * 2 + 1
}

/// Exit statuses of `ix run` that are not the app's own (an app killed by signal N gives 128+N). After `env(1)`.
pub mod status {
    /// The kernel panicked.
    pub const KERNEL_PANIC: u8 = 123;
    /// The machine could not boot the kernel or the kernel found it unfit.
    pub const BOOT_FAILED: u8 = 124;
    /// `ix` itself could not do what was asked.
    pub const LAUNCHER: u8 = 125;
    /// The app was found but is not a program that can be run (not static, truncated, ...).
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The app was not found.
    pub const NOT_FOUND: u8 = 127;
}
