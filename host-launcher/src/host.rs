//! The Linux host, as its own files tell about it: sysfs, procfs, device nodes. All of them are looked up below one root
//! and all changes go through one trait, so that a folder and a few lines of make-believe are a host for a test.

use nix::ifaddrs::getifaddrs;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What cannot be had by reading files: changes, and the addresses of network interfaces.
pub trait Kernel: Send + Sync {
    /// Writes `text` into a file of sysfs.
    fn write(&self, path: &Path, text: &str) -> io::Result<()>;
    /// Loads a module of the kernel.
    fn load(&self, module: &str) -> io::Result<()>;
    /// The addresses of all interfaces.
    fn addresses(&self) -> Vec<(String, IpAddr)>;
    /// Whether a process has this device open, which only one can have open.
    fn is_open(&self, device: &Path) -> bool;
}

/// A host.
#[derive(Clone)]
pub struct Host {
    root: PathBuf,
    kernel: Arc<dyn Kernel>,
}

impl Host {
    /// The one we run on.
    #[must_use]
    pub fn this() -> Self {
        Self::new("/".into(), Arc::new(Linux))
    }

    /// One whose files lie below `root`.
    #[must_use]
    pub fn new(root: PathBuf, kernel: Arc<dyn Kernel>) -> Self {
        Self { root, kernel }
    }

    /// Where `path`, an absolute one, is.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without blanks around it; `None` if it cannot be read.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        text(&self.path(path))
    }

    /// The names in a folder, in order; none if it cannot be read.
    #[must_use]
    pub fn names(&self, path: &str) -> Vec<String> {
        names(&self.path(path))
    }

    /// What can change it.
    #[must_use]
    pub fn kernel(&self) -> &dyn Kernel {
        &*self.kernel
    }

    /// When process `pid` started, in ticks since boot: together with its number, that is a process' identity.
    /// `None` if there is no such process, or only its remains.
    #[must_use]
    pub fn start_time(&self, pid: u32) -> Option<u64> {
        let stat = self.text(&format!("/proc/{pid}/stat"))?;
        // proc(5): the second field is a name in parentheses that may hold blanks and parentheses itself.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        match fields.next()? {
            "Z" | "X" => None,
            _ => fields.nth(18)?.parse().ok(),
        }
    }
}

/// A file's text without blanks around it.
pub(crate) fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The names in a folder, in order.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Where a link of sysfs leads, by the last part of the name.
pub(crate) fn link(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

struct Linux;

impl Kernel for Linux {
    fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        // Not `fs::write`, which would make a file where there is none.
        let mut file = fs::File::options().write(true).open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())
    }

    fn load(&self, module: &str) -> io::Result<()> {
        let output = Command::new("modprobe")
            .arg(module)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(io::Error::other(words))
    }

    fn addresses(&self) -> Vec<(String, IpAddr)> {
        let all = getifaddrs().into_iter().flatten();
        all.filter_map(|entry| {
            let address = entry.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            let v6 = || address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
            Some((entry.interface_name, v4.or_else(v6)?))
        })
        .collect()
    }

    fn is_open(&self, device: &Path) -> bool {
        let opened = fs::File::options().read(true).write(true).open(device);
        opened.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    }
}

#[cfg(test)]
mod tests {
    use super::Host;

    #[test]
    fn a_process_is_known_by_its_start() {
        let host = Host::this();
        let ours = host.start_time(std::process::id()).unwrap();
        assert!(ours > 0);
        assert_eq!(host.start_time(std::process::id()), Some(ours));
        assert_eq!(host.start_time(u32::MAX), None);
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        let host = Host::this();
        assert_eq!(host.text("/proc/no such file"), None);
        assert!(host.names("/proc/no such folder").is_empty());
        assert!(host.names("/proc/self").contains(&"stat".to_owned()));
    }
}
