use crate::host::Host;
use std::fs::File;
use std::io;

/// The capabilities that matter here, by their bit (capabilities(7)).
#[derive(Clone, Copy, Debug)]
pub(super) enum Capability {
    NetAdmin = 12,
    IpcLock = 14,
}

/// Whether this process has it.
pub(super) fn has(host: &Host, capability: Capability) -> bool {
    let status = host.text("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    bits.unwrap_or(0) >> capability as u32 & 1 == 1
}

/// Whether this process can open a device.
pub(super) fn open(host: &Host, device: &str) -> io::Result<()> {
    File::options()
        .read(true)
        .write(true)
        .open(host.path(device))
        .map(drop)
}
