use super::Finding;
use crate::host::Host;

/// The kernel image.
pub(super) fn kernel(image: &Result<(), String>) -> Finding {
    match image {
        Ok(()) => Finding::ok("image", "there is a kernel image to run"),
        Err(why) => Finding::fail(
            "image",
            why,
            "install ixion-kernel beside ix, or name it in $IX_KERNEL",
        ),
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

/// Whether KVM runs a guest. The reason says what to do, where something can be done.
pub(super) fn kvm(trial: &Result<(), String>) -> Finding {
    match trial {
        Ok(()) => Finding::ok("kvm", "a guest of ours ran, its ring 0 at full speed"),
        Err(why) => Finding::fail("kvm", why, "until then --backend qemu works, where QEMU is there"),
    }
}

/// Whether QEMU is there.
pub(super) fn qemu(trial: &Result<String, String>) -> Finding {
    match trial {
        Ok(version) => Finding::ok("qemu", version),
        Err(why) => Finding::warn("qemu", why, "needed only where KVM does not work"),
    }
}
