//! The machine on KVM. It is a process of its own, `ix machine`: the launcher starts it as it would start QEMU, hands it
//! descriptors to inherit, and writes a [`Blueprint`] to its standard input. From there [`run`] is the story: memory, the
//! kernel in it, the virtual machine around it, devices on its buses, CPUs that run until the kernel says how it ended.
//! A thread runs each CPU; the first thread waits for the end, and tells the counters when it is asked to. Before the
//! guest's first instruction, each thread gives up what it does not need for that ([`jail`]).

/// What is to be built.
mod blueprint;
pub use blueprint::{Blueprint, BlueprintError, DataPlane, Device, Mac, Memory, Wires};

/// What the launcher left open for it.
mod inheritance;

pub mod layout;

pub mod ram;

pub mod boot;

pub mod vm;

#[allow(
    unsafe_code,
    reason = "what memory KVM shows to a guest is told by address; walled in here"
)]
pub mod slots;

pub mod cpuid;

pub mod registers;

pub mod vcpu;

pub mod bus;

pub mod legacy;

pub mod pci;

/// The functions on it.
mod messages;

mod devices;

/// Cards of the host's on it.
pub mod vfio;

pub mod virtio;

pub mod exits;

pub mod stats;

/// The first thread, once the others run.
mod watch;

use crate::jail::{self, JailError, Kind};
use boot::LoadError;
use bus::Bus;
use devices::{DeviceError, Parts, Prepared};
use inheritance::Inheritance;
use kvm_bindings::CpuId;
use legacy::Legacy;
use nix::errno::Errno;
use ram::RamError;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use vcpu::{End, Vcpu, VcpuError};
use vm::{Cores, Vm, VmError};
use watch::Watch;

/// Why there is no machine, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A descriptor is missing.
    #[error("the launcher did not hand over descriptor {0}; `ix machine` is started by `ix run`")]
    NotInherited(i32, #[source] Errno),
    /// The counters cannot be shared.
    #[error("cannot share counters with the launcher")]
    Area(#[source] io::Error),
    /// There is no memory.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// There is no kernel, or no app.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// KVM does not make it.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A device cannot be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The host lacks a thread, or a pipe.
    #[error("cannot start the machine's threads")]
    Thread(#[source] io::Error),
    /// A thread keeps too many rights.
    #[error(transparent)]
    Jail(#[from] JailError),
    /// A CPU cannot go on.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
}

/// Builds the machine, and runs it to its end.
///
/// # Errors
/// [`MachineError`].
pub fn run(blueprint: &Blueprint) -> Result<End, MachineError> {
    let inherited = Inheritance::claim(blueprint)?;

    let ram = ram::map(inherited.memory, blueprint.memory)?;
    if !inherited.devices.iter().any(Prepared::pins_memory) {
        ram::lock(&ram);
    }
    let entry = boot::load(&ram, blueprint)?;

    let vm = Arc::new(Vm::create(&ram, cores(blueprint))?);
    let supported = vm.supported_cpuid()?;
    let tap_counters = Arc::default();
    let parts = Parts {
        vm: &vm,
        ram: &ram,
        supported: &supported,
        tap_counters: Arc::clone(&tap_counters),
    };
    let legacy = Legacy::new(inherited.log, inherited.bell);
    let bus = Arc::new(Bus::new(legacy, parts.bus(inherited.devices)?));
    // The devices end with the process, all at once. To take them apart would fall to whichever thread is the last, and
    // would take rights that threads which run a guest do not need.
    std::mem::forget(Arc::clone(&bus));
    let cpus = vcpus(blueprint, &vm, &supported, entry)?;

    let counters = (&bus, tap_counters);
    let watch =
        Watch::new(inherited.doorbell, inherited.area, counters, &cpus).map_err(MachineError::Thread)?;
    jail::lower_limits()?;
    start(cpus, &bus, &watch).map_err(MachineError::Thread)?;
    jail::enter(Kind::Watch)?;
    Ok(watch.wait()?)
}

/// Each CPU gets a thread of its own.
fn start(cpus: Vec<Vcpu>, bus: &Arc<Bus<UnixStream, UnixStream>>, watch: &Watch) -> io::Result<()> {
    for (id, cpu) in cpus.into_iter().enumerate() {
        let (bus, ending) = (Arc::clone(bus), watch.ending()?);
        std::thread::Builder::new()
            .name(format!("vcpu{id}"))
            .spawn(move || ending.tell(cpu.run(&bus)))?;
    }
    Ok(())
}

/// Who names cores for the machine means them to be its own.
fn cores(blueprint: &Blueprint) -> Cores {
    if blueprint.cpus.iter().all(Option::is_some) {
        Cores::Dedicated
    } else {
        Cores::Shared
    }
}

fn vcpus(blueprint: &Blueprint, vm: &Arc<Vm>, supported: &CpuId, entry: u32) -> Result<Vec<Vcpu>, VmError> {
    let count = u8::try_from(blueprint.cpus.len()).unwrap_or(u8::MAX);
    (0..count)
        .zip(&blueprint.cpus)
        .map(|(id, core)| Vcpu::create(vm, supported, (id, count), *core, entry))
        .collect()
}
