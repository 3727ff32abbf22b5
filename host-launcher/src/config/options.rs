//! What a user can say about a run, on the command line and in a configuration file alike.

use super::{
    CpuList, Forward, Ip4, Ip6, LinkChoice, MemSize, NetChoice, NicChoice, Offloads, Poll, RouteChoice,
    Volume,
};
use serde::Deserialize;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `--backend`: who is the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The best there is here.
    Auto,
    /// This program itself, on the processor's virtualization.
    Kvm,
    /// QEMU, with an emulated CPU.
    Qemu,
    /// None: the app runs as a process of this host, over its sockets.
    Linux,
}

/// `--vhost`: who moves packets between a tap and the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Vhost {
    /// Linux where it can, a thread of ours elsewhere.
    Auto,
    /// Linux: vhost-net.
    On,
    /// A thread of ours.
    Off,
}

/// `--log`: how much the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What went wrong.
    Error,
    /// What looks wrong.
    Warn,
    /// What happens once: boot, devices, link changes.
    Info,
    /// What happens often.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The kernel's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `--env` and the like: a name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct EnvVar {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A text without `=`, or without a name in front of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` sets no variable; write KEY=VALUE")]
pub struct EnvVarError(String);

impl FromStr for EnvVar {
    type Err = EnvVarError;

