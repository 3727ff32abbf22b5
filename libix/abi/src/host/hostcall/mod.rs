//! Host calls: what a program in ring 3 wants of the host's files and standard input, asked by the kernel, answered by
//! the launcher.
//!
//! A call takes a [`Slot`]. The kernel fills in the request and posts it, then counts it in [`HostCalls`] and rings the
//! doorbell if the launcher has asked for that. The launcher answers in the same slot; the kernel, which polls anyway,
//! sees that without an interrupt. Files and standard input have slots of their own, because input may keep its caller
//! waiting for ever.
//!
//! Each side copies what the other has written before it looks at it, and believes none of it: counts are cut to what
//! there is room for, numbers that mean nothing are errors. Errors are Linux' numbers, as are the flags and modes that
//! pass through.

/// What can be asked for.
mod operation;
pub use operation::{DIRECTORY, HERE, Operation, WITHOUT_END};

/// Where question and answer lie.
mod slot;
pub use slot::{Answered, DATA_BYTES, Request, Slot};

/// What is told of a file.
mod file_status;
pub use file_status::{FILE_STATUS_BYTES, FileStatus};

use core::sync::atomic::{AtomicU32, Ordering};

/// Slots of calls about files.
pub const FILE_SLOTS: usize = 6;

/// Slots of calls about standard input.
pub const INPUT_SLOTS: usize = 2;

/// Longest path, with the zero that Linux would want after it.
pub const PATH_BYTES: usize = 4096;

/// All slots.
#[repr(C)]
pub struct HostCalls {
    /// Launcher to kernel: non-zero, the launcher sleeps and wants the doorbell at the next call.
    pub wants_doorbell: AtomicU32,
    /// Kernel to launcher: free-running count of posted calls.
    posted: AtomicU32,
    /// [`Operation::Open`] to [`Operation::Access`].
    pub files: [Slot; FILE_SLOTS],
    /// [`Operation::InputRead`] and [`Operation::InputReady`].
    pub input: [Slot; INPUT_SLOTS],
}

impl Default for HostCalls {
    fn default() -> Self {
        Self::new()
    }
}

impl HostCalls {
    /// None posted.
    #[must_use]
    pub const fn new() -> Self {
        HostCalls {
            wants_doorbell: AtomicU32::new(0),
            posted: AtomicU32::new(0),
            files: [const { Slot::new() }; FILE_SLOTS],
            input: [const { Slot::new() }; INPUT_SLOTS],
        }
    }

    /// Kernel: says that a slot has been posted.
    pub fn count_posted(&self) {
        self.posted.fetch_add(1, Ordering::SeqCst);
    }

    /// Launcher: how many were, to be compared with an earlier answer.
    #[must_use]
    pub fn posted(&self) -> u32 {
        self.posted.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
