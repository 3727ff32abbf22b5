use super::Finding;
use crate::host::Host;
use crate::nic::{Nic, VFIO_PCI};

/// Whether there is an IOMMU, and it is on.
pub(super) fn iommu(host: &Host) -> Finding {
    match host.names("/sys/kernel/iommu_groups").len() {
        0 => Finding::warn(
            "iommu",
            "none, or it is off: no card can be passed through",
            "switch VT-d or AMD-Vi on in the firmware and, on Intel, boot the host with intel_iommu=on",
        ),
        count => Finding::ok("iommu", format!("on, {count} groups")),
    }
}

/// Whether VFIO's driver for PCI is there, or will be.
pub(super) fn vfio(host: &Host) -> Finding {
    if host.path(&format!("/sys/bus/pci/drivers/{VFIO_PCI}")).exists() {
        return Finding::ok("vfio", "vfio-pci is loaded");
    }
    let release = host.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = host
        .text(&format!("/lib/modules/{release}/modules.dep"))
        .unwrap_or_default();
    let names = modules
        .lines()
        .filter_map(|line| line.split_once(':')?.0.rsplit('/').next());
    if names
        .map(|name| name.split('.').next())
        .any(|name| name == Some(VFIO_PCI))
    {
        return Finding::ok("vfio", "vfio-pci is there, to be loaded when needed");
    }
    let cure = "install the host kernel's modules; its configuration needs CONFIG_VFIO_PCI";
    Finding::warn("vfio", "the host has no driver vfio-pci", cure)
}

/// Whether there are cards to pass through.
pub(super) fn usable(nics: &[Nic]) -> Finding {
    let usable: Vec<_> = nics.iter().filter(|nic| nic.obstacles.is_empty()).collect();
    let names: Vec<_> = usable.iter().map(|nic| nic.bdf.to_string()).collect();
    let found = format!("{} of {} usable", usable.len(), nics.len());
    if usable.is_empty() {
        return Finding::warn("nics", found, "ix nic list says why not");
    }
    Finding::ok("nics", format!("{found}: {}", names.join(", ")))
}
