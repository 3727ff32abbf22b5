//! A network namespace with one tap: the client's end of the wire.

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;

/// The tap's name in the namespace.
pub(crate) const TAP: &str = "tap0";
/// The client's address.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The guest's address.
pub(crate) const GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// How many queues the tap may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Queues {
    One,
    /// One for each CPU of the guest's.
    PerCpu,
}

/// The namespace; dropping it removes it.
pub(crate) struct Namespace {
    /// Its name.
    pub(crate) name: String,
    /// The tap's.
    pub(crate) queues: Queues,
}

impl Namespace {
    /// Makes it, and the tap. The client's TCP is Reno's: a namespace's default may be BBR, which paces.
    pub(crate) fn create() -> Result<Self> {
        Self::with(Queues::One)
    }

    /// The same with a tap of so many queues.
    pub(crate) fn with(queues: Queues) -> Result<Self> {
        let name = format!("ixbench{}-{queues:?}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self { name, queues };
        let inside = |args: &[&str]| ip(&[&["-n", &namespace.name], args].concat());
        let mode = match queues {
            Queues::One => &["tap"][..],
            Queues::PerCpu => &["tap", "multi_queue"],
        };
        inside(&[&["tuntap", "add", "dev", TAP, "mode"], mode].concat())?;
        inside(&["addr", "add", &format!("{CLIENT}/24"), "dev", TAP])?;
        inside(&["link", "set", "lo", "up"])?;
        inside(&["link", "set", TAP, "up"])?;
        namespace.run(|| {
            fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno")?;
            fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000")?;
            Ok(())
        })?;
        Ok(namespace)
    }

    /// Runs `work` in a thread that lives in the namespace.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("/run/netns/{}", self.name);
        let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let inside = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        let joined = std::thread::scope(|scope| scope.spawn(inside).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A command that will run in the namespace; its process is the program's own.
    pub(crate) fn command(&self, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It fails only when somebody else removed it.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let status = Command::new("ip")
        .args(args)
        .status()
        .context("cannot run ip (package iproute2)")?;
    ensure!(status.success(), "ip {} failed; are you root?", args.join(" "));
    Ok(())
}
