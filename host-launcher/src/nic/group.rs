//! IOMMU groups: devices that the IOMMU cannot tell apart, or that can talk to each other behind its back. A group is
//! had as a whole or not at all, so all of its members must have let go of their drivers (kernel documentation,
//! driver-api/vfio.rst).

use crate::config::Bdf;
use crate::host::{self, Host};
use std::path::Path;

/// The IOMMU's view of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Iommu {
    /// There is none in front of it.
    Absent,
    /// VFIO only pretends: `enable_unsafe_noiommu_mode`.
    Pretended,
    /// It is in the group of this number.
    Group(u32),
}

/// Drivers that VFIO suffers in a group: its own, one that does nothing, and that of a PCI Express port, which starts no
/// DMA of its own.
const HARMLESS: [&str; 3] = ["vfio-pci", "pci-stub", "pcieport"];

/// Which group `device`, its folder in sysfs, is in.
pub(super) fn of(device: &Path) -> Iommu {
    let group = device.join("iommu_group");
    let number = host::link(&group).and_then(|name| name.parse().ok());
    match (number, host::text(&group.join("name"))) {
        (Some(_), Some(name)) if name == "vfio-noiommu" => Iommu::Pretended,
        (Some(number), _) => Iommu::Group(number),
        (None, _) => Iommu::Absent,
    }
}

/// The other members of the device's group that keep it from VFIO, with their drivers.
pub(super) fn spoilers(host: &Host, bdf: Bdf) -> Vec<(Bdf, String)> {
    let folder = super::folder(host, bdf).join("iommu_group/devices");
    let members = host::names(&folder).into_iter().filter_map(|name| {
        Some((
            name.parse().ok()?,
            host::link(&folder.join(&name).join("driver"))?,
        ))
    });
    members
        .filter(|(member, driver): &(Bdf, String)| *member != bdf && !HARMLESS.contains(&driver.as_str()))
        .collect()
}
