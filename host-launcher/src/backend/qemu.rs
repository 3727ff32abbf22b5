//! The machine as QEMU makes it: its command line, and its complaints in our words.

use crate::config::{Ip4, Link, LinkPlan, Network, NicChoice, NicModel, Plan, host_number};
use ix_abi::host::exit;
use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// Why there is no QEMU.
#[derive(Debug, thiserror::Error)]
pub enum QemuMissing {
    /// The program was not found.
    #[error(
        "qemu-system-x86_64 not found; install it (Debian: apt-get install qemu-system-x86) or name it in $IX_QEMU"
    )]
    NotInPath,
    /// `IX_QEMU` leads nowhere.
    #[error("$IX_QEMU is {0}, which is no file; correct or unset it")]
    NotThere(PathBuf),
}

/// Finds QEMU: `IX_QEMU`, or in the search path.
pub fn find() -> Result<PathBuf, QemuMissing> {
    if let Some(named) = std::env::var_os("IX_QEMU").map(PathBuf::from) {
        return if named.is_file() {
            Ok(named)
        } else {
            Err(QemuMissing::NotThere(named))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("qemu-system-x86_64"))
        .find(|file| file.is_file())
        .ok_or(QemuMissing::NotInPath)
}

/// Descriptors the machine inherits.
#[derive(Clone, Copy, Debug)]
pub struct Wires<'a> {
    /// The memory file.
    pub ram: RawFd,
    /// Socket of COM1, the kernel's log.
    pub log: RawFd,
    /// Socket of COM2, the doorbell.
    pub doorbell: RawFd,
    /// For each link the queues of its tap, if it has one.
    pub taps: &'a [Vec<RawFd>],
}

/// QEMU's arguments for this plan. The machine has its cores, memory we share, two serial lines, a NIC for each link, a
/// way to exit, and nothing else.
#[must_use]
pub fn arguments(plan: &Plan, kernel: &Path, wires: Wires<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut option = |name: &str, value: OsString| args.extend([format!("-{name}").into(), value]);
    option("machine", "q35,accel=tcg,memory-backend=ram".into());
    option("cpu", "max".into());
    let smp = match plan.cores {
        // One CPU, but a place for another: for a machine that can never have one, QEMU 7.2 leaves MFENCE and LOCK out of
        // the code, although its NIC works in another thread, and now and then nobody rings the doorbell.
        1 => "1,maxcpus=2".into(),
        cores => cores.to_string(),
    };
    option("smp", smp.into());
    option("m", plan.mem.to_string().into());
    let ram = wires.ram;
    let backend = format!(
        "memory-backend-file,id=ram,size={},mem-path=/proc/self/fd/{ram},share=on",
        plan.mem
    );
    option("object", backend.into());
    option("display", "none".into());
    option("kernel", kernel.into());
    option("initrd", plan.app.clone().into());
    option("append", plan.cmdline.clone().into());
    for (line, fd) in [("log", wires.log), ("doorbell", wires.doorbell)] {
        option("chardev", format!("socket,id={line},fd={fd}").into());
        option("serial", format!("chardev:{line}").into());
    }
    option(
        "device",
        format!("isa-debug-exit,iobase={:#x},iosize=1", exit::PORT).into(),
    );
    for (number, link) in plan.links.iter().enumerate() {
        let Some(model) = model(link.nic) else { continue };
        let taps = wires.taps.get(number).map_or(&[][..], Vec::as_slice);
        option("netdev", netdev(number, &link.network, taps).into());
        option("device", card(number, link, model, taps.len()).into());
    }
    args.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
    args.extend(plan.qemu_args.iter().map(OsString::from));
    args
}

/// What QEMU calls the card; `None`: it makes none.
fn model(nic: NicChoice) -> Option<&'static str> {
    match nic {
        NicChoice::Model(NicModel::Loopback) => None,
        NicChoice::Model(NicModel::E1000e) => Some("e1000e"),
        NicChoice::Model(NicModel::E1000) => Some("e1000"),
        NicChoice::Model(NicModel::Vmxnet3) => Some("vmxnet3"),
        // The plan leaves no other card to QEMU.
        NicChoice::Model(NicModel::VirtioNet) | NicChoice::Vfio(_) => {
            Some("virtio-net-pci,disable-legacy=on")
        }
    }
}

