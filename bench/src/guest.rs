//! The machines under comparison: how each is started on the namespace's tap, and stopped.

use crate::netns::{CLIENT, GUEST, Namespace, Queues, TAP};
use crate::pin;
use crate::server::{Server, Service};
use crate::symbols::Symbols;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Parts of the names of functions in which our kernel idles.
const IDLE: &[&str] = &["dataplane::idle::"];
/// And of those that run when there is a frame: the core's own, one whose core is looked for, or one to be sent.
const WORK: &[&str] = &[
    "netstack::stack::ingress::",
    "netstack::tcp::",
    "netstack::rss::frame::",
    "Nic>::commit_tx",
];
/// A machine that could never have a second CPU gets no memory barriers from QEMU 7.2 (it leaves MFENCE and LOCK out),
/// although its NIC works in another thread: the doorbells of a guest that polls get lost. `ix` asks for the same. Linux
/// lives with one, and is half as fast when it believes in a second.
const BARRIERS: [&str; 2] = ["-smp", "1,maxcpus=2"];
const BOOT_TIME: Duration = Duration::from_secs(90);
const STOP_TIME: Duration = Duration::from_secs(10);

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Guest {
    /// Linux without mitigations and hardening, on a CPU model that lets it copy with plain moves.
    LinuxTuned,
    /// Linux as it comes.
    LinuxDefault,
    /// The tuned one; its server never sleeps.
    LinuxSpin,
    /// The tuned one with our apps over its sockets.
    LinuxHosted,
    /// Ours.
    Ixion,
    /// A stateless reflector: what QEMU, tap and client can carry.
    Reflector,
}

impl Guest {
    /// Its column's title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::LinuxTuned => "Linux, tuned",
            Self::LinuxDefault => "Linux, default",
            Self::LinuxSpin => "Linux, tuned, spinning",
            Self::LinuxHosted => "Ixion's apps on Linux",
            Self::Ixion => "Ixion",
            Self::Reflector => "reflector",
        }
    }

    /// Instructions of it that spins outside our idle function cannot be told from work.
    pub(crate) fn is_countable(self) -> bool {
        !matches!(self, Self::LinuxSpin | Self::Reflector)
    }
}

/// What was built, by `bench/run`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Images {
    /// Folder with vmlinuz, linux.cpio.gz, reflector, insncount.so, and root/srv to be served.
    #[arg(long, default_value = "target/bench")]
    pub(crate) images: PathBuf,
    /// Folder with ix, ixion-kernel and the apps.
    #[arg(long, default_value = "target/x86_64-unknown-linux-gnu/release")]
    pub(crate) release: PathBuf,
    /// More arguments for QEMU, for every guest (repeatable).
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) qemu_arg: Vec<String>,
    /// More arguments for `ix run`, such as --batch=16 (repeatable).
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) ix_arg: Vec<String>,
    /// What Ixion runs instead of the service's app: a program and its arguments but for the port, such as `echo_levels raw`.
    #[arg(long)]
    pub(crate) ix_app: Option<String>,
    /// CPUs of every guest; each has a queue of the card's where the tap has so many.
    #[arg(skip = 1_usize)]
    pub(crate) cpus: usize,
    /// Plugin beside `counts` (see [`Images::boot`]): its name and the file it writes.
    #[arg(skip)]
    pub(crate) plugin: Option<(&'static str, PathBuf)>,
    /// The reflector's words (see its source).
    #[arg(long, default_value = "batch=64")]
    pub(crate) reflector_words: String,
}

/// A guest that answers. Dropping it stops it.
pub(crate) struct Running {
    child: Child,
    /// QEMU's process.
    pub(crate) qemu: u32,
}

