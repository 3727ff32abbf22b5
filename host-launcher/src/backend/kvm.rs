//! This program itself as the machine, on KVM: its blueprint, and its complaints.

use crate::config::{Link, LinkPlan, NicChoice, Plan, Vhost};
use crate::tap;
use crate::vmm::{Blueprint, DataPlane, Device, Memory, Wires};
use nix::unistd::{AccessFlags, access};
use std::os::fd::RawFd;
use std::path::Path;

/// The program, as its own process can name it wherever it lies.
pub const PROGRAM: &str = "/proc/self/exe";
/// Its hidden command.
pub const COMMAND: &str = "machine";

const VHOST_NET: &str = "/dev/vhost-net";

/// The machine of this plan. `taps` are the descriptors of its links' taps, one for each queue, and who moves their packets.
#[must_use]
pub fn blueprint(
    plan: &Plan,
    kernel: &Path,
    memory: Memory,
    wires: Wires,
    (taps, data_plane): (&[Vec<RawFd>], Option<DataPlane>),
) -> Blueprint {
    let cpus = plan.cpus.as_ref().map_or_else(
        || vec![None; plan.cores.into()],
        |list| list.cores().iter().copied().map(Some).collect(),
    );
    Blueprint {
        memory,
        cpus,
        devices: plan
            .links
            .iter()
            .zip(taps)
            .filter_map(|(link, taps)| device(link, taps, data_plane))
            .collect(),
        kernel: kernel.to_owned(),
        app: plan.app.clone(),
        cmdline: plan.cmdline.clone(),
        wires,
    }
}

fn device(link: &LinkPlan, taps: &[RawFd], data_plane: Option<DataPlane>) -> Option<Device> {
    match (link.nic, &link.network.link) {
        (NicChoice::Vfio(bdf), _) => Some(Device::Vfio { bdf }),
        (NicChoice::Model(_), Link::Tap(name)) => data_plane.map(|data_plane| Device::VirtioNet {
            taps: taps.to_vec(),
            mac: link.network.mac_bytes(),
            mtu: link.mtu.unwrap_or_else(|| tap::mtu(name)),
            data_plane,
        }),
        // The plan leaves no other link to KVM.
        (NicChoice::Model(_), Link::Loopback | Link::User(_) | Link::Cable(_)) => None,
    }
}

/// Who moves the packets of the plan's taps. Linux does it without waking a process of ours, where it can at all.
#[must_use]
pub fn data_plane(plan: &Plan) -> DataPlane {
    let usable = || access(VHOST_NET, AccessFlags::R_OK | AccessFlags::W_OK).is_ok();
    match plan.vhost {
        Vhost::On => DataPlane::VhostNet,
        Vhost::Auto if usable() => DataPlane::VhostNet,
        Vhost::Auto | Vhost::Off => DataPlane::Own,
    }
}

/// What the machine process said last, in one line.
#[must_use]
pub fn explain(complaint: &str) -> String {
    match complaint.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => line.strip_prefix("ix: ").unwrap_or(line).to_owned(),
        None => "it gave no reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{blueprint, data_plane, explain};
    use crate::config::{Options, Plan, Vhost};
    use crate::sys::PageKind;
    use crate::vmm::{DataPlane, Device, Memory, Wires};
    use std::path::Path;

    fn devices_and_cpus(
        options: Options,
        taps: (&[Vec<i32>], Option<DataPlane>),
    ) -> (Vec<Device>, Vec<Option<u16>>) {
        let plan = Plan::new(Options {
            app: Some("echo".into()),
            ip: "10.1.0.2/24".parse().ok(),
            ..options
        });
        let memory = Memory {
            fd: 3,
            bytes: 1 << 28,
            pages: PageKind::Huge2M,
        };
        let wires = Wires {
            log: 4,
            doorbell: 5,
            area: 6,
        };
        let blueprint = blueprint(&plan.unwrap(), Path::new("/k"), memory, wires, taps);
        assert!(blueprint.cmdline.ends_with(" -- echo") && blueprint.kernel == Path::new("/k"));
        (blueprint.devices, blueprint.cpus)
    }

    #[test]
    fn plans_become_devices() {
        let net = "tap:t0".parse().ok();
        let (devices, cpus) = devices_and_cpus(
            Options {
                net,
                ..Options::default()
            },
            (&[vec![9, 10]], Some(DataPlane::Own)),
        );
        let expected = Device::VirtioNet {
            taps: vec![9, 10],
            mac: [2, 0x49, 10, 1, 0, 2],
            mtu: 1500,
            data_plane: DataPlane::Own,
        };
        assert_eq!(devices, [expected]);
        assert_eq!(cpus, [None]);
        let several = Options {
            net: "tap:t0".parse().ok(),
            cores: Some(3),
            ..Options::default()
        };
        assert_eq!(
            devices_and_cpus(several, (&[vec![9]], Some(DataPlane::Own))).1,
            [None; 3]
        );
        let (devices, cpus) = devices_and_cpus(
            Options {
                nic: "vfio:01:00.0".parse().ok(),
                cpus: "2,3".parse().ok(),
                link: vec!["net=tap:t1,ip=10.2.0.2/24".parse().unwrap()],
                ..Options::default()
            },
            (&[vec![], vec![9]], Some(DataPlane::Own)),
        );
        let bdf = "01:00.0".parse().unwrap();
        assert_eq!(devices[0], Device::Vfio { bdf });
        let second = [2, 0x49, 10, 2, 0, 2];
        assert!(matches!(&devices[1], Device::VirtioNet { taps, mac, .. } if *taps == [9] && *mac == second));
        assert_eq!(cpus, [Some(2), Some(3)]);
    }

    #[test]
    fn the_data_plane_is_the_one_asked_for() {
        for (vhost, expected) in [(Vhost::On, DataPlane::VhostNet), (Vhost::Off, DataPlane::Own)] {
            let plan = Plan::new(Options {
                app: Some("echo".into()),
                net: "tap:t0".parse().ok(),
                ip: "10.1.0.2/24".parse().ok(),
                vhost: Some(vhost),
                ..Options::default()
            });
            assert_eq!(data_plane(&plan.unwrap()), expected);
        }
    }

    #[test]
    fn complaints_are_passed_on() {
        assert_eq!(explain("\nix: no memory\nmore\n"), "no memory");
        assert_eq!(explain(" \n"), "it gave no reason");
    }
}