    fn from_str(text: &str) -> Result<Self, EnvVarError> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() && !text.contains('\0') => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(EnvVarError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for EnvVar {
    type Error = EnvVarError;

    fn try_from(text: String) -> Result<Self, EnvVarError> {
        text.parse()
    }
}

/// What a user said; `None` and empty where nothing was said.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// What the machine is made of; linux: no machine, the app runs over this host's sockets [default: auto]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        value_name = "auto|kvm|qemu|linux"
    )]
    pub backend: Option<Backend>,

    /// How many cores it works on at first [default: as many as it may have, by --max-cores or --cpus, or 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub cores: Option<u16>,

    /// How many cores `ix scale` may give it; the app has a thread for each from the start [default: --cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub max_cores: Option<u16>,

    /// Give it cores when packets wait for those it has, and take them back when the others are enough (see --max-cores)
    #[arg(long)]
    pub elastic: bool,

    /// Whether idle cores go on looking for packets, or sleep after so long (200 us, unless said) [default: always]
    #[arg(long, value_name = "always|adaptive[:US]")]
    pub poll: Option<Poll>,

    /// Host cores for its CPUs (as many as --max-cores), one each, such as 2,3 or 2-5 [default: any core] (KVM)
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuList>,

    /// What its NIC hangs on: QEMU's user networking, or a tap [default: user; with vfio: the card's own cable]
    #[arg(long, value_name = "user|tap:NAME")]
    pub net: Option<NetChoice>,

    /// Its network card: a model (e1000e, e1000, vmxnet3: QEMU), none but a way back (loopback), or one of this host's (KVM) [default: virtio-net]
    #[arg(long, value_name = "virtio-net|e1000e|e1000|vmxnet3|loopback|vfio:BDF")]
    pub nic: Option<NicChoice>,

    /// Whether Linux (vhost-net) moves a tap's packets, or a thread of ix [default: auto] (KVM)
    #[arg(long, value_enum, hide_possible_values = true, value_name = "auto|on|off")]
    pub vhost: Option<Vhost>,

    /// Largest IP packet of its link, in bytes; a tap is set to it [default: what the card says, 1500 at most]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(68..=9000))]
    pub mtu: Option<u16>,

    /// The 802.1Q VLAN its card is on: it sends and takes only frames with this tag [default: none]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(1..=4094))]
    pub vlan: Option<u16>,

    /// What its card may do for TCP/IP: tso, lro, rxcsum, txcsum; gro and gso are the stack's own [default: on, as far as the card can]
    #[arg(long, value_name = "NAME=on|off,...")]
    pub offload: Option<Offloads>,

    /// IPv4 address and prefix length of the guest, or what a DHCP server gives [default with user: 10.0.2.15/24; with
    /// --ip6 on a tap or a card: no IPv4]
    #[arg(long, value_name = "CIDR|dhcp")]
    pub ip: Option<Ip4>,

    /// The guest's gateway [default with user: the network's host 2]
    #[arg(long, value_name = "IP")]
    pub gateway: Option<Ipv4Addr>,

    /// IPv6 address and prefix length of the guest, or what routers tell [default: no IPv6]
    #[arg(long, value_name = "CIDR|auto")]
    pub ip6: Option<Ip6>,

    /// The guest's gateway in IPv6 [default: what routers tell, or none]
    #[arg(long, value_name = "IP6")]
    pub gateway6: Option<Ipv6Addr>,

    /// A further network it is on, with a card of its own: the options above, said of this one (repeatable)
    #[arg(long, value_name = "net=tap:NAME,ip=CIDR,...")]
    pub link: Vec<LinkChoice>,

    /// The gateway to a network that is on no link (repeatable)
    #[arg(long, value_name = "CIDR=GATEWAY")]
    pub route: Vec<RouteChoice>,

    /// A name server for the app, at most three (repeatable) [default with --ip dhcp: those the server tells]
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,

    /// Guest memory [default: 256M]
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<MemSize>,

    /// Lead a port of this host into the guest (user networking; tcp and 127.0.0.1 unless said; repeatable)
    #[arg(long, value_name = "[udp:][ADDR:]HOSTPORT:PORT")]
    pub forward: Vec<Forward>,

    /// Let the app see a directory of this host; with :ro it cannot change it (repeatable)
    #[arg(long, value_name = "HOST:GUEST[:ro]")]
    pub volume: Vec<Volume>,

    /// Set a variable of the app's environment (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub env: Vec<EnvVar>,

    /// How much the kernel tells: off, error, warn, info, debug, trace [default: warn]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LEVEL")]
    pub log: Option<LogLevel>,

    /// Write the kernel's log into this file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub kernel_log: Option<PathBuf>,

    /// Name of this run for `ix ps|stats|stop` [default: the app's file name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Most packets the kernel takes in one cycle [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub batch: Option<u16>,

    /// The kernel calls the app late when it computes for longer than this between two calls [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub watchdog: Option<u32>,

    /// The app is ended when it computes for longer than this between two calls [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub watchdog_kill: Option<u32>,

    /// How long the app may take to finish when asked to stop [default: 3]
    #[arg(long, value_name = "SECONDS")]
    pub grace: Option<u32>,

    /// Kernel image [default: $IX_KERNEL, or `ixion-kernel` beside `ix`]
    #[arg(long, value_name = "PATH")]
    pub kernel: Option<PathBuf>,

    /// Hand an argument to QEMU (for measuring and debugging; repeatable)
    #[arg(long, value_name = "ARG", hide_short_help = true, allow_hyphen_values = true)]
    pub qemu_arg: Vec<String>,

    /// Hand a setting to the kernel (for testing; repeatable)
    #[arg(long, value_name = "KEY=VALUE", hide_short_help = true)]
    pub kernel_arg: Vec<EnvVar>,

    /// The program to run: a static x86-64 ELF file
    #[arg(value_name = "APP")]
    pub app: Option<PathBuf>,

    /// Its arguments
    #[arg(last = true, value_name = "ARGS")]
    #[serde(deserialize_with = "texts")]
    pub args: Vec<OsString>,
}

/// A file can only say what is text; the command line can say any bytes.
fn texts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<OsString>, D::Error> {
    Ok(Vec::<String>::deserialize(from)?
        .into_iter()
        .map(OsString::from)
        .collect())
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Its contents are not what they should be.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what, in one line.
        message: String,
    },
}

impl Options {
    /// Reads a file with the same keys. Paths in it are relative to the file.
    pub fn from_file(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut options: Self = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let message = format!("line {line}: {}", error.message().replace('\n', " "));
            FileError::Parse {
                path: path.to_owned(),
                message,
            }
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for place in [&mut options.app, &mut options.kernel, &mut options.kernel_log] {
            *place = place.take().map(|file| folder.join(file));
        }
        for volume in &mut options.volume {
            volume.host = folder.join(&volume.host);
        }
        Ok(options)
    }

