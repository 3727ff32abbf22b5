//! Two networks, a tap in each, and the machine between them.

use crate::guest::{Guest, Images};
use crate::netns::{CLIENT, GUEST, Namespace, TAP};
use crate::pin;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The tap on the far side.
const FAR_TAP: &str = "tap1";
/// The guest's address there.
const FAR_GUEST: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);
/// The far side's behind a bridge, and behind a router.
const BRIDGED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
const ROUTED: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);

const BOOT_TIME: Duration = Duration::from_secs(90);
const STOP_TIME: Duration = Duration::from_secs(10);

/// What a guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Bridge,
    Router,
}

impl Role {
    pub(super) const ALL: [Role; 2] = [Role::Bridge, Role::Router];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Router => "router",
        }
    }

    /// Where packets go through it.
    pub(super) fn destination(self) -> Ipv4Addr {
        match self {
            Self::Bridge => BRIDGED,
            Self::Router => ROUTED,
        }
    }
}

/// The network packets come from, and the one they go to.
pub(super) struct Between {
    pub(super) near: Namespace,
    far: Namespace,
    /// Interfaces of the far side, and what they have received.
    received: File,
}

/// A guest. Dropping it stops it.
pub(super) struct Running(Child);

impl Between {
    pub(super) fn create() -> Result<Self> {
        let near = Namespace::create()?;
        ip(&near, &format!("tuntap add dev {FAR_TAP} mode tap"))?;
        let far = Namespace {
            name: format!("{}far", near.name),
            queues: near.queues,
        };
        let status = Command::new("ip").args(["netns", "add", &far.name]).status()?;
        ensure!(status.success(), "cannot make the network on the far side");
        let received =
            far.run(|| File::open("/proc/thread-self/net/dev").context("no list of interfaces"))?;
        Ok(Self { near, far, received })
    }

    /// Packets that have come to the far side so far.
    pub(super) fn received(&self) -> Result<u64> {
        let (mut file, mut text) = (&self.received, String::new());
        file.seek(SeekFrom::Start(0))?;
        file.read_to_string(&mut text)?;
        let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
        let (_, figures) = lines
            .find(|(name, _)| *name == FAR_TAP)
            .context("the tap is gone")?;
        let packets = figures
            .split_whitespace()
            .nth(1)
            .context("no number of packets")?;
        Ok(packets.parse()?)
    }

    /// A socket on the far side at which packets end: they are not read.
    pub(super) fn sink(&self, role: Role, port: u16) -> Result<std::net::UdpSocket> {
        let at = (role.destination(), port);
        self.far
            .run(|| std::net::UdpSocket::bind(at).context("cannot bind on the far side"))
    }

    /// Boots a guest in a role, and waits until it forwards.
    pub(super) fn boot(
        &self,
        guest: Guest,
        role: Role,
        images: &Images,
        counts: Option<&Path>,
    ) -> Result<Running> {
        // Whoever opens a tap does it in one network; then it goes where it belongs.
        if self.received().is_ok() {
            ip(&self.far, &format!("link set {FAR_TAP} netns {}", self.near.name))?;
        }
        ip(&self.near, &format!("link set {FAR_TAP} up"))?;
        let log = images.images.join(format!("{guest:?}-{}.log", role.name()));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut extra = images.qemu_arg.clone();
        if let Some(counts) = counts {
            extra.extend(["-plugin".to_owned(), images.insncount(guest, counts)?]);
        }
        let mut command = match guest {
            Guest::Ixion => self.ixion(role, images, &extra),
            _ => self.linux(role, images, &extra),
        };
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut running = Running(command.spawn().context("cannot start the guest")?);
        self.move_tap(&mut running, role)?;
        self.wait(&mut running, role)
            .with_context(|| format!("{} does not forward, see {}", guest.title(), log.display()))?;
        pin::qemu(crate::guest::qemu_of(running.0.id())?)?;
        Ok(running)
    }

