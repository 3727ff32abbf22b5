//! From a card that VFIO's driver has to a function on the guest's bus.

use super::card::Card;
use super::dma::{self, DmaError};
use super::passthrough::Passthrough;
use crate::config::Bdf;
use crate::sys::{self, DmaMapping};
use crate::vmm::pci::Function;
use kvm_bindings::{kvm_create_device, kvm_device_type_KVM_DEV_TYPE_VFIO};
use kvm_ioctls::VmFd;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioDeviceFd, VfioError};
use vm_memory::GuestMemoryMmap;

/// Why the card cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// KVM and VFIO cannot be told of each other.
    #[error("this KVM knows no VFIO devices; the host's kernel needs CONFIG_KVM_VFIO")]
    Kvm(#[source] io::Error),
    /// `/dev/vfio/vfio` cannot be opened.
    #[error("cannot open /dev/vfio/vfio; is vfio-pci loaded (modprobe vfio-pci), and may this user open it?")]
    Container(#[source] io::Error),
    /// VFIO is not what it was.
    #[error("this host's VFIO has no IOMMU that we know how to use (type 1, version 2)")]
    Api(#[source] VfioError),
    /// The group's file cannot be opened.
    #[error("no right to open {path} for {bdf}; run as root, or give it to this user: chown USER {path}")]
    NoRight {
        /// The card.
        bdf: Bdf,
        /// The file.
        path: String,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// Someone else has it open.
    #[error("{0} is in use by another program that has its IOMMU group open")]
    Busy(Bdf),
    /// It has no group file: VFIO's driver has not got it.
    #[error("{0} does not belong to vfio-pci (any more)")]
    NotBound(Bdf),
    /// Others in the group have drivers.
    #[error("the IOMMU group of {0} has other members that have drivers; ix nic list names them")]
    NotViable(Bdf),
    /// The IOMMU could be used to forge interrupts.
    #[error(
        "the host's IOMMU does not remap interrupts, and so VFIO refuses it; boot the host with intremap=on"
    )]
    NoInterruptRemapping,
    /// Guest memory is out of its reach.
    #[error(transparent)]
    Dma(#[from] DmaError),
    /// Its registers cannot be mapped.
    #[error("cannot map the registers of {0}")]
    Registers(Bdf, #[source] io::Error),
    /// Something else.
    #[error("VFIO does not give us {0}")]
    Vfio(Bdf, #[source] VfioError),
}

/// Where a machine's cards come from: one container, whose groups KVM hears of, so that it knows what the guest can reach,
/// and in it guest memory.
pub struct Vfio {
    vm: Arc<VmFd>,
    container: Arc<VfioContainer>,
    /// There is something to map in once there is a card.
    dma: Option<Arc<DmaMapping>>,
}

impl Vfio {
    /// For a machine, which can have one of these.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn new(vm: &Arc<VmFd>) -> Result<Self, OpenError> {
        let mut request = kvm_create_device {
            type_: kvm_device_type_KVM_DEV_TYPE_VFIO,
            ..kvm_create_device::default()
        };
        let device = vm.create_device(&mut request);
        let device = device.map_err(|error| OpenError::Kvm(error.into()))?;
        let container = VfioContainer::new(Some(Arc::new(VfioDeviceFd::new_from_kvm(device))));
        let container = container.map_err(|error| match error {
            VfioError::OpenContainer(error) => OpenError::Container(error),
            error => OpenError::Api(error),
        })?;
        Ok(Self {
            vm: Arc::clone(vm),
            container: Arc::new(container),
            dma: None,
        })
    }

    /// Takes the card at `bdf` into the machine: reset, with all of `ram`, the machine's, in its reach. `slots` are numbers of
    /// memory slots that are free.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        bdf: Bdf,
        ram: &GuestMemoryMmap,
        slots: Range<u32>,
    ) -> Result<Box<dyn Function>, OpenError> {
        let folder = format!("/sys/bus/pci/devices/{bdf}");
        let device = VfioDevice::new(Path::new(&folder), Arc::clone(&self.container) as _, false);
        let device = device.map_err(|error| explain(bdf, error))?;
        // Opening it has done this already, if it can be done at all; what cannot be reset starts as it is.
        device.reset();
        let dma = match &self.dma {
            Some(dma) => Arc::clone(dma),
            None => Arc::clone(
                self.dma
                    .insert(Arc::new(dma::map(Arc::clone(&self.container), ram)?)),
            ),
        };
        let registers = |error| OpenError::Registers(bdf, error);
        let file = sys::duplicate(&device).map_err(registers)?;
        let card = Card::new(device, file, dma, Arc::clone(&self.vm), slots);
        Ok(Box::new(Passthrough::new(card).map_err(registers)?))
    }
}

fn explain(bdf: Bdf, error: VfioError) -> OpenError {
    const EPERM: i32 = nix::libc::EPERM;
    match error {
        VfioError::GroupViable => OpenError::NotViable(bdf),
        VfioError::ContainerSetIOMMU(error) if error.errno() == EPERM => OpenError::NoInterruptRemapping,
        VfioError::OpenGroup(source, group) => match source.kind() {
            io::ErrorKind::PermissionDenied => OpenError::NoRight {
                bdf,
                path: format!("/dev/vfio/{group}"),
                source,
            },
            io::ErrorKind::ResourceBusy => OpenError::Busy(bdf),
            io::ErrorKind::NotFound => OpenError::NotBound(bdf),
            _ => OpenError::Vfio(bdf, VfioError::OpenGroup(source, group)),
        },
        error => OpenError::Vfio(bdf, error),
    }
}