    /// These options where they say something, else `file`'s. Variables add up (ours come last, so they win).
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        fn list<T>(ours: Vec<T>, file: Vec<T>) -> Vec<T> {
            if ours.is_empty() { file } else { ours }
        }
        Self {
            backend: self.backend.or(file.backend),
            cores: self.cores.or(file.cores),
            max_cores: self.max_cores.or(file.max_cores),
            elastic: self.elastic || file.elastic,
            poll: self.poll.or(file.poll),
            cpus: self.cpus.or(file.cpus),
            net: self.net.or(file.net),
            nic: self.nic.or(file.nic),
            vhost: self.vhost.or(file.vhost),
            mtu: self.mtu.or(file.mtu),
            vlan: self.vlan.or(file.vlan),
            offload: self.offload.or(file.offload),
            ip: self.ip.or(file.ip),
            gateway: self.gateway.or(file.gateway),
            ip6: self.ip6.or(file.ip6),
            gateway6: self.gateway6.or(file.gateway6),
            link: list(self.link, file.link),
            route: list(self.route, file.route),
            dns: list(self.dns, file.dns),
            mem: self.mem.or(file.mem),
            forward: list(self.forward, file.forward),
            volume: list(self.volume, file.volume),
            env: file.env.into_iter().chain(self.env).collect(),
            log: self.log.or(file.log),
            kernel_log: self.kernel_log.or(file.kernel_log),
            name: self.name.or(file.name),
            batch: self.batch.or(file.batch),
            watchdog: self.watchdog.or(file.watchdog),
            watchdog_kill: self.watchdog_kill.or(file.watchdog_kill),
            grace: self.grace.or(file.grace),
            kernel: self.kernel.or(file.kernel),
            kernel_arg: list(self.kernel_arg, file.kernel_arg),
            qemu_arg: list(self.qemu_arg, file.qemu_arg),
            app: self.app.or(file.app),
            args: list(self.args, file.args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EnvVar, FileError, LogLevel, Options};
    use crate::config::{NicChoice, NicModel};
    use std::path::{Path, PathBuf};

    fn file(name: &str, text: &str) -> (PathBuf, Result<Options, FileError>) {
        let path = std::env::temp_dir().join(format!("ix-options-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let options = Options::from_file(&path);
        std::fs::remove_file(&path).unwrap();
        (path, options)
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let text = "app = 'bin/echo'\nargs = ['--port', '7']\nnet = 'tap:t0'\nip = '10.1.0.2/24'\nlog = 'debug'\n\
                    env = ['A=file', 'B=file']\nforward = ['1:1']\nkernel-log = '/var/log/k'\nbatch = 8\nnic = 'e1000e'\ncpus = '2,3'\n";
        let from_file = file("wins", text).1.unwrap();
        assert_eq!(
            from_file.app.as_deref(),
            Some(std::env::temp_dir().join("bin/echo").as_path())
        );
        assert_eq!(from_file.kernel_log.as_deref(), Some(Path::new("/var/log/k")));
        let line = Options {
            log: Some(LogLevel::Off),
            env: vec!["A=line".parse().unwrap()],
            forward: vec!["2:2".parse().unwrap()],
            ..Options::default()
        };
        let both = line.over(from_file);
        assert_eq!(both.log, Some(LogLevel::Off));
        assert_eq!(both.forward, ["2:2".parse().unwrap()]);
        assert_eq!(both.args, ["--port", "7"]);
        assert_eq!(both.batch, Some(8));
        assert_eq!(both.cpus.unwrap().cores(), [2, 3]);
        assert_eq!(both.nic, Some(NicChoice::Model(NicModel::E1000e)));
        let last = both.env.iter().rfind(|variable| variable.key == "A");
        assert_eq!(
            last,
            Some(&EnvVar {
                key: "A".to_owned(),
                value: "line".to_owned()
            })
        );
    }

    #[test]
    fn mistakes_in_the_file_are_located() {
        for (name, text, part) in [
            (
                "key",
                "app = 'x'\nnett = 'user'\n",
                "line 2: unknown field `nett`",
            ),
            ("mem", "\n\nmem = '1'\n", "line 3: 1 MiB is too little"),
            ("env", "env = ['X']", "write KEY=VALUE"),
            ("nic", "nic = 'vfio:eth0'", "`ix nic list`"),
            ("offload", "offload = 'tso=never'", "`tso=never` switches"),
            ("toml", "app =", "line 1"),
        ] {
            let (path, options) = file(name, text);
            let message = options.unwrap_err().to_string();
            assert!(
                message.starts_with(path.to_str().unwrap()) && message.contains(part),
                "{message}"
            );
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
