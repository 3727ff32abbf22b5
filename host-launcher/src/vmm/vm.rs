//! The virtual machine as KVM makes it: its memory, and of a PC's chips the local interrupt controllers only.

use super::layout;
use super::ram::Ram;
use super::slots::RamSlots;
use kvm_bindings::{
    CpuId, KVM_CAP_PMU_CAPABILITY, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X86_DISABLE_EXITS, KVM_MAX_CPUID_ENTRIES,
    KVM_PMU_CAP_DISABLE, KVM_X86_DISABLE_EXITS_HLT, KVM_X86_DISABLE_EXITS_MWAIT, KVM_X86_DISABLE_EXITS_PAUSE,
    kvm_enable_cap,
};
use kvm_ioctls::{Kvm, VmFd};
use nix::errno::Errno;
use std::sync::Arc;

/// What the machine's cores are besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Theirs alone: a CPU that waits may keep its core.
    Dedicated,
    /// Others' too: a CPU that waits gives its core away.
    Shared,
}

/// A virtual machine without CPUs.
pub struct Vm {
    /// KVM itself.
    pub kvm: Kvm,
    /// The machine.
    pub fd: Arc<VmFd>,
    /// Its memory.
    pub ram_slots: RamSlots,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// The host has no KVM.
    #[error(
        "there is no /dev/kvm; load it with: modprobe kvm_intel or kvm_amd (is virtualization on in the firmware?)"
    )]
    Missing,
    /// It is not for us.
    #[error(
        "no right to use /dev/kvm; run as root, or join its group: usermod -aG kvm {}",
        user()
    )]
    NoRight,
    /// It does not open for another reason.
    #[error("cannot open /dev/kvm")]
    Open(#[source] kvm_ioctls::Error),
    /// It refuses a step.
    #[error("KVM refuses to {step}; a newer kernel may do it")]
    Refused {
        /// What it refuses.
        step: &'static str,
        /// What it says.
        source: kvm_ioctls::Error,
    },
}

impl VmError {
    /// For `map_err`: a refusal of `step`.
    pub fn refused(step: &'static str) -> impl Fn(kvm_ioctls::Error) -> Self {
        move |source| Self::Refused { step, source }
    }
}

fn user() -> String {
    std::env::var("USER").unwrap_or_else(|_| "YOU".to_owned())
}

/// Opens /dev/kvm.
///
/// # Errors
/// [`VmError`].
pub fn open() -> Result<Kvm, VmError> {
    Kvm::new().map_err(|error| match Errno::from_raw(error.errno()) {
        Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => VmError::Missing,
        Errno::EACCES | Errno::EPERM => VmError::NoRight,
        _ => VmError::Open(error),
    })
}

impl Vm {
    /// Makes a machine with this memory.
    ///
    /// # Errors
    /// [`VmError`].
    pub fn create(ram: &Ram, cores: Cores) -> Result<Self, VmError> {
        let kvm = open()?;
        let fd = Arc::new(
            kvm.create_vm()
                .map_err(VmError::refused("make a virtual machine"))?,
        );
        let tss = usize::try_from(layout::KVM_TSS).unwrap_or_default();
        fd.set_tss_address(tss)
            .and_then(|()| fd.set_identity_map_address(layout::KVM_IDENTITY_MAP.into()))
            .map_err(VmError::refused("place its own pages"))?;
        enable(&fd, KVM_CAP_SPLIT_IRQCHIP, 0).map_err(VmError::refused(
            "make interrupt controllers of CPUs alone (split irqchip)",
        ))?;
        // An older KVM has no such switch, and shows what CPUID leaves over.
        let _ = enable(&fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE.into());
        if cores == Cores::Dedicated {
            disable_exits(&fd);
        }
        let ram_slots = RamSlots::show(&fd, ram).map_err(VmError::refused("take guest memory"))?;
        Ok(Self { kvm, fd, ram_slots })
    }

    /// What KVM can give a CPU.
    ///
    /// # Errors
    /// [`VmError`].
    pub fn supported_cpuid(&self) -> Result<CpuId, VmError> {
        self.kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(VmError::refused("tell its CPUs' features"))
    }
}

/// Lets a CPU halt, pause and wait without leaving the guest, as far as this KVM can; what it cannot do costs an exit.
fn disable_exits(vm: &VmFd) {
    let possible = vm.check_extension_raw(KVM_CAP_X86_DISABLE_EXITS.into());
    let wanted = KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_MWAIT;
    let _ = enable(
        vm,
        KVM_CAP_X86_DISABLE_EXITS,
        u64::from(wanted) & u64::try_from(possible).unwrap_or(0),
    );
}

fn enable(vm: &VmFd, cap: u32, argument: u64) -> Result<(), kvm_ioctls::Error> {
    vm.enable_cap(&kvm_enable_cap {
        cap,
        args: [argument, 0, 0, 0],
        ..Default::default()
    })
}
