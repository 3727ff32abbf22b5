//! What the machine is made of, as the launcher tells the machine process: one line of JSON. Descriptors are those the
//! process inherits.

use crate::config::Bdf;
use crate::sys::PageKind;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// Its RAM.
    pub memory: Memory,
    /// Its CPUs: for each the host core it is pinned to, if it is.
    pub cpus: Vec<Option<u16>>,
    /// Its PCI functions, in the order of their slots.
    pub devices: Vec<Device>,
    /// The kernel image, an ELF file with a PVH entry.
    pub kernel: PathBuf,
    /// The app, which the kernel finds as its first module.
    pub app: PathBuf,
    /// The kernel's command line.
    pub cmdline: String,
    /// How it talks to the launcher.
    pub wires: Wires,
}

/// What was read is no blueprint.
#[derive(Debug, thiserror::Error)]
#[error("`ix machine` is told what to be by `ix run`; it is no command to type")]
pub struct BlueprintError(#[from] serde_json::Error);

impl Blueprint {
    /// Reads one, to the end of `from`.
    ///
    /// # Errors
    /// [`BlueprintError`].
    pub fn read(from: impl Read) -> Result<Self, BlueprintError> {
        Ok(serde_json::from_reader(from)?)
    }
}

/// Guest RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The memory file: guest-physical memory in one piece, without the hole below 4 GiB.
    pub fd: RawFd,
    /// Its size.
    pub bytes: u64,
    /// What its pages are.
    pub pages: PageKind,
}

/// A PCI function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// A virtio-net card on a tap.
    VirtioNet {
        /// The tap, attached: a descriptor for each of its queues.
        taps: Vec<RawFd>,
        /// The card's hardware address.
        mac: Mac,
        /// The largest IP packet its link carries.
        mtu: u16,
        /// Who moves its packets.
        data_plane: DataPlane,
    },
    /// A card of the host's.
    Vfio {
        /// Where it is on the host.
        bdf: Bdf,
    },
}

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Who moves the packets of a virtio-net card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataPlane {
    /// A thread of this process.
    Own,
    /// The host's kernel.
    VhostNet,
}

/// Descriptors between machine and launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wires {
    /// A socket: what the kernel writes to COM1.
    pub log: RawFd,
    /// A socket: a byte for each that the kernel writes to COM2.
    pub doorbell: RawFd,
    /// The memory file of the machine area: what the machine counts.
    pub area: RawFd,
}

#[cfg(test)]
mod tests {
    use super::{Blueprint, DataPlane, Device, Memory, PageKind, Wires};

    #[test]
    fn a_blueprint_survives_its_way_through_a_pipe() {
        let blueprint = Blueprint {
            memory: Memory {
                fd: 5,
                bytes: 256 << 20,
                pages: PageKind::Huge2M,
            },
            cpus: vec![Some(2), None],
            devices: vec![
                Device::VirtioNet {
                    taps: vec![9, 10],
                    mac: [2, 0x49, 10, 1, 0, 2],
                    mtu: 1500,
                    data_plane: DataPlane::VhostNet,
                },
                Device::Vfio {
                    bdf: "0000:01:00.0".parse().unwrap(),
                },
            ],
            kernel: "/k".into(),
            app: "/a b".into(),
            cmdline: "host=0xf00000 -- echo\u{e9}".to_owned(),
            wires: Wires {
                log: 6,
                doorbell: 7,
                area: 8,
            },
        };
        let line = serde_json::to_string(&blueprint).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(Blueprint::read(line.as_bytes()).unwrap(), blueprint);
        let more = line.replacen('{', "{\"more\":1,", 1);
        assert!(Blueprint::read(more.as_bytes()).is_err());
    }
}
