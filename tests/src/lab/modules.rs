//! Which kernel modules the lab needs, and in which order they load.

use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the tests use; the rest follows from `modules.dep`.
pub(crate) const WANTED: [&str; 11] = [
    "kvm-amd",
    "vfio-pci",
    "vfio_iommu_type1",
    "tun",
    "vhost_net",
    "bridge",
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "e1000e",
    "msr",
];

/// The files of `wanted` and all they depend on, each after what it depends on. `folder` is a `lib/modules/VERSION`.
///
/// # Errors
/// If the folder has no such module, built in or not.
pub(crate) fn in_load_order(folder: &Path, wanted: &[&str]) -> Result<Vec<PathBuf>> {
    let read = |name| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let dependencies = read("modules.dep")?;
    let built_in = read("modules.builtin")?;
    let order = resolve(&dependencies, &built_in, wanted)?;
    Ok(order.into_iter().map(|file| folder.join(file)).collect())
}

/// Each line of `modules.dep` is a file, a colon, and all that must be loaded before it, the last first.
fn resolve<'a>(dependencies: &'a str, built_in: &str, wanted: &[&str]) -> Result<Vec<&'a str>> {
    let lines: HashMap<&str, (&str, &str)> = dependencies
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needs)| (name(file), (file, needs)))
        .collect();
    let mut order = Vec::new();
    for module in wanted {
        let Some(&(file, needs)) = lines.get(module) else {
            ensure!(
                built_in.lines().any(|file| name(file) == *module),
                "the kernel has no module {module}"
            );
            continue;
        };
        for file in needs.split_whitespace().rev().chain([file]) {
            ensure!(
                file.ends_with(".ko"),
                "{file} is compressed; the lab loads plain .ko"
            );
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    Ok(order)
}

/// `kernel/drivers/net/tun.ko` is tun.
fn name(file: &str) -> &str {
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split('.').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::resolve;

    const DEP: &str = "kernel/kvm-amd.ko: kernel/ccp.ko kernel/kvm.ko kernel/irqbypass.ko\n\
                       kernel/vfio-pci.ko: kernel/vfio.ko kernel/irqbypass.ko\nkernel/tun.ko:\n";

    #[test]
    fn each_module_loads_once_and_after_what_it_needs() {
        let order = resolve(
            DEP,
            "kernel/virtio/virtio.ko\n",
            &["kvm-amd", "virtio", "vfio-pci"],
        );
        let names = ["irqbypass", "kvm", "ccp", "kvm-amd", "vfio", "vfio-pci"];
        assert_eq!(order.unwrap(), names.map(|name| format!("kernel/{name}.ko")));
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let error = resolve(DEP, "", &["tun", "e1000e"]).unwrap_err();
        assert_eq!(error.to_string(), "the kernel has no module e1000e");
    }
}
