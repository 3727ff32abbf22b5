//! The functions on the guest's PCI bus, made as the blueprint says.

use super::inheritance::claim;
use super::messages::Messages;
use super::pci::{BusFull, Function, PlaceError, Root, Windows};
use super::ram::Ram;
use super::vfio::{OpenError, Vfio};
use super::virtio::net::{self, Counters, Net, Rank, Settings, Signals, TapPlane, VhostError, VhostPlane};
use super::virtio::transport::Transport;
use super::virtio::{Doorbells, Interrupts, Memory};
use super::vm::Vm;
use super::{DataPlane, Device, cpuid};
use crate::jail::{self, Kind};
use kvm_bindings::CpuId;
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use vm_memory::{Address, GuestMemoryBackend};
use vmm_sys_util::eventfd::EventFd;

/// Memory slots kept free for each device: more than it has BARs, and pieces of them.
const SLOTS_EACH: u32 = 64;

/// Numbers of KVM's for the messages of each: of all devices the one with most queues has fewer.
const MESSAGES_EACH: usize = 256;

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// More than a bus holds.
    #[error(transparent)]
    Full(#[from] BusFull),
    /// Or more than its address space does.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The tap does not do.
    #[error("cannot make a network card on the tap")]
    Tap(#[source] io::Error),
    /// vhost-net does not do.
    #[error(transparent)]
    Vhost(#[from] VhostError),
    /// The card cannot be passed through.
    #[error(transparent)]
    Vfio(#[from] OpenError),
}

/// What a machine's devices are made of.
pub(super) struct Parts<'a> {
    /// The machine.
    pub(super) vm: &'a Vm,
    /// Its RAM.
    pub(super) ram: &'a Ram,
    /// What its CPUs say.
    pub(super) supported: &'a CpuId,
    /// What a tap's data plane of ours counts.
    pub(super) tap_counters: Arc<Counters>,
}

/// A device of the blueprint, its descriptor taken over.
pub(super) enum Prepared {
    /// A card on this tap, by its queues.
    Tap(Vec<OwnedFd>, Settings, DataPlane),
    /// A card of the host's.
    Card(crate::config::Bdf),
}

impl Prepared {
    /// Takes over what the launcher left open for the device.
    pub(super) fn new(device: &Device) -> Result<Self, super::MachineError> {
        Ok(match *device {
            Device::VirtioNet {
                ref taps,
                mac,
                mtu,
                data_plane,
            } => {
                let taps = taps.iter().map(|&tap| Ok(claim(tap)?.into_owned()));
                let taps = taps.collect::<Result<_, super::MachineError>>()?;
                Self::Tap(taps, Settings { mac, mtu }, data_plane)
            }
            Device::Vfio { bdf } => Self::Card(bdf),
        })
    }

    /// VFIO keeps all of guest memory where it is, and counts it against the limit that locking counts against, too.
    pub(super) fn pins_memory(&self) -> bool {
        matches!(self, Self::Card(_))
    }
}

impl Parts<'_> {
    /// The bus with these devices, their BARs placed as firmware would.
    pub(super) fn bus(&self, devices: Vec<Prepared>) -> Result<Root, DeviceError> {
        let ram_end = self.ram.last_addr().raw_value() + 1;
        let bits = cpuid::physical_bits(self.supported);
        let mut root = Root::new(Windows::above(ram_end, bits));
        let mut slots = self.vm.ram_slots.first_free;
        let mut vfio: Option<Vfio> = None;
        let messages = Messages::new(&self.vm.fd);
        for (device, first) in devices.into_iter().zip((0..).step_by(MESSAGES_EACH)) {
            root.add(match device {
                Prepared::Tap(taps, settings, plane) => {
                    self.virtio_net(taps, settings, plane, messages.from(first))?
                }
                Prepared::Card(bdf) => {
                    let vfio = match &mut vfio {
                        Some(vfio) => vfio,
                        none => none.insert(Vfio::new(&self.vm.fd)?),
                    };
                    vfio.open(bdf, self.ram, slots..slots + SLOTS_EACH)?
                }
            })?;
            slots += SLOTS_EACH;
        }
        root.place_bars()?;
        Ok(root)
    }

    fn virtio_net(
        &self,
        taps: Vec<OwnedFd>,
        settings: Settings,
        plane: DataPlane,
        interrupts: Box<dyn Interrupts>,
    ) -> Result<Box<dyn Function>, DeviceError> {
        let memory: Memory = Arc::new(self.ram.clone());
        let signals = Signals::new(taps.len()).map_err(DeviceError::Tap)?;
        let mut planes: Vec<Box<dyn net::DataPlane>> = Vec::new();
        for ((number, tap), signals) in taps.into_iter().enumerate().zip(signals.share()) {
            let (tap, signals) = ((tap, Rank::of(number)), signals.map_err(DeviceError::Tap)?);
            planes.push(match plane {
                DataPlane::VhostNet => Box::new(VhostPlane::new(tap, &memory, signals)?),
                DataPlane::Own => {
                    let counters = Arc::clone(&self.tap_counters);
                    let confine = || jail::enter_or_end(Kind::DataPlane);
                    let plane = TapPlane::new(tap, Arc::clone(&memory), signals, counters, confine);
                    Box::new(plane.map_err(DeviceError::Tap)?)
                }
            });
        }
        let net = Net::new(settings, signals, planes);
        let doorbells = Box::new(IoEvents(Arc::clone(&self.vm.fd)));
        Ok(Box::new(Transport::new(net, memory, doorbells, interrupts)))
    }
}

/// Writes that KVM turns into signals without an exit to us.
struct IoEvents(Arc<VmFd>);

impl Doorbells for IoEvents {
    fn add(&self, address: u64, kick: &EventFd) -> io::Result<()> {
        let address = IoEventAddress::Mmio(address);
        Ok(self.0.register_ioevent(kick, &address, NoDatamatch)?)
    }

    fn remove(&self, address: u64, kick: &EventFd) -> io::Result<()> {
        let address = IoEventAddress::Mmio(address);
        Ok(self.0.unregister_ioevent(kick, &address, NoDatamatch)?)
    }
}
