//! The machine: its memory, its wires and its process.

use super::streams::Wire;
use crate::backend::qemu::{self, QemuMissing, Wires};
use crate::config::{Link, Plan};
use crate::sys::{GuestRam, spawn_tied};
use crate::tap::{self, TapError};
use ix_abi::host::area::MAGIC;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// There is no QEMU.
    #[error(transparent)]
    QemuMissing(#[from] QemuMissing),
    /// There is no tap.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// Guest memory cannot be had.
    #[error("cannot have {0} of memory for the guest; give less with --mem")]
    Memory(crate::config::MemSize, #[source] io::Error),
    /// QEMU cannot be started.
    #[error("cannot start {0}; is it a program for this machine?")]
    Spawn(std::path::PathBuf, #[source] io::Error),
    /// The host lacks a descriptor, or a system call.
    #[error("cannot set up the wires of the machine")]
    Wires(#[source] io::Error),
}

/// A running machine. Dropping it kills it.
pub(super) struct Machine {
    /// Its memory.
    pub(super) ram: GuestRam,
    /// The kernel's log.
    pub(super) log: Wire<UnixStream>,
    /// What the kernel rings when it has output.
    pub(super) doorbell: Wire<UnixStream>,
    /// What QEMU itself has to say. It ends when QEMU does.
    pub(super) complaints: Wire<PipeReader>,
    /// The process.
    pub(super) child: Child,
}

impl Machine {
    /// Starts the machine of `plan`.
    pub(super) fn start(plan: &Plan, kernel: &Path) -> Result<Self, MachineError> {
        let program = qemu::find()?;
        let tap = match &plan.network.link {
            Link::Tap(name) => Some(tap::open(name, &plan.network)?),
            Link::User(_) | Link::Cable(_) => None,
        };
        let ram = prepare_memory(plan)?;
        let (log, log_end) = wire().map_err(MachineError::Wires)?;
        let (doorbell, doorbell_end) = wire().map_err(MachineError::Wires)?;
        let (complaints, complaints_end) = complaints().map_err(MachineError::Wires)?;
        let wires = Wires {
            ram: ram.as_fd().as_raw_fd(),
            log: log_end.as_raw_fd(),
            doorbell: doorbell_end.as_raw_fd(),
            tap: tap.as_ref().map(AsRawFd::as_raw_fd),
        };
        let mut shared = vec![ram.as_fd(), log_end.as_fd(), doorbell_end.as_fd()];
        shared.extend(tap.as_ref().map(AsFd::as_fd));
        let mut command = Command::new(&program);
        command.args(qemu::arguments(plan, kernel, wires));
        command
            .stdin(Stdio::null())
            .stdout(complaints_end.try_clone().map_err(MachineError::Wires)?);
        command.stderr(complaints_end);
        let child = spawn_tied(&mut command, &shared).map_err(|error| MachineError::Spawn(program, error))?;
        Ok(Self {
            ram,
            log: Wire::new(log),
            doorbell: Wire::new(doorbell),
            complaints,
            child,
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it is gone, which is the aim.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fresh memory whose host area is filled in.
fn prepare_memory(plan: &Plan) -> Result<GuestRam, MachineError> {
    let failed = |error| MachineError::Memory(plan.mem, error);
    let ram = GuestRam::create(plan.mem.bytes()).map_err(failed)?;
    let area = ram.area();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch_ns = u64::try_from(now.as_nanos()).unwrap_or_default();
    area.boot_epoch_ns.store(epoch_ns, Ordering::Relaxed);
    let mut random = File::open("/dev/urandom").map_err(failed)?;
    for word in &area.seed {
        let mut bytes = [0; 8];
        random.read_exact(&mut bytes).map_err(failed)?;
        word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
    }
    area.magic.store(MAGIC, Ordering::Release);
    Ok(ram)
}

/// Our end, non-blocking, and the machine's.
fn wire() -> io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}

fn complaints() -> io::Result<(Wire<PipeReader>, io::PipeWriter)> {
    let (ours, theirs) = io::pipe()?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((Wire::new(ours), theirs))
}
