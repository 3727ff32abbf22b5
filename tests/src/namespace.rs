//! A network of its own for one machine and its Linux peers.

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::geteuid;
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The machine's address on the tap.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// The Linux side's.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Prefix length of their network.
pub const SUBNET: u8 = 24;

/// A network namespace, with a tap in it unless said otherwise. It has no name: the kernel removes it and what is in it
/// when this is dropped, and also when the test is killed.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
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
        namespace.add_tap(Self::TAP, HOST)?;
        Ok(namespace)
    }

    /// The same, but with a tap that can have a queue for each core.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn of_queues() -> Result<Self> {
        let namespace = Self::without_tap()?;
        namespace.add(Self::TAP, HOST, " multi_queue")?;
        Ok(namespace)
    }

    /// Makes one with nothing in it but loopback.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn without_tap() -> Result<Self> {
        ensure!(
            geteuid().is_root(),
            "network namespaces need root: run this test as root"
        );
        // A thread of its own: it leaves our network for good.
        let made = std::thread::spawn(|| -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        });
        let handle = made
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .context("cannot make a network namespace")?;
        let namespace = Namespace { handle };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Adds a tap that is up and has this address.
    ///
    /// # Errors
    /// Where there is no tun driver, or a tap of that name already.
    pub fn add_tap(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        self.add(name, address, "")
    }

    fn add(&self, name: &str, address: Ipv4Addr, queues: &str) -> Result<()> {
        self.ip(&format!("tuntap add dev {name} mode tap vnet_hdr{queues}"))?;
        self.ip(&format!("address add {address}/{SUBNET} dev {name}"))?;
        self.ip(&format!("link set {name} up"))?;
        Ok(())
    }

    /// Runs `ip` in it, with these words.
    ///
    /// # Errors
    /// If `ip` fails; the message is its own.
    pub fn ip(&self, words: &str) -> Result<String> {
        let output = checked(self.command("ip").args(words.split(' ')))?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A command that will run in it.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg(program);
        command
    }

    /// Where it can be entered from, by anybody, while this process lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let own = std::process::id();
        format!("/proc/{own}/fd/{}", self.handle.as_raw_fd()).into()
    }

    /// Moves this thread into it, for good.
    ///
    /// # Panics
    /// Without root; but then there is no namespace.
    pub fn join(&self) {
        setns(&self.handle, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
    }

    /// Does something in it: the sockets made and the processes started by `work` are in this network and stay there.
    ///
    /// # Panics
    /// As `work` does.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let inside = || {
            self.join();
            work()
        };
        // A thread of its own: a thread's namespace is changed for good.
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
