//! The lab: a stock Debian kernel with KVM, an IOMMU and network cards, on a machine that QEMU emulates, so that the
//! launcher's real path (KVM, VFIO, IOMMU, DMA) is tested end to end wherever the tests run.
//!
//! [`enter`] boots it when the first test of a program asks, and gives it to one test at a time, in the state it had
//! after boot: nothing runs, every card is with its driver. Commands run in it with [`Lab::run`] and [`Lab::start`].
//! The other ends of its cards' wires are taps in [`Lab::namespace`]: clients there are outside the lab.
//!
//! Nothing of it outlives the test program, however that ends: QEMU is tied to it, the namespace and the initramfs have
//! no names.

mod modules;

mod initramfs;

mod clock;

mod qemu;

mod protocol;

mod wire;

mod process;
pub use process::Process;

pub mod inside;

use crate::Namespace;
use crate::output::Stream;
use crate::run::Ended;
use anyhow::{Context, Result};
use protocol::Request;
use qemu::{Console, Images};
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::Wire;

/// One of the lab's network cards, alone in its IOMMU group.
#[derive(Debug)]
pub struct Nic {
    /// Its PCI address.
    pub address: &'static str,
    /// The driver Linux gives it.
    pub driver: &'static str,
    /// The address of the client, outside the lab.
    pub client: Ipv4Addr,
    /// The address of whoever has the card.
    pub own: Ipv4Addr,
    device: &'static str,
    /// Its MAC address.
    pub mac: &'static str,
    /// The tap that its wire leads to.
    pub tap: &'static str,
}

/// Intel's 82574L.
pub const E1000E: Nic = Nic {
    address: "0000:00:01.0",
    driver: "e1000e",
    client: Ipv4Addr::new(10, 81, 0, 1),
    own: Ipv4Addr::new(10, 81, 0, 2),
    device: "e1000e",
    mac: "52:54:00:81:00:02",
    tap: "ixl0",
};

/// A virtio network device, behind the IOMMU like a real one.
pub const VIRTIO_NET: Nic = Nic {
    address: "0000:00:02.0",
    driver: "virtio-pci",
    client: Ipv4Addr::new(10, 82, 0, 1),
    own: Ipv4Addr::new(10, 82, 0, 2),
    device: "virtio-net-pci,disable-legacy=on,iommu_platform=on,ats=on",
    mac: "52:54:00:82:00:02",
    tap: "ixl1",
};

/// All of them.
pub const NICS: [Nic; 2] = [E1000E, VIRTIO_NET];

/// How long it may take to boot, on a machine with other things to do.
const BOOT_TIME: Duration = Duration::from_secs(180);

/// How long a reset may take, drivers that come back included.
const RESET_TIME: Duration = Duration::from_secs(60);

impl Nic {
    /// All stations on its network.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        let [a, b, c, _] = self.own.octets();
        Ipv4Addr::new(a, b, c, 255)
    }

    /// Its slot on the root bus, the middle of its address.
    fn slot(&self) -> &'static str {
        self.address.trim_start_matches("0000:00:").trim_end_matches(".0")
    }
}

/// The running lab.
#[derive(Debug)]
pub struct Lab {
    wire: Wire,
    console: Stream,
    namespace: Arc<Namespace>,
    /// Dropping it stops QEMU.
    _keeper: Sender<()>,
}

/// The lab for as long as a test needs it.
#[derive(Debug)]
pub struct Turn(MutexGuard<'static, Option<Lab>>);

/// Waits for the lab to be free; boots it if need be, and makes it as it was after boot.
///
/// # Panics
/// If it does not boot; says why.
#[must_use]
pub fn enter() -> Turn {
    static LAB: Mutex<Option<Lab>> = Mutex::new(None);
    let mut place = LAB.lock().unwrap_or_else(PoisonError::into_inner);
    // One that a test has broken is replaced.
    *place = place.take().filter(Lab::reset);
    if place.is_none() {
        let lab = Lab::boot().unwrap_or_else(|error| panic!("the lab: {error:#}"));
        assert!(lab.reset(), "the lab does not reset\n{}", lab.console.text());
        *place = Some(lab);
    }
    Turn(place)
}

impl Deref for Turn {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.0.as_ref().expect("a turn begins with a lab")
    }
}