impl Images {
    /// Boots the machine of these servers and waits until all of them accept connections: of Linux' they may be several,
    /// of Ixion's and the reflector's one. Its output goes to a file in the images' folder. With `counts`, the plugin
    /// counts its instructions there.
    pub(crate) fn boot(
        &self,
        servers: &[Server],
        namespace: &Namespace,
        counts: Option<&Path>,
    ) -> Result<Running> {
        let first = *servers.first().context("nothing to serve")?;
        let log = self.log(first);
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut extra = self.qemu_arg.clone();
        if first.guest == Guest::Reflector {
            extra.extend(BARRIERS.map(str::to_owned));
        }
        if let Some(counts) = counts {
            extra.extend(["-plugin".to_owned(), self.insncount(first.guest, counts)?]);
        }
        if let Some((name, file)) = &self.plugin {
            let library = self.images.join(format!("{name}.so"));
            extra.push("-plugin".to_owned());
            extra.push(format!("{},out={}", library.display(), file.display()));
        }
        let mut command = match first.guest {
            Guest::Ixion => self.ixion(first, namespace, &extra),
            _ => self.qemu(servers, namespace, &extra),
        };
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command.spawn().context("cannot start the guest")?;
        let mut running = Running {
            qemu: child.id(),
            child,
        };
        let answered = namespace.run(|| running.wait_until_they_answer(servers, self.cpus));
        answered
            .with_context(|| format!("{} does not answer, see {}", first.guest.title(), log.display()))?;
        Ok(running)
    }

    fn qemu(&self, servers: &[Server], namespace: &Namespace, extra: &[String]) -> Command {
        let guest = servers[0].guest;
        let mut command = namespace.command("qemu-system-x86_64".as_ref());
        command.args([
            "-machine",
            "q35,accel=tcg",
            "-m",
            "512M",
            "-display",
            "none",
            "-serial",
            "stdio",
        ]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
        let cpus = self.cpus;
        let (queues, mq) = match namespace.queues {
            Queues::PerCpu if cpus > 1 => (format!(",queues={cpus}"), ",mq=on"),
            _ => (String::new(), ""),
        };
        command.arg("-netdev").arg(format!(
            "tap,id=net0,ifname={TAP},script=no,downscript=no,vhost=off{queues}"
        ));
        command.arg("-device").arg(format!(
            "virtio-net-pci,netdev=net0,disable-legacy=on,mac=52:54:00:77:00:02,romfile={mq}"
        ));
        if cpus > 1 {
            command.args(["-smp", &cpus.to_string()]);
        }
        command.args([
            "-cpu",
            if guest == Guest::LinuxDefault {
                "max"
            } else {
                "max,-erms,-fsrm"
            },
        ]);
        if guest == Guest::Reflector {
            command.arg("-kernel").arg(self.images.join("reflector"));
            command.args(["-append", &self.reflector_words]);
        } else {
            let tuning = if guest == Guest::LinuxDefault {
                String::new()
            } else {
                format!("possible_cpus={cpus} mitigations=off init_on_alloc=0 hardened_usercopy=off")
            };
            let mut words = format!("console=ttyS0 quiet panic=-1 {tuning} addr={GUEST}/24");
            for server in servers {
                words += &format!(" srv={}", server.linux_words(cpus).join(","));
            }
            command.arg("-kernel").arg(self.images.join("vmlinuz"));
            command.arg("-initrd").arg(self.images.join("linux.cpio.gz"));
            command.args(["-append", &words]);
        }
        command.args(extra);
        command
    }

    fn ixion(&self, server: Server, namespace: &Namespace, extra: &[String]) -> Command {
        let mut command = namespace.command(self.release.join("ix").as_os_str());
        command.args([
            "run",
            "--net",
            &format!("tap:{TAP}"),
            "--ip",
            &format!("{GUEST}/24"),
        ]);
        command.args([
            "--gateway",
            &CLIENT.to_string(),
            "--log",
            "info",
            "--name",
            &namespace.name,
        ]);
        if self.cpus > 1 {
            command.args(["--cores", &self.cpus.to_string()]);
        }
        command.args(extra.iter().map(|word| format!("--qemu-arg={word}")));
        if server.service == Service::Http {
            let files = self.images.join("root/srv");
            command
                .arg("--volume")
                .arg(format!("{}:/srv:ro", files.display()));
        }
        let (app, arguments) = self.app(server);
        command.args(&self.ix_arg).arg(self.release.join(app)).arg("--");
        command.args(arguments).arg(server.service.port().to_string());
        command
    }

    /// Ixion's app and its arguments but for the port.
    fn app(&self, server: Server) -> (&str, Vec<&str>) {
        match &self.ix_app {
            Some(words) => {
                let mut words = words.split_whitespace();
                (words.next().unwrap_or_default(), words.collect())
            }
            None => {
                let (app, arguments) = server.service.app();
                (app, arguments.to_vec())
            }
        }
    }

    /// The plugin and its arguments, which tell it work from idling.
    pub(crate) fn insncount(&self, guest: Guest, counts: &Path) -> Result<String> {
        let mut plugin = format!(
            "{},out={}",
            self.images.join("insncount.so").display(),
            counts.display()
        );
        if guest == Guest::Ixion {
            let mut kernel = Symbols::default();
            kernel.add(&self.kernel(), 0)?;
            for (argument, parts) in [("idle", IDLE), ("work", WORK)] {
                let found = parts.iter().flat_map(|part| kernel.find(part));
                plugin.extend(found.map(|pc| format!(",{argument}={pc:x}")));
            }
            ensure!(
                plugin.contains(",idle=") && plugin.contains(",work="),
                "the kernel has changed its names"
            );
        }
        Ok(plugin)
    }

    /// Functions of a guest that has been booted, as far as we have them.
    pub(crate) fn symbols(&self, server: Server) -> Result<Symbols> {
        let mut symbols = Symbols::default();
        if server.guest == Guest::Ixion {
            symbols.add(&self.kernel(), 0)?;
            if let Some((file, base)) = self.loaded_app(server) {
                symbols.add(&file, base)?;
            }
        }
        Ok(symbols)
    }

    /// Our kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.release.join("ixion-kernel")
    }

