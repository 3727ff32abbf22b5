//! A network of its own for one machine and its Linux peers.

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};
use nix::unistd::geteuid;
use std::fs::File;
use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// The machine's address on the tap.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// The Linux side's.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Prefix length of their network.
pub const SUBNET: u8 = 24;

/// A network namespace with a tap in it. Dropping it removes both.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// The tap's name; each namespace has its own.
    pub const TAP: &str = "ixt0";

    /// Makes one with a tap that is up and has the address [`HOST`].
    ///
    /// # Errors
    /// Without root, and where there is no `ip` or no tun driver. The message says which.
    pub fn new() -> Result<Self> {
        let namespace = Self::without_tap()?;
        namespace.ip(&format!("tuntap add dev {} mode tap vnet_hdr", Self::TAP))?;
        namespace.ip(&format!("address add {HOST}/{SUBNET} dev {}", Self::TAP))?;
        namespace.ip(&format!("link set {} up", Self::TAP))?;
        Ok(namespace)
    }

    /// Makes one with nothing in it but loopback.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn without_tap() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(
            geteuid().is_root(),
            "network namespaces need root: run this test as root"
        );
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ixt-{}-{number}", std::process::id());
        checked(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Namespace { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Runs `ip` in it, with these words.
    ///
    /// # Errors
    /// If `ip` fails; the message is its own.
    pub fn ip(&self, words: &str) -> Result<String> {
        let output = checked(Command::new("ip").args(["-n", &self.name]).args(words.split(' ')))?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A command that will run in it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Does something in it: the sockets made and the processes started by `work` are in this network and stay there.
    ///
    /// # Panics
    /// As `work` does, or if the namespace is gone.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let inside = || {
            let handle = File::open(format!("/run/netns/{}", self.name)).expect("the namespace is there");
            setns(handle, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
            work()
        };
        // A thread of its own: a thread's namespace is changed for good.
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nothing to be done about a failure, and it shows in `ip netns`.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// Runs a command; what it said on stderr is the error if it fails.
fn checked(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(output)
}
