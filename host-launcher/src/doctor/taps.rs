use super::Finding;
use super::rights::{self, Capability};
use crate::host::Host;
use std::io::ErrorKind;

/// Whether `--net tap:NAME` works.
pub(super) fn tap(host: &Host) -> Finding {
    const DEVICE: &str = "/dev/net/tun";
    match rights::open(host, DEVICE) {
        Ok(()) if rights::has(host, Capability::NetAdmin) => Finding::ok("tap", "taps can be made and used"),
        Ok(()) => Finding::warn(
            "tap",
            "taps can be used, but not made (no CAP_NET_ADMIN)",
            "have root make one: ip tuntap add dev NAME mode tap user YOU && ip link set NAME up",
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let cure = format!("give the right that is usual: chmod 666 {DEVICE}");
            Finding::warn("tap", format!("no right to open {DEVICE}"), cure)
        }
        Err(_) => Finding::warn("tap", format!("there is no {DEVICE}"), "load it: modprobe tun"),
    }
}

/// Whether Linux moves the packets of `--net tap:NAME`; otherwise a thread of ours does.
pub(super) fn vhost_net(host: &Host) -> Finding {
    const DEVICE: &str = "/dev/vhost-net";
    match rights::open(host, DEVICE) {
        Ok(()) => Finding::ok("vhost-net", "can be used"),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let cure = format!("run as root, or give the right: chgrp kvm {DEVICE} && chmod 660 {DEVICE}");
            Finding::warn("vhost-net", format!("no right to open {DEVICE}"), cure)
        }
        Err(_) => Finding::warn(
            "vhost-net",
            format!("there is no {DEVICE}"),
            "load it: modprobe vhost_net",
        ),
    }
}