impl Lab {
    fn boot() -> Result<Lab> {
        let images = Images::build()?;
        let namespace = Arc::new(network()?);
        let ((stdin, stdout, stderr), keeper) = keep(&namespace, images)?;
        let console = Stream::of(stderr.context("it is piped")?);
        let wire = Wire::new(stdin.context("it is piped")?, stdout.context("it is piped")?);
        wire.news
            .within(BOOT_TIME)
            .with_context(|| format!("it does not boot; its console:\n{}", console.text()))?;
        Ok(Lab {
            wire,
            console,
            namespace,
            _keeper: keeper,
        })
    }

    /// Ends all processes and gives the cards back to their drivers; `false` if the lab does not answer.
    fn reset(&self) -> bool {
        self.wire.send(&Request::KillAll, &[]);
        if self.wire.news.within(RESET_TIME).is_err() {
            return false;
        }
        let seen = self.wire.start(&["sh", "-c", include_str!("reset.sh")]);
        // Who had a card before had another hardware address, which the clients' network shall not remember.
        seen.ended.within(RESET_TIME) == Ok(0) && self.namespace.ip("neighbour flush all").is_ok()
    }

    /// The network on the other side of the cards.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Starts a program.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn start(&self, words: &[&str]) -> Process<'_> {
        Process::start(&self.wire, &self.console, words)
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// If it cannot be started, or does not end.
    #[must_use]
    pub fn run(&self, words: &[&str]) -> Ended {
        self.start(words).finish()
    }

    /// Runs a script of busybox' shell, which must succeed, and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    #[allow(clippy::must_use_candidate, reason = "many scripts print nothing")]
    pub fn shell(&self, script: &str) -> String {
        let ended = self.run(&["sh", "-ec", script]);
        ended.assert_code(0);
        ended.stdout
    }

    /// Writes an executable file.
    pub fn put(&self, path: &str, contents: &[u8]) {
        let path = path.to_owned();
        self.wire.send(&Request::Put { path }, contents);
    }

    /// The driver that has a card now; empty if none has.
    ///
    /// # Panics
    /// If the lab does not tell.
    #[must_use]
    pub fn driver(&self, nic: &Nic) -> String {
        let link = format!("/sys/bus/pci/devices/{}/driver", nic.address);
        let path = self.shell(&format!("readlink -f {link} || true"));
        let (_, name) = path.trim().rsplit_once('/').unwrap_or_default();
        // What does not exist is not resolved.
        if name == "driver" {
            String::new()
        } else {
            name.to_owned()
        }
    }

    /// What the lab's kernel and its init have said.
    #[must_use]
    pub fn console(&self) -> String {
        self.console.text()
    }
}

/// A namespace with a tap for each card.
fn network() -> Result<Namespace> {
    let namespace = Namespace::without_tap()?;
    for nic in &NICS {
        namespace.add_tap(nic.tap, nic.client)?;
        // Whoever answers has two emulators below: three seconds are too few on a machine with other things to do.
        let solicitations = format!("/proc/sys/net/ipv4/neigh/{}/mcast_solicit", nic.tap);
        namespace.enter(|| std::fs::write(solicitations, "20"))?;
    }
    Ok(namespace)
}

/// Starts QEMU on a thread that lasts as long as it: Linux ends it with the thread that started it. The thread ends it
/// when the sender it returns is dropped.
fn keep(namespace: &Arc<Namespace>, images: Images) -> Result<(Pipes, Sender<()>)> {
    let namespace = Arc::clone(namespace);
    let (hand_over, handed_over) = channel();
    let (keeper, kept) = channel::<()>();
    std::thread::spawn(move || {
        namespace.join();
        let mut command = images.qemu(Console::Agent);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return hand_over.send(Err(error)).unwrap_or_default(),
        };
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let _ = hand_over.send(Ok(pipes));
        // Disconnected: nothing is ever sent.
        let _ = kept.recv();
        let _ = child.kill();
        let _ = child.wait();
    });
    let pipes = handed_over.recv()?.context("cannot start QEMU")?;
    Ok((pipes, keeper))
}

/// QEMU's standard input, output and error.
type Pipes = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

/// Boots the lab with a shell on this terminal, and waits until it is left.
///
/// # Errors
/// If it cannot be booted.
pub fn interactive() -> Result<()> {
    let images = Images::build()?;
    let namespace = network()?;
    println!(
        "clients outside the lab: nsenter --net={}",
        namespace.path().display()
    );
    namespace.join();
    images.qemu(Console::Shell).status()?;
    Ok(())
}
