//! A virtual CPU and its thread: into the guest, out again with a reason, the reason dealt with, back in.

use super::bus::Bus;
use super::exits::count;
use super::legacy::Effect;
use super::pci::DecodeError;
use super::vm::{Vm, VmError};
use super::{cpuid, registers};
use crate::jail::{self, JailError, Kind};
use ix_abi::host::exit;
use kvm_bindings::{CpuId, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, kvm_enable_cap};
use kvm_ioctls::{VcpuExit, VcpuFd};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::io::Write;
use std::sync::Arc;

/// A CPU, ready to run.
pub struct Vcpu {
    fd: VcpuFd,
    core: Option<u16>,
    /// The memory it runs in stays mapped as long as it can run.
    _vm: Arc<Vm>,
}

/// How the machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The kernel wrote this byte to the exit port.
    Exit(u8),
    /// The CPU was reset: three faults in a row, as far as this machine knows resets.
    Reset,
}

impl End {
    /// The exit status of the machine's process: what QEMU's would be.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Exit(byte) => exit::qemu_status(byte).to_le_bytes()[0],
            Self::Reset => 0,
        }
    }
}

/// Why a CPU cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// It cannot be where it was told to be.
    #[error(
        "cannot pin a virtual CPU to core {0}: it is not there, or not this process's to use (taskset -p)"
    )]
    Pin(u16, #[source] Errno),
    /// It keeps too many rights.
    #[error(transparent)]
    Jail(#[from] JailError),
    /// KVM_RUN itself failed.
    #[error("KVM cannot run the virtual CPU")]
    Run(#[source] kvm_ioctls::Error),
    /// The processor does not take the guest's state.
    #[error("the processor refuses to enter the guest (reason {0:#x})")]
    Entry(u64),
    /// KVM had to interpret an instruction, and could not.
    #[error(
        "KVM gave up at an instruction it had to interpret, at {0:#x}; `ix doctor` tells whether it can run ring 0 here"
    )]
    Interpreted(u64),
    /// An exit nobody expects.
    #[error("KVM left the guest for a reason that this version of ix does not know: {0}")]
    Unknown(String),
    /// A device could not follow.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Vcpu {
    /// Makes the CPU `id` of `cpus`. The first starts at `entry`; the others wait for it to start them.
    ///
    /// # Errors
    /// [`VmError`].
    pub fn create(
        vm: &Arc<Vm>,
        supported: &CpuId,
        (id, cpus): (u8, u8),
        core: Option<u16>,
        entry: u32,
    ) -> Result<Self, VmError> {
        let fd = vm
            .fd
            .create_vcpu(id.into())
            .map_err(VmError::refused("make a virtual CPU"))?;
        // KVM's clock and its other paravirtual interfaces answer only where CPUID names them, which ours does not.
        let _ = fd.enable_cap(&kvm_enable_cap {
            cap: KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
            args: [1, 0, 0, 0],
            ..Default::default()
        });
        let tsc_khz = fd.get_tsc_khz().ok().filter(|&khz| khz != 0);
        let refused = VmError::refused("set up a virtual CPU");
        let leaves = cpuid::filter(supported, id, cpus, tsc_khz);
        let leaves = leaves.ok_or_else(|| refused(kvm_ioctls::Error::new(Errno::E2BIG as i32)))?;
        fd.set_cpuid2(&leaves)
            .and_then(|()| registers::set_firmware_msrs(&fd))
            .map_err(&refused)?;
        if id == 0 {
            registers::enter_at(&fd, entry).map_err(&refused)?;
        }
        Ok(Self {
            fd,
            core,
            _vm: Arc::clone(vm),
        })
    }

    /// KVM's counters of this CPU, if it keeps any.
    #[must_use]
    pub fn stats(&self) -> Option<super::stats::KvmStats> {
        super::stats::KvmStats::of(&self.fd)
    }

    /// Runs until the machine ends. This is the whole life of the CPU's thread.
    ///
    /// # Errors
    /// [`VcpuError`].
    pub fn run<L: Write, D: Write>(mut self, bus: &Bus<L, D>) -> Result<End, VcpuError> {
        self.pin()?;
        jail::enter(Kind::Vcpu)?;
        loop {
            let exit = match self.fd.run() {
                Ok(exit) => exit,
                Err(error) => match Errno::from_raw(error.errno()) {
                    Errno::EINTR | Errno::EAGAIN => {
                        count(&bus.exits.interrupted);
                        continue;
                    }
                    _ => return Err(VcpuError::Run(error)),
                },
            };
            match exit {
                VcpuExit::IoOut(port, data) => {
                    if let Effect::Exit(byte) = bus.port_write(port, data)? {
                        return Ok(End::Exit(byte));
                    }
                }
                VcpuExit::IoIn(port, data) => bus.port_read(port, data),
                VcpuExit::MmioRead(address, data) => bus.memory_read(address, data),
                VcpuExit::MmioWrite(address, data) => bus.memory_write(address, data)?,
                VcpuExit::Hlt => count(&bus.exits.halts),
                VcpuExit::Intr => count(&bus.exits.interrupted),
                VcpuExit::Shutdown | VcpuExit::SystemEvent(..) => return Ok(End::Reset),
                VcpuExit::FailEntry(reason, _) => return Err(VcpuError::Entry(reason)),
                VcpuExit::InternalError => return Err(self.interpreted()),
                VcpuExit::IrqWindowOpen | VcpuExit::IoapicEoi(_) => count(&bus.exits.other),
                other => return Err(VcpuError::Unknown(format!("{other:?}"))),
            }
        }
    }

    fn interpreted(&self) -> VcpuError {
        VcpuError::Interpreted(self.fd.get_regs().map_or(0, |registers| registers.rip))
    }

    fn pin(&self) -> Result<(), VcpuError> {
        let Some(core) = self.core else { return Ok(()) };
        let mut set = CpuSet::new();
        set.set(core.into())
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
            .map_err(|errno| VcpuError::Pin(core, errno))
    }
}

#[cfg(test)]
mod tests {
    use super::End;
    use ix_abi::host::exit;

    #[test]
    fn ends_have_the_statuses_of_qemu() {
        assert_eq!(End::Exit(exit::APP_ENDED).status(), 33);
        assert_eq!(End::Exit(exit::KERNEL_PANIC).status(), 65);
        assert_eq!(End::Exit(0xff).status(), 255);
        assert_eq!(End::Reset.status(), 0);
    }
}
