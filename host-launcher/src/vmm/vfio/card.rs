//! A card as VFIO lends it: registers through its file, memory that can be mapped through mappings of that file.

use super::hardware::Hardware;
use crate::sys::{DeviceMemory, DmaMapping};
use crate::vmm::pci::BAR_COUNT;
use crate::vmm::pci::config_space::{command, register as offset};
use kvm_ioctls::VmFd;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use vfio_bindings::bindings::vfio::{VFIO_PCI_CONFIG_REGION_INDEX, VFIO_REGION_INFO_FLAG_MMAP};
use vfio_ioctls::{VfioDevice, VfioRegionInfoCap};

/// A lent card. It gives back what it has in this order: the guest's view of its memory, its reach into the guest's, itself.
pub(super) struct Card {
    direct: Vec<Direct>,
    _dma: Arc<DmaMapping>,
    /// The device's file once more. Closed before the device, or its group would still be in use when that lets go of it.
    file: OwnedFd,
    device: VfioDevice,
    vm: Arc<VmFd>,
    slots: Range<u32>,
}

struct Direct {
    bar: u8,
    bytes: Range<u64>,
    memory: DeviceMemory,
}

impl Card {
    /// `slots` are numbers of memory slots of `vm` that no one else uses; `file` is the device's.
    pub(super) fn new(
        device: VfioDevice,
        file: OwnedFd,
        dma: Arc<DmaMapping>,
        vm: Arc<VmFd>,
        slots: Range<u32>,
    ) -> Self {
        Self {
            direct: Vec::new(),
            _dma: dma,
            device,
            file,
            vm,
            slots,
        }
    }

    fn direct(&mut self, bar: u8, part: &Range<u64>) -> io::Result<&mut DeviceMemory> {
        let mut parts = self.direct.iter_mut();
        let direct = parts.find(|direct| direct.bar == bar && direct.bytes == *part);
        Ok(&mut direct.ok_or(io::ErrorKind::NotFound)?.memory)
    }
}

impl Hardware for Card {
    fn config_read(&self, offset: u16, data: &mut [u8]) {
        self.device
            .region_read(VFIO_PCI_CONFIG_REGION_INDEX, data, offset.into());
    }

    fn config_write(&self, offset: u16, data: &[u8]) {
        self.device
            .region_write(VFIO_PCI_CONFIG_REGION_INDEX, data, offset.into());
    }

    fn bar_bytes(&self, bar: u8) -> u64 {
        // Behind the BARs there are regions that are none: the ROM, configuration space.
        if bar < BAR_COUNT {
            self.device.get_region_size(bar.into())
        } else {
            0
        }
    }

    fn mappable(&self, bar: u8) -> Vec<Range<u64>> {
        if bar >= BAR_COUNT || self.device.get_region_flags(bar.into()) & VFIO_REGION_INFO_FLAG_MMAP == 0 {
            return Vec::new();
        }
        let sparse = self
            .device
            .get_region_caps(bar.into())
            .into_iter()
            .find_map(|capability| {
                let VfioRegionInfoCap::SparseMmap(sparse) = capability else {
                    return None;
                };
                let areas = sparse.areas.into_iter();
                Some(
                    areas
                        .map(|area| area.offset..area.offset.saturating_add(area.size))
                        .collect(),
                )
            });
        sparse.unwrap_or_else(|| std::iter::once(0..self.bar_bytes(bar)).collect())
    }

    fn map(&mut self, bar: u8, part: Range<u64>) -> io::Result<()> {
        let place = self.device.get_region_offset(bar.into()) + part.start;
        let slot = self.slots.next().ok_or(io::ErrorKind::QuotaExceeded)?;
        let bytes = part.end - part.start;
        let memory = DeviceMemory::map(&self.file, place, bytes, Arc::clone(&self.vm), slot)?;
        self.direct.push(Direct {
            bar,
            bytes: part,
            memory,
        });
        Ok(())
    }

    fn read(&self, bar: u8, offset: u64, data: &mut [u8]) {
        self.device.region_read(bar.into(), data, offset);
    }

    fn write(&self, bar: u8, offset: u64, data: &[u8]) {
        self.device.region_write(bar.into(), data, offset);
    }

    fn show(&mut self, bar: u8, part: Range<u64>, at: u64) -> io::Result<()> {
        self.direct(bar, &part)?.show(at)
    }

    fn hide(&mut self, bar: u8, part: Range<u64>) -> io::Result<()> {
        self.direct(bar, &part)?.hide()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // Before the IOMMU forgets guest memory: what is still under way would be logged as an attack.
        let mut bits = [0; 2];
        self.config_read(offset::COMMAND, &mut bits);
        let quiet = u16::from_le_bytes(bits) & !command::BUS_MASTER;
        self.config_write(offset::COMMAND, &quiet.to_le_bytes());
    }
}