    fn linux(&self, role: Role, images: &Images, extra: &[String]) -> Command {
        let mut command = self.near.command("qemu-system-x86_64".as_ref());
        command.args(["-machine", "q35,accel=tcg", "-m", "512M", "-display", "none"]);
        command.args(["-serial", "stdio", "-nodefaults", "-no-user-config", "-no-reboot"]);
        command.args(["-cpu", "max,-erms,-fsrm"]);
        for (number, tap) in [TAP, FAR_TAP].into_iter().enumerate() {
            command.arg("-netdev").arg(format!(
                "tap,id=net{number},ifname={tap},script=no,downscript=no,vhost=off"
            ));
            command.arg("-device").arg(format!(
                "virtio-net-pci,netdev=net{number},disable-legacy=on,mac=52:54:00:77:00:0{},romfile=",
                number + 2
            ));
        }
        command.arg("-kernel").arg(images.images.join("vmlinuz"));
        command.arg("-initrd").arg(images.images.join("linux.cpio.gz"));
        command.args([
            "-append",
            &format!(
                "console=ttyS0 quiet panic=-1 possible_cpus=1 mitigations=off init_on_alloc=0 hardened_usercopy=off \
                 addr={GUEST}/24 forward={} addr1={FAR_GUEST}/24",
                role.name()
            ),
        ]);
        command.args(extra);
        command
    }

    fn ixion(&self, role: Role, images: &Images, extra: &[String]) -> Command {
        let mut command = self.near.command(images.release.join("ix").as_os_str());
        command.args([
            "run",
            "--net",
            &format!("tap:{TAP}"),
            "--ip",
            &format!("{GUEST}/24"),
        ]);
        command.args(["--link", &format!("net=tap:{FAR_TAP},ip={FAR_GUEST}/24")]);
        command.args(["--log", "info", "--name", &self.near.name]);
        command.args(extra.iter().map(|word| format!("--qemu-arg={word}")));
        command.args(&images.ix_arg);
        command.arg(images.release.join("forward")).arg("--");
        match role {
            Role::Bridge => command.args(["--bridge", "0:1"]),
            Role::Router => command.arg("--route"),
        };
        command
    }

    /// Waits until QEMU has both taps, and moves one to the far side.
    fn move_tap(&self, running: &mut Running, role: Role) -> Result<()> {
        let patience = Instant::now() + BOOT_TIME;
        // Up, and somebody has it open.
        while !ip(&self.near, &format!("link show {FAR_TAP}"))?.contains("LOWER_UP") {
            running.check()?;
            ensure!(Instant::now() < patience, "nobody opens the taps");
            std::thread::sleep(Duration::from_millis(50));
        }
        let address = role.destination();
        ip(&self.near, &format!("link set {FAR_TAP} netns {}", self.far.name))?;
        ip(&self.far, &format!("address add {address}/24 dev {FAR_TAP}"))?;
        ip(&self.far, &format!("link set {FAR_TAP} up"))?;
        // The way there: a station, or the guest.
        let route = format!("{ROUTED}/24");
        let network = route.replace(".1/", ".0/");
        match role {
            Role::Bridge => {
                let shown = ip(&self.far, &format!("link show {FAR_TAP}"))?;
                let mac = shown
                    .split_whitespace()
                    .skip_while(|word| *word != "link/ether")
                    .nth(1);
                let mac = mac.context("the tap has no address")?;
                ip(
                    &self.near,
                    &format!("neighbour replace {BRIDGED} lladdr {mac} dev {TAP}"),
                )?;
            }
            Role::Router => {
                ip(
                    &self.near,
                    &format!("route replace {network} via {GUEST} src {CLIENT}"),
                )?;
            }
        }
        Ok(())
    }

    fn wait(&self, running: &mut Running, role: Role) -> Result<()> {
        let sink = self.sink(role, super::stream::PORT)?;
        let socket = self.near.run(|| {
            let socket = std::net::UdpSocket::bind((CLIENT, 0))?;
            socket.connect(sink.local_addr()?)?;
            Ok(socket)
        })?;
        let patience = Instant::now() + BOOT_TIME;
        let mut steps = 0;
        while steps < 20 {
            running.check()?;
            if Instant::now() > patience {
                bail!("nothing comes through within {} s", BOOT_TIME.as_secs());
            }
            let before = self.received()?;
            // Until it is there, errors come back.
            let _ = socket.send(b"anybody there?");
            std::thread::sleep(Duration::from_millis(50));
            steps += u32::from(self.received()? > before);
        }
        Ok(())
    }
}

impl Running {
    fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let patience = Instant::now() + STOP_TIME;
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        while Instant::now() < patience {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `ip` in a network; gives what it prints.
fn ip(namespace: &Namespace, words: &str) -> Result<String> {
    let output = Command::new("ip")
        .args(["-n", &namespace.name])
        .args(words.split(' '))
        .output()
        .context("cannot run ip")?;
    ensure!(
        output.status.success(),
        "ip {words}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}
