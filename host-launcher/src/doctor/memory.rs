use super::Finding;
use super::rights::{self, Capability};
use crate::host::Host;

const SIZES: [(&str, &str); 2] = [("2048kB", "2 MiB"), ("1048576kB", "1 GiB")];

/// Whether pages are reserved that guest memory could have.
pub(super) fn hugepages(host: &Host) -> Finding {
    let free = SIZES.map(|(folder, name)| {
        let file = format!("/sys/kernel/mm/hugepages/hugepages-{folder}/free_hugepages");
        (
            host.text(&file)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0_u64),
            name,
        )
    });
    let found = free.map(|(count, name)| format!("{count} of {name}")).join(", ");
    let found = format!("free: {found}");
    if free.iter().any(|&(count, _)| count > 0) {
        return Finding::ok("hugepages", found);
    }
    let cure = "reserve some: sysctl vm.nr_hugepages=512, or boot with hugepagesz=1G hugepages=4";
    Finding::warn("hugepages", found, cure)
}

/// Whether guest memory may be locked, as a card that is passed through needs it.
pub(super) fn memlock(host: &Host) -> Finding {
    if rights::has(host, Capability::IpcLock) {
        return Finding::ok("memlock", "no limit (CAP_IPC_LOCK)");
    }
    let limits = host.text("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line
        .and_then(|line| line.split_ascii_whitespace().next())
        .unwrap_or("0");
    let Ok(bytes) = soft.parse::<u64>() else {
        return Finding::ok("memlock", "no limit");
    };
    let found = format!("this user may lock {} MiB", bytes >> 20);
    let cure = "--nic vfio needs all of --mem: raise it with ulimit -l (systemd: LimitMEMLOCK=infinity)";
    Finding::warn("memlock", found, cure)
}
