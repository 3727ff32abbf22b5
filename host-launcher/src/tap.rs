//! The tap of `--net tap:NAME`. One that exists is used as it is; otherwise it is made, brought up, given the gateway's
//! address, and the host removes it when the machine, its last user, is gone.

use crate::config::{Ip4, Network};
use crate::sys::{TapKind, attach_tap};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use std::os::fd::OwnedFd;
use std::process::Command;

const IFF_UP: u32 = 1;

/// Why the tap cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// We may not open or make it.
    #[error(
        "no right to use tap {0}; run as root, or let root make it for you once: \
         ip tuntap add dev {0} mode tap user {user} && ip link set {0} up",
        user = std::env::var("USER").unwrap_or_else(|_| "YOU".to_owned())
    )]
    NoRight(String, #[source] Errno),
    /// We may not even open the device behind all taps.
    #[error(
        "no right to open /dev/net/tun; run as root, or give the right that is usual: chmod 666 /dev/net/tun"
    )]
    NoDevice(#[source] Errno),
    /// Another program has it open.
    #[error("tap {0} is in use by another program; stop that one, or choose another name")]
    Busy(String),
    /// There is such an interface, but it is no tap.
    #[error(
        "{0} is no plain tap interface; choose another name, or make it with: ip tuntap add dev {0} mode tap"
    )]
    NotATap(String),
    /// This system has no taps.
    #[error("/dev/net/tun is missing; load it with: modprobe tun (in a container: allow the device)")]
    NoDriver(#[source] Errno),
    /// Something else.
    #[error("cannot attach to tap {0}")]
    Attach(String, #[source] Errno),
    /// The new tap could not be configured.
    #[error("cannot configure tap {0} (ip {1}): {2}; is iproute2 installed?")]
    Configure(String, String, String),
}

/// Opens the tap `name`, for the machine to inherit, and lets it carry IP packets of up to `mtu` bytes if that is said. There is
/// a descriptor for each of its queues: as many as are wanted if it may have several (`ip tuntap add ... multi_queue`, or made
/// here), otherwise one.
pub fn open(name: &str, network: &Network, mtu: Option<u16>, queues: u16) -> Result<Vec<OwnedFd>, TapError> {
    let existed = if_nametoindex(name).is_ok();
    let taps = attach(name, queues).map_err(|errno| {
        let name = name.to_owned();
        match errno {
            Errno::EPERM => TapError::NoRight(name, errno),
            Errno::EACCES => TapError::NoDevice(errno),
            Errno::EBUSY => TapError::Busy(name),
            Errno::EINVAL => TapError::NotATap(name),
            Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => TapError::NoDriver(errno),
            _ => TapError::Attach(name, errno),
        }
    })?;
    if let Some(mtu) = mtu {
        ip(name, &["link", "set", name, "mtu", &mtu.to_string()])?;
    }
    if !existed {
        configure(name, network)?;
    }
    Ok(taps)
}

fn attach(name: &str, queues: u16) -> nix::Result<Vec<OwnedFd>> {
    let (first, other) = match queues {
        0 | 1 => (TapKind::OneQueue, TapKind::ManyQueues),
        _ => (TapKind::ManyQueues, TapKind::OneQueue),
    };
    let (tap, kind) = match attach_tap(name, first) {
        Err(Errno::EINVAL) => (attach_tap(name, other)?, other),
        tap => (tap?, first),
    };
    let more = match kind {
        TapKind::OneQueue => 0,
        TapKind::ManyQueues => queues.saturating_sub(1),
    };
    let others = (0..more).map(|_| attach_tap(name, kind));
    std::iter::once(Ok(tap)).chain(others).collect()
}

/// Whether the tap is known to be down. (A network namespace without a /sys of its own knows nothing.)
#[must_use]
pub fn is_down(name: &str) -> bool {
    let flags = std::fs::read_to_string(format!("/sys/class/net/{name}/flags"));
    let flags = flags
        .ok()
        .and_then(|text| u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok());
    flags.is_some_and(|flags| flags & IFF_UP == 0)
}

/// The largest IP packet the tap carries: an ordinary one's, if nothing is known.
#[must_use]
pub fn mtu(name: &str) -> u16 {
    const USUAL: u16 = 1500;
    let mtu = std::fs::read_to_string(format!("/sys/class/net/{name}/mtu"));
    mtu.ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(USUAL)
}

fn configure(name: &str, network: &Network) -> Result<(), TapError> {
    if let (Some(gateway), Some(Ip4::Fixed(net))) = (network.gateway, network.ip) {
        ip(
            name,
            &[
                "address",
                "add",
                &format!("{gateway}/{}", net.prefix_len()),
                "dev",
                name,
            ],
        )?;
    }
    ip(name, &["link", "set", name, "up"])
}

fn ip(name: &str, args: &[&str]) -> Result<(), TapError> {
    let failed = |why: String| TapError::Configure(name.to_owned(), args.join(" "), why);
    let output = Command::new("ip")
        .args(args)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(
        String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
    ))
}