    /// The app of ours that has been booted, and where our kernel has put it.
    pub(crate) fn loaded_app(&self, server: Server) -> Option<(PathBuf, u64)> {
        let log = fs::read_to_string(self.log(server)).ok()?;
        Some((self.release.join(self.app(server).0), image_base(&log)?))
    }

    /// Where a guest's output goes.
    fn log(&self, server: Server) -> PathBuf {
        self.images
            .join(format!("{:?}-{:?}.log", server.guest, server.service))
    }
}

/// Where our kernel says it has loaded the app.
fn image_base(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("image at 0x")?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

impl Running {
    fn wait_until_they_answer(&mut self, servers: &[Server], cpus: usize) -> Result<()> {
        let patience = Instant::now() + BOOT_TIME;
        for server in servers {
            let to = SocketAddr::V4(server.address());
            while TcpStream::connect_timeout(&to, Duration::from_secs(1)).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("it ended: {status}");
                }
                if Instant::now() > patience {
                    bail!("no connection to {to} within {} s", BOOT_TIME.as_secs());
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        // What boots late (a console, a random generator) shall not fall into the first measurement.
        std::thread::sleep(Duration::from_millis(700));
        self.qemu = qemu_of(self.child.id())?;
        // Several CPUs have no core of the host's to themselves.
        if cpus == 1 { pin::qemu(self.qemu) } else { Ok(()) }
    }
}

/// The process itself if it is QEMU, or its child that is.
pub(crate) fn qemu_of(pid: u32) -> Result<u32> {
    let is_qemu =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.starts_with("qemu"));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut candidates =
        std::iter::once(pid).chain(children.split_whitespace().filter_map(|w| w.parse().ok()));
    candidates.find(is_qemu).context("no QEMU process found")
}

impl Drop for Running {
    fn drop(&mut self) {
        let patience = Instant::now() + STOP_TIME;
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        while Instant::now() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
