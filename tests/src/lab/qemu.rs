//! The lab's hardware: an emulated machine with everything that `ix` needs on the real one.

use super::protocol::{PORT, SHELL};
use super::{NICS, clock, initramfs};
use crate::artifacts;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the lab's console goes, and who speaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    /// A shell on this terminal.
    Shell,
    /// Its log to standard error; requests and reports on standard input and output.
    Agent,
}

/// What QEMU starts from.
#[derive(Debug)]
pub(crate) struct Images {
    kernel: PathBuf,
    initramfs: File,
}

impl Images {
    /// Builds what is not built yet.
    ///
    /// # Errors
    /// If `scripts/deps lab` has not been run.
    pub(crate) fn build() -> Result<Self> {
        let linux = artifacts::linux();
        let only = |folder: &str, prefix: &str| {
            only_entry(&linux.join(folder), prefix).context("there is no kernel; run scripts/deps lab")
        };
        let modules = only("lib/modules", "")?;
        Ok(Images {
            kernel: only("boot", "vmlinuz-")?,
            initramfs: initramfs::build(&modules)?,
        })
    }

    /// QEMU's command, for the current network namespace. It dies with the thread that starts it.
    pub(crate) fn qemu(&self, console: Console) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        // SVM with nested paging for KVM, and the interrupt routing that VT-d wants.
        command.args(["-M", "q35,kernel-irqchip=split", "-accel", "tcg,thread=multi"]);
        command.args(["-cpu", "max", "-smp", "2", "-m", "2G"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-device", "intel-iommu,intremap=on,caching-mode=on"]);
        for nic in &NICS {
            command.arg("-netdev").arg(format!(
                "tap,id={0},ifname={0},script=no,downscript=no,vhost=off",
                nic.tap
            ));
            command.arg("-device").arg(format!(
                "{},netdev={},mac={},addr={},romfile=",
                nic.device,
                nic.tap,
                nic.mac,
                nic.slot()
            ));
        }
        command.arg("-kernel").arg(&self.kernel);
        // A file without a name has this one.
        let file = format!("/proc/{}/fd/{}", std::process::id(), self.initramfs.as_raw_fd());
        command.args(["-initrd", &file]);
        self.console(&mut command, console);
        command
    }

    fn console(&self, command: &mut Command, console: Console) {
        // On a busy machine the emulated timer comes too late for the check Linux makes of it at boot.
        let mut words = format!(
            "console=ttyS0 quiet panic=-1 no_timer_check tsc_early_khz={} intel_iommu=on iommu=pt \
             hugepagesz=2M hugepages=256",
            clock::tsc_khz()
        );
        match console {
            Console::Shell => {
                words = format!("{words} {SHELL}");
                command.args(["-serial", "mon:stdio"]);
            }
            Console::Agent => {
                command.args(["-chardev", "file,id=console,path=/dev/stderr"]);
                command.args(["-serial", "chardev:console"]);
                command.args(["-chardev", "stdio,id=agent,signal=off"]);
                command.args(["-device", "virtio-serial-pci,disable-legacy=on,addr=8"]);
                command.arg("-device");
                command.arg(format!("virtserialport,chardev=agent,name={PORT}"));
            }
        }
        command.args(["-append", &words]);
    }
}

/// The entry of `folder` whose name begins with `prefix`.
fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().starts_with(prefix)
        })
        .with_context(|| format!("nothing in {} begins with `{prefix}`", folder.display()))
}
