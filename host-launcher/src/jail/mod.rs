//! What a thread that deals with a guest keeps of its rights, once it is set up: the system calls its work takes, on the
//! descriptors it holds, and nothing else. Threads enter by kind ([`Kind`]); there is no way back.
//!
//! A guest that took such a thread over would find: no new privileges, no capabilities, no file it could open, no socket,
//! no process to start, no memory to run code from. Where the kernel has no Landlock, the filter of system calls holds
//! alone, which is enough for threads that may not open files at all.

/// Capabilities and limits.
mod privileges;

/// Files.
mod landlock;
pub use landlock::Landlock;

/// System calls.
mod filter;

/// Which of them a kind of thread makes.
mod calls;

use crate::hostcall::Volumes;
use ix_abi::host::exit::status;
use std::io::{self, Write};

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first thread of the machine: waits for its end, and tells counters.
    Watch,
    /// Runs a virtual CPU, and the devices' registers.
    Vcpu,
    /// Moves frames between a tap and the guest's queues.
    DataPlane,
    /// Of the launcher: answers calls on files.
    Files,
    /// Of the launcher: answers calls on standard input.
    Input,
}

/// Why a thread could not enter.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// Capabilities stay.
    #[error("cannot give up capabilities")]
    Capabilities(#[from] caps::errors::CapsError),
    /// Limits stay.
    #[error("cannot lower limits")]
    Limits(#[source] io::Error),
    /// The kernel has Landlock, but refuses.
    #[error("cannot give up files (Landlock)")]
    Landlock(#[from] ::landlock::RulesetError),
    /// It has no filters for system calls, or refuses ours.
    #[error("cannot give up system calls; this kernel lacks seccomp filters (CONFIG_SECCOMP_FILTER)")]
    Filter(#[source] seccompiler::Error),
    /// Ours is wrong.
    #[error("the filter of system calls is wrong; this is a bug in Ixion")]
    Rules(#[from] seccompiler::BackendError),
}

/// Lowers the limits of this process. What it has keeps working; it leaves no memory behind in a core dump.
///
/// # Errors
/// [`JailError::Limits`].
pub fn lower_limits() -> Result<(), JailError> {
    privileges::lower_limits().map_err(|errno| JailError::Limits(errno.into()))
}

/// Gives up what a thread of this kind does not need. Only the calling thread, and those it starts later, are held.
///
/// # Errors
/// [`JailError`]; the thread may then have given up a part.
pub fn enter(kind: Kind) -> Result<Landlock, JailError> {
    privileges::give_up_all()?;
    let landlock = landlock::no_files()?;
    filter::apply(kind)?;
    Ok(landlock)
}

/// The same for a thread with nobody to tell why it could not: then the process ends, and says so.
pub fn enter_or_end(kind: Kind) {
    if let Err(error) = enter(kind) {
        // A closed standard error is no reason to go on.
        let _ = writeln!(io::stderr(), "ix: {error}");
        std::process::exit(status::LAUNCHER.into());
    }
}

/// The same for the thread that answers calls on files: it keeps the volumes, and the rights over other users' files that it
/// may have had.
///
/// # Errors
/// [`JailError`].
pub fn enter_with(volumes: &Volumes) -> Result<Landlock, JailError> {
    privileges::keep_file_rights()?;
    let landlock = landlock::only(volumes)?;
    filter::apply(Kind::Files)?;
    Ok(landlock)
}
