use super::{Finding, Verdict};
use crate::host::Host;

/// The kernel image.
pub(super) fn kernel(image: &Result<(), String>) -> Finding {
    const CURE: &str = "install ixion-kernel beside ix, or name it in $IX_KERNEL";
    match image {
        Ok(()) => Finding::ok("image", "there is a kernel image to run"),
        Err(why) => Finding::told("image", Verdict::Fail, why, CURE),
    }
}

/// Whether the processor can run virtual machines, by the flags that Linux shows.
pub(super) fn cpu(host: &Host) -> Finding {
    let cpuinfo = host.text("/proc/cpuinfo").unwrap_or_default();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    let mut flags = flags.unwrap_or_default().split_ascii_whitespace();
    match flags.find(|flag| ["svm", "vmx"].contains(flag)) {
        Some("svm") => Finding::ok("cpu", "AMD SVM"),
        Some(_) => Finding::ok("cpu", "Intel VMX"),
        None => Finding::warn(
            "cpu",
            "no hardware virtualization (neither svm nor vmx)",
            "switch it on in the firmware; in a virtual machine, have its host allow nested virtualization",
        ),
    }
}

/// Whether KVM runs a guest.
pub(super) fn kvm(trial: &Result<(), String>) -> Finding {
    const CURE: &str =
        "another machine type, or nested virtualization allowed by its host; until then there is QEMU";
    match trial {
        Ok(()) => Finding::ok("kvm", "a guest of ours ran, its ring 0 at full speed"),
        Err(why) => Finding::told("kvm", Verdict::Fail, why, CURE),
    }
}

/// Whether QEMU is there.
pub(super) fn qemu(trial: &Result<String, String>) -> Finding {
    const CURE: &str = "install it again; it is needed only where KVM does not work";
    match trial {
        Ok(version) => Finding::ok("qemu", version),
        Err(why) => Finding::told("qemu", Verdict::Warn, why, CURE),
    }
}
