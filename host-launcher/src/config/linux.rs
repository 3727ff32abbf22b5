//! What of the things asked for makes sense without a machine.

use super::Options;

/// The first of the wishes that is about a machine.
pub(super) fn machine_wish(options: &Options) -> Option<&'static str> {
    // Taken apart in full, so that a new option is not forgotten here.
    let Options {
        backend: _,
        app: _,
        args: _,
        env: _,
        cores,
        cpus,
        net,
        nic,
        vhost,
        mtu,
        vlan,
        offload,
        ip,
        gateway,
        ip6,
        gateway6,
        dns,
        mem,
        forward,
        volume,
        log,
        kernel_log,
        name,
        batch,
        watchdog,
        watchdog_kill,
        grace,
        kernel,
        qemu_arg,
        kernel_arg,
    } = options;
    let wishes = [
        (cores.is_some(), "--cores"),
        (cpus.is_some(), "--cpus"),
        (net.is_some(), "--net"),
        (nic.is_some(), "--nic"),
        (vhost.is_some(), "--vhost"),
        (mtu.is_some(), "--mtu"),
        (vlan.is_some(), "--vlan"),
        (offload.is_some(), "--offload"),
        (ip.is_some(), "--ip"),
        (gateway.is_some(), "--gateway"),
        (ip6.is_some(), "--ip6"),
        (gateway6.is_some(), "--gateway6"),
        (!dns.is_empty(), "--dns"),
        (mem.is_some(), "--mem"),
        (!forward.is_empty(), "--forward"),
        (!volume.is_empty(), "--volume"),
        (log.is_some(), "--log"),
        (kernel_log.is_some(), "--kernel-log"),
        (name.is_some(), "--name"),
        (batch.is_some(), "--batch"),
        (watchdog.is_some(), "--watchdog"),
        (watchdog_kill.is_some(), "--watchdog-kill"),
        (grace.is_some(), "--grace"),
        (kernel.is_some(), "--kernel"),
        (!qemu_arg.is_empty(), "--qemu-arg"),
        (!kernel_arg.is_empty(), "--kernel-arg"),
    ];
    wishes.into_iter().find_map(|(said, name)| said.then_some(name))
}