/// The card of a link. In the order of their slots the kernel takes them for those of the links.
fn card(number: usize, link: &LinkPlan, model: &str, queues: usize) -> String {
    let mac = link.network.mac();
    let slot = number + 1;
    let mtu = link.mtu.filter(|_| model.starts_with("virtio"));
    let mtu = mtu.map_or_else(String::new, |mtu| format!(",host_mtu={mtu}"));
    // Several queues, and the guest's own choice among them.
    let queues = if queues > 1 { ",mq=on,rss=on" } else { "" };
    // Without its option ROM, the card costs no time at boot.
    format!("{model},netdev=net{number},addr={slot:#x},mac={mac},romfile={mtu}{queues}")
}

fn netdev(number: usize, network: &Network, taps: &[RawFd]) -> String {
    match taps {
        [] => {}
        [fd] => return format!("tap,id=net{number},fd={fd}"),
        [first, others @ ..] => {
            let others: String = others.iter().map(|fd| format!(":{fd}")).collect();
            return format!("tap,id=net{number},fds={first}{others}");
        }
    }
    let forwards = match &network.link {
        Link::User(forwards) => forwards.as_slice(),
        Link::Tap(_) | Link::Cable(_) | Link::Loopback => &[],
    };
    let net = network.user_net();
    let (guest, gateway) = (net.addr(), network.gateway.unwrap_or_else(|| host_number(net, 2)));
    // QEMU's name server, and its first lease if it is not the guest's, need addresses of their own, next to the gateway's.
    let mut free = (1..)
        .map(|n| host_number(net, n))
        .filter(|&ip| ip != gateway && ip != guest);
    let mut user = format!("user,id=net{number},net={},host={gateway}", net.trunc());
    user.extend(free.next().map(|address| format!(",dns={address}")));
    let lease = match network.ip {
        Some(Ip4::Dhcp) => Some(guest),
        Some(Ip4::Fixed(_)) | None => free.next(),
    };
    user.extend(lease.map(|address| format!(",dhcpstart={address}")));
    for forward in forwards {
        let (transport, host) = (forward.transport, forward.host);
        user += &format!(",hostfwd={transport}:{host}-{guest}:{}", forward.port);
    }
    user
}

