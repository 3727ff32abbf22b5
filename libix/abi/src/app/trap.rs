//! Numbers of the calls ring 3 makes with the `syscall` instruction (number in `rax`, arguments in `rdi`, `rsi`,
//! `rdx`, result in `rax`). Numbers below [`BASE`] are Linux system calls.
//!
//! To the compiler these calls are function calls: every caller-saved general register, every vector and mask
//! register and the flags may change. The kernel leaves zeros in the registers it used, never its own data.

/// First number that is ours (IX: `SYSCALL_START`).
pub const BASE: u64 = 0x10_0000;

/// `run_io(commands, max_events, wait_ns)`: carries out the first `commands` entries of the command array, then polls
/// the NIC and the timers until there is an event or `wait_ns` have passed (0: looks once; `u64::MAX`: no limit).
///
/// Returns the number of entries valid in the event array, at most `max_events`; with `max_events` 0 it only submits
/// and leaves the event array as it is (IX: `SYS_BCALL`). The previous content of the event array is overwritten.
/// A count beyond the arrays' capacity, or a thread without arrays, gets a negated [`super::Status`] and nothing of
/// the batch is carried out.
pub const RUN_IO: u64 = BASE;

/// `io_setup(core)`: binds the calling thread to a core, whose dataplane it carries for as long as it lives, and returns the
/// address of that core's [`super::IoInfo`] (idempotent), or a negated [`super::Status`]: `Busy` if another thread has the core,
/// or this one has another core, `Invalid` if there is no such core.
pub const IO_SETUP: u64 = BASE + 1;
