//! The machine: its memory, its wires and its process.

use super::streams::Wire;
use crate::backend::qemu::{self, QemuMissing};
use crate::backend::{Kind, kvm};
use crate::config::{Link, LinkPlan, NicChoice, NicModel, Plan};
use crate::memory;
use crate::sys::{GuestRam, MachineArea, PageKind, spawn_tied};
use crate::tap::{self, TapError};
use crate::vmm::{self, DataPlane};
use ix_abi::host::HostArea;
use ix_abi::host::area::MAGIC;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
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
    /// The machine's process cannot be started.
    #[error("cannot start {0}; is it a program for this machine?")]
    Spawn(PathBuf, #[source] io::Error),
    /// The host lacks a descriptor, or a system call.
    #[error("cannot set up the wires of the machine")]
    Wires(#[source] io::Error),
}

/// A running machine. Dropping it kills it.
pub(super) struct Machine {
    /// Who it is.
    pub(super) kind: Kind,
    /// Its memory.
    pub(super) ram: GuestRam,
    /// What its memory is made of.
    pub(super) pages: PageKind,
    /// Who moves its tap's packets, where that is ours to choose.
    pub(super) data_plane: Option<DataPlane>,
    /// What it counts, if it does.
    pub(super) area: Option<MachineArea>,
    /// The kernel's log.
    pub(super) log: Wire<UnixStream>,
    /// What the kernel rings when it has output.
    pub(super) doorbell: Wire<UnixStream>,
    /// What the machine's process itself has to say. It ends when the process does.
    pub(super) complaints: Wire<PipeReader>,
    /// The process.
    pub(super) child: Child,
}

/// The machine's ends of the wires, to be inherited by its process.
struct Ends {
    /// For each link those of its tap, one for each queue; none if it has no tap.
    taps: Vec<Vec<OwnedFd>>,
    log: UnixStream,
    doorbell: UnixStream,
    complaints: PipeWriter,
}

impl Machine {
    /// Starts the machine of `plan`.
    pub(super) fn start(plan: &Plan, kernel: &Path, kind: Kind) -> Result<Self, MachineError> {
        let open = |link: &LinkPlan| match &link.network.link {
            Link::Tap(name) => tap::open(name, &link.network, link.mtu, queues(link, plan.cores)),
            Link::User(_) | Link::Cable(_) | Link::Loopback => Ok(Vec::new()),
        };
        let taps: Vec<_> = plan.links.iter().map(open).collect::<Result<_, _>>()?;
        let (ram, pages) = match kind {
            Kind::Qemu => memory::small(plan.mem).map(|ram| (ram, PageKind::Transparent)),
            Kind::Kvm => memory::large(plan.mem),
        }
        .map_err(|error| MachineError::Memory(plan.mem, error))?;
        fill_in(ram.area(), plan.active_cores).map_err(MachineError::Wires)?;
        let (log, log_end) = wire().map_err(MachineError::Wires)?;
        let (doorbell, doorbell_end) = wire().map_err(MachineError::Wires)?;
        let (complaints, complaints_end) = complaints().map_err(MachineError::Wires)?;
        let ends = Ends {
            taps,
            log: log_end,
            doorbell: doorbell_end,
            complaints: complaints_end,
        };
        let data_plane = (kind == Kind::Kvm && ends.taps.iter().any(|taps| !taps.is_empty()))
            .then(|| kvm::data_plane(plan));
        let (child, area) = match kind {
            Kind::Qemu => (start_qemu(plan, kernel, &ram, ends)?, None),
            Kind::Kvm => start_kvm(plan, kernel, (&ram, pages), data_plane, ends)
                .map(|(child, area)| (child, Some(area)))?,
        };
        Ok(Self {
            kind,
            ram,
            pages,
            data_plane,
            area,
            log: Wire::new(log),
            doorbell: Wire::new(doorbell),
            complaints,
            child,
        })
    }
}

/// Queues of a link's tap: one for each core, where the card has so many.
fn queues(link: &LinkPlan, cores: u16) -> u16 {
    match link.nic {
        NicChoice::Model(NicModel::VirtioNet) => cores,
        NicChoice::Model(NicModel::E1000e | NicModel::E1000 | NicModel::Vmxnet3 | NicModel::Loopback)
        | NicChoice::Vfio(_) => 1,
    }
}

/// The numbers of each link's descriptors.
fn raw(taps: &[Vec<OwnedFd>]) -> Vec<Vec<RawFd>> {
    let of_link = |taps: &Vec<OwnedFd>| taps.iter().map(AsRawFd::as_raw_fd).collect();
    taps.iter().map(of_link).collect()
}

fn start_qemu(plan: &Plan, kernel: &Path, ram: &GuestRam, ends: Ends) -> Result<Child, MachineError> {
    let program = qemu::find()?;
    let taps = raw(&ends.taps);
    let wires = qemu::Wires {
        ram: ram.as_fd().as_raw_fd(),
        log: ends.log.as_raw_fd(),
        doorbell: ends.doorbell.as_raw_fd(),
        taps: &taps,
    };
    let mut command = Command::new(&program);
    command
        .args(qemu::arguments(plan, kernel, wires))
        .stdin(Stdio::null());
    spawn(command, &program, &[ram.as_fd()], ends)
}

/// Our own program, which reads from its standard input what to be.
fn start_kvm(
    plan: &Plan,
    kernel: &Path,
    (ram, pages): (&GuestRam, PageKind),
    data_plane: Option<DataPlane>,
    ends: Ends,
) -> Result<(Child, MachineArea), MachineError> {
    let area = MachineArea::create().map_err(MachineError::Wires)?;
    let memory = vmm::Memory {
        fd: ram.as_fd().as_raw_fd(),
        bytes: plan.mem.bytes(),
        pages,
    };
    let wires = vmm::Wires {
        log: ends.log.as_raw_fd(),
        doorbell: ends.doorbell.as_raw_fd(),
        area: area.as_fd().as_raw_fd(),
    };
    let taps = raw(&ends.taps);
    let blueprint = kvm::blueprint(plan, kernel, memory, wires, (&taps, data_plane));
    let blueprint = serde_json::to_vec(&blueprint).map_err(|error| MachineError::Wires(error.into()))?;
    let mut command = Command::new(kvm::PROGRAM);
    command.arg(kvm::COMMAND).stdin(Stdio::piped());
    let mut child = spawn(command, kvm::PROGRAM.as_ref(), &[ram.as_fd(), area.as_fd()], ends)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It fits into the pipe, so this does not block. A process that is gone already says why by its exit.
        let _ = stdin.write_all(&blueprint);
    }
    Ok((child, area))
}

fn spawn(
    mut command: Command,
    program: &Path,
    memory: &[BorrowedFd<'_>],
    ends: Ends,
) -> Result<Child, MachineError> {
    let mut shared = vec![ends.log.as_fd(), ends.doorbell.as_fd()];
    shared.extend(memory);
    shared.extend(ends.taps.iter().flatten().map(AsFd::as_fd));
    command.stdout(ends.complaints.try_clone().map_err(MachineError::Wires)?);
    command.stderr(ends.complaints);
    spawn_tied(&mut command, &shared).map_err(|error| MachineError::Spawn(program.to_owned(), error))
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it is gone, which is the aim.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the kernel finds in the host area when it starts.
fn fill_in(area: &HostArea, active_cores: u16) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch_ns = u64::try_from(now.as_nanos()).unwrap_or_default();
    area.boot_epoch_ns.store(epoch_ns, Ordering::Relaxed);
    let mut random = File::open("/dev/urandom")?;
    for word in &area.seed {
        let mut bytes = [0; 8];
        random.read_exact(&mut bytes)?;
        word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
    }
    area.cores_wanted.store(active_cores.into(), Ordering::Relaxed);
    area.magic.store(MAGIC, Ordering::Release);
    Ok(())
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
