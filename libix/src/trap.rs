//! The `syscall` instruction. Everything ring 3 asks of the dataplane goes through here.

use core::arch::asm;
use ix_abi::app::trap;

/// `-ENOSYS`: what a Linux kernel answers to a call it does not know.
pub(crate) const NO_SUCH_LINUX_CALL: i64 = -38;

/// The kernel keeps only what a called function would keep, so the clobbers are those of a C call: `rcx`, `r11`
/// and the other caller-saved registers, every vector and mask register, the x87 stack.
///
/// # Safety
/// `number` is one of [`trap`]'s, and whatever memory the kernel writes on its behalf is not borrowed.
#[inline]
unsafe fn call(number: u64, a: u64, b: u64, c: u64) -> i64 {
    let result;
    // SAFETY: the clobbers cover what the trap's contract lets the kernel change; memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            clobber_abi("C"),
            options(nostack),
        );
    }
    result
}

/// Carries out `commands` entries of the command array and waits up to `wait_ns` for at most `max_events` events;
/// the number of events, or a negated status.
///
/// # Safety
/// No reference into the command array is alive, and none into the event array unless `max_events` is 0.
#[inline]
pub(crate) unsafe fn run_io(commands: u64, max_events: u64, wait_ns: u64) -> i64 {
    // SAFETY: run_io writes only to those two arrays.
    unsafe { call(trap::RUN_IO, commands, max_events, wait_ns) }
}

/// Binds this thread to a core; the address of its `IoInfo`, or a negated status. A kernel that is not ours says `-ENOSYS`.
pub(crate) fn io_setup(core: u16) -> i64 {
    // SAFETY: io_setup writes no memory that Rust knows of yet.
    unsafe { call(trap::IO_SETUP, core.into(), 0, 0) }
}