/// What QEMU's complaint means and what helps, in one line.
#[must_use]
pub fn explain(complaint: &str) -> String {
    let line = complaint
        .lines()
        .find(|line| !line.contains("warning:"))
        .unwrap_or_default()
        .trim();
    let line = line.split_once(": ").map_or(line, |(_program, rest)| rest);
    let cure = [
        (
            "host forwarding rule",
            "a forwarded port is in use, or needs root (below 1024)",
        ),
        (
            "'user' is not compiled",
            "this QEMU lacks user networking; use --net tap:NAME",
        ),
        (
            "not a valid netdev type",
            "this QEMU lacks user networking; use --net tap:NAME",
        ),
        (
            "annot allocate memory",
            "not enough memory on this host; give less with --mem",
        ),
        (
            "annot set up guest memory",
            "not enough memory on this host; give less with --mem",
        ),
        (
            "could not load kernel",
            "the kernel image is broken; build it again with make build",
        ),
        (
            "without PVH ELF Note",
            "this is no Ixion kernel; build it with make build",
        ),
        ("could not load initrd", "the app cannot be read"),
        (
            "initrd is too large",
            "the app does not fit; give more with --mem",
        ),
    ];
    match cure.iter().find(|(words, _)| line.contains(words)) {
        Some((_, cure)) => format!("{cure} (QEMU says: {line})"),
        None if line.is_empty() => "it gave no reason".to_owned(),
        None => format!("QEMU says: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Wires, arguments, explain};
    use crate::config::{NicChoice, NicModel, Options, Plan};
    use std::path::Path;

    fn command(options: Options, taps: &[&[i32]]) -> String {
        let taps: Vec<_> = taps.iter().map(|queues| queues.to_vec()).collect();
        let plan = Plan::new(Options {
            app: Some("echo".into()),
            ..options
        })
        .unwrap();
        let wires = Wires {
            ram: 5,
            log: 6,
            doorbell: 7,
            taps: &taps,
        };
        let words = arguments(&plan, Path::new("/k"), wires);
        words
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_machine_is_what_the_kernel_expects() {
        let line = command(Options::default(), &[]);
        for part in [
            "-machine q35,accel=tcg,memory-backend=ram -cpu max -smp 1,maxcpus=2 -m 256M",
            "memory-backend-file,id=ram,size=256M,mem-path=/proc/self/fd/5,share=on",
            "-kernel /k -initrd echo -append host=0xf00000 ip=10.0.2.15/24 gw=10.0.2.2 log=warn -- echo ",
            "-chardev socket,id=log,fd=6 -serial chardev:log -chardev socket,id=doorbell,fd=7 -serial chardev:doorbell",
            "isa-debug-exit,iobase=0xf4,iosize=1",
            "-device virtio-net-pci,disable-legacy=on,netdev=net0,addr=0x1,mac=02:49:0a:00:02:0f,romfile=",
            "-netdev user,id=net0,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.1,dhcpstart=10.0.2.3 ",
            "-nodefaults -no-user-config -no-reboot",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }

    #[test]
    fn there_are_as_many_cores_as_asked_for() {
        let line = command(
            Options {
                cores: Some(4),
                ..Options::default()
            },
            &[],
        );
        assert!(line.contains(" -smp 4 ") && line.contains(" cores=4 "), "{line}");
    }

    #[test]
    fn the_card_is_the_one_asked_for() {
        for (nic, device) in [
            (NicModel::E1000e, "e1000e"),
            (NicModel::E1000, "e1000"),
            (NicModel::Vmxnet3, "vmxnet3"),
        ] {
            let options = Options {
                nic: Some(NicChoice::Model(nic)),
                ..Options::default()
            };
            let line = command(options, &[]);
            assert!(
                line.contains(&format!("-device {device},netdev=net0,addr=0x1,mac=02:")),
                "{line}"
            );
            assert!(!line.contains("virtio-net"), "{line}");
        }
    }

    #[test]
    fn a_card_that_leads_back_is_none_of_qemus() {
        let options = Options {
            nic: Some(NicChoice::Model(NicModel::Loopback)),
            ..Options::default()
        };
        let line = command(options, &[]);
        assert!(
            !line.contains("-netdev") && !line.contains("netdev=net0"),
            "{line}"
        );
        assert!(
            line.contains(" nic=loopback ip=127.0.0.1/8 ip6=::1/128 "),
            "{line}"
        );
    }

    #[test]
    fn networks_become_netdevs() {
        let forward = ["8080:80", "udp:0.0.0.0:53:5353"]
            .map(|text| text.parse().unwrap())
            .into();
        let line = command(
            Options {
                forward,
                ..Options::default()
            },
            &[],
        );
        assert!(
            line.contains(",hostfwd=tcp:127.0.0.1:8080-10.0.2.15:80,hostfwd=udp:0.0.0.0:53-10.0.2.15:5353 ")
        );
        let net = "tap:t0".parse().ok();
        let ip = "10.1.0.2/24".parse().ok();
        let line = command(
            Options {
                net,
                ip,
                ..Options::default()
            },
            &[&[9]],
        );
        assert!(line.contains("-netdev tap,id=net0,fd=9 "), "{line}");
        assert!(!line.contains("mq=on"), "{line}");
    }

    #[test]
    fn a_tap_of_several_queues_is_a_card_of_several() {
        let options = Options {
            net: "tap:t0".parse().ok(),
            ip: "10.1.0.2/24".parse().ok(),
            cores: Some(3),
            ..Options::default()
        };
        let line = command(options, &[&[9, 11, 12]]);
        assert!(line.contains("-netdev tap,id=net0,fds=9:11:12 "), "{line}");
        assert!(line.contains(",mq=on,rss=on "), "{line}");
    }

    #[test]
    fn each_link_has_a_card_in_a_slot_of_its_own() {
        let options = Options {
            net: "tap:t0".parse().ok(),
            ip: "10.1.0.2/24".parse().ok(),
            mtu: Some(9000),
            link: vec!["net=tap:t1,ip=10.2.0.2/24,nic=e1000e".parse().unwrap()],
            cores: Some(2),
            ..Options::default()
        };
        let line = command(options, &[&[9, 11], &[12]]);
        let first = "-netdev tap,id=net0,fds=9:11 -device virtio-net-pci,disable-legacy=on,netdev=net0,addr=0x1,\
                     mac=02:49:0a:01:00:02,romfile=,host_mtu=9000,mq=on,rss=on ";
        let second =
            "-netdev tap,id=net1,fd=12 -device e1000e,netdev=net1,addr=0x2,mac=02:49:0a:02:00:02,romfile= ";
        assert!(line.contains(first) && line.contains(second), "{line}");
    }

    #[test]
    fn complaints_are_translated() {
        let said =
            "qemu-system-x86_64: -netdev user,id=net0: Could not set up host forwarding rule 'tcp::80-:80'\n";
        assert!(explain(said).starts_with("a forwarded port is in use"));
        assert_eq!(explain("qemu: something new\n"), "QEMU says: something new");
        assert_eq!(explain(""), "it gave no reason");
        assert_eq!(explain("qemu: warning: hm\nqemu: real\n"), "QEMU says: real");
    }
}
