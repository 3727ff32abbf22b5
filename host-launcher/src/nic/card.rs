//! What is to be known about a network card, and whether a dataplane can have it.

use super::group::{self, Iommu};
use super::in_use::{self, Use};
use super::journal::{self, Entry, Journal};
use super::{PCI, VFIO_PCI};
use crate::config::Bdf;
use crate::host::{self, Host};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::Path;

/// The vendor and device numbers of the cards that the dataplane kernel drives (its `nic/card.rs`).
const DRIVEN: [(u16, u16); 4] = [
    (0x1af4, 0x1041),
    (0x1af4, 0x1000),
    (0x8086, 0x10d3),
    (0x8086, 0x100e),
];

/// The base class of network controllers (PCI Code and ID Assignment Specification).
const NETWORK: &str = "0x02";

/// Vendor and device number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u16, pub u16);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:04x}", self.0, self.1)
    }
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// Where it is.
    pub bdf: Bdf,
    /// The names its interfaces have now.
    pub interfaces: Vec<String>,
    /// What it is.
    #[serde(serialize_with = "as_text")]
    pub id: Id,
    /// The driver it has now.
    pub driver: Option<String>,
    /// Its IOMMU group.
    pub iommu_group: Option<u32>,
    /// The NUMA node it is at, where there is more than one.
    pub numa_node: Option<u32>,
    /// `up`, `down`, a speed, or nothing when no driver of the host's tells.
    pub link: Option<String>,
    /// The driver that gets it back, if we have taken it.
    pub returns_to: Option<String>,
    /// Why a dataplane cannot have it; nothing if it can.
    #[serde(serialize_with = "as_texts")]
    pub obstacles: Vec<Obstacle>,
}

/// Why a dataplane cannot have a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The dataplane kernel cannot drive it.
    #[error("Ixion has no driver for {0}; see docs/hardware.md")]
    NoDriver(Id),
    /// Nothing would confine its DMA.
    #[error(
        "no IOMMU; switch VT-d or AMD-Vi on in the firmware and, on Intel, boot the host with intel_iommu=on"
    )]
    NoIommu,
    /// Nothing would confine its DMA, and VFIO was told not to mind.
    #[error("no IOMMU, only VFIO's unsafe no-IOMMU mode, which Ixion does not use")]
    NoIommuMode,
    /// Others of its IOMMU group have drivers.
    #[error("IOMMU group {0} is shared with {1}; unbind these too, or put the card into another slot")]
    Group(u32, Members),
    /// The host works with it.
    #[error("in use: {0} {1}")]
    InUse(String, Use),
    /// Another dataplane has it.
    #[error("in use by the ix with process id {0}")]
    Held(u32),
}

/// Members of a group and their drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members(pub Vec<(Bdf, String)>);

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self
            .0
            .iter()
            .map(|(bdf, driver)| format!("{bdf} ({driver})"))
            .collect();
        f.write_str(&texts.join(", "))
    }
}

fn as_text<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn as_texts<S: Serializer>(values: &[impl fmt::Display], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(ToString::to_string))
}

impl Nic {
    /// Every network card on PCI.
    #[must_use]
    pub fn all(host: &Host) -> Vec<Self> {
        let devices = host.names(&format!("{PCI}/devices"));
        devices
            .iter()
            .filter_map(|name| Self::read(host, name.parse().ok()?))
            .collect()
    }

    /// The network card at `bdf`, if there is one.
    #[must_use]
    pub fn read(host: &Host, bdf: Bdf) -> Option<Self> {
        let folder = super::folder(host, bdf);
        if !host::text(&folder.join("class"))?.starts_with(NETWORK) {
            return None;
        }
        let number =
            |name: &str| u16::from_str_radix(host::text(&folder.join(name))?.strip_prefix("0x")?, 16).ok();
        let iommu = group::of(&folder);
        let interfaces = interfaces(&folder);
        let entry = Journal::of(host).read(bdf);
        let mut nic = Self {
            bdf,
            link: interfaces.first().and_then(|name| link_state(host, name)),
            interfaces,
            id: Id(number("vendor")?, number("device")?),
            driver: host::link(&folder.join("driver")),
            iommu_group: match iommu {
                Iommu::Group(number) => Some(number),
                Iommu::Absent | Iommu::Pretended => None,
            },
            // sysfs says -1 where there is no such thing as a node.
            numa_node: host::text(&folder.join("numa_node")).and_then(|text| text.parse().ok()),
            returns_to: entry.as_ref().and_then(|entry| entry.old_driver.clone()),
            obstacles: Vec::new(),
        };
        nic.obstacles = nic.obstacles(host, iommu, entry.as_ref());
        Some(nic)
    }

    /// Whether it is VFIO's already.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.driver.as_deref() == Some(VFIO_PCI)
    }

    fn obstacles(&self, host: &Host, iommu: Iommu, entry: Option<&Entry>) -> Vec<Obstacle> {
        let mut obstacles = Vec::new();
        if !DRIVEN.contains(&(self.id.0, self.id.1)) {
            obstacles.push(Obstacle::NoDriver(self.id));
        }
        match iommu {
            Iommu::Absent => obstacles.push(Obstacle::NoIommu),
            Iommu::Pretended => obstacles.push(Obstacle::NoIommuMode),
            Iommu::Group(number) => {
                let spoilers = group::spoilers(host, self.bdf);
                if !spoilers.is_empty() {
                    obstacles.push(Obstacle::Group(number, Members(spoilers)));
                }
            }
        }
        let uses = self
            .interfaces
            .iter()
            .filter_map(|name| Some(Obstacle::InUse(name.clone(), in_use::uses(host, name)?)));
        obstacles.extend(uses);
        let holder = entry
            .and_then(|entry| entry.holder)
            .filter(|&holder| journal::is_alive(host, holder));
        obstacles.extend(holder.map(|holder| Obstacle::Held(holder.pid)));
        obstacles
    }
}

/// A driver's interfaces lie in the device's folder, those of a virtio driver one storey deeper.
fn interfaces(folder: &Path) -> Vec<String> {
    let mut all = host::names(&folder.join("net"));
    for name in host::names(folder)
        .iter()
        .filter(|name| name.starts_with("virtio"))
    {
        all.extend(host::names(&folder.join(name).join("net")));
    }
    all
}

fn link_state(host: &Host, interface: &str) -> Option<String> {
    let attribute = |name: &str| host.text(&format!("/sys/class/net/{interface}/{name}"));
    // An interface that is down has no carrier to tell of: the read fails.
    if attribute("carrier").as_deref() != Some("1") {
        return Some("down".to_owned());
    }
    let speed = attribute("speed")
        .and_then(|text| text.parse::<u32>().ok())
        .filter(|&mbps| mbps > 0);
    Some(speed.map_or_else(|| "up".to_owned(), |mbps| format!("{mbps} Mb/s")))
}
