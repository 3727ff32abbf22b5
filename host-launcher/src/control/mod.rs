//! The control socket: each run listens on `NAME.sock` in one directory per user. A client writes one JSON line
//! ([`Ask`]) and reads one ([`Reply`]).

/// The run's side.
mod server;
pub use server::{ControlError, Server, Wish};

/// Where counters come from.
mod counting;
pub use counting::{Counting, MachineCounters};

/// What becomes of a wish for more cores or fewer.
mod scaling;
pub use scaling::Scaling;

/// The side of `ix ps|stats|scale|stop`.
mod client;
pub use client::{ClientError, list, scale, stats, stop};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a client can ask of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// Who are you?
    Info,
    /// Fresh counters.
    Stats,
    /// Work on so many cores. Answered when it does.
    Scale {
        /// How many, from 1 to as many as there are.
        cores: u16,
    },
    /// Stop, as at SIGTERM. The connection ends when the run has.
    Stop,
}

/// What a run answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Ask::Info`].
    Info(Info),
    /// To [`Ask::Stats`].
    Stats(Stats),
    /// To [`Ask::Scale`].
    Scaled {
        /// How many it works on.
        cores: u16,
    },
    /// To [`Ask::Scale`], too: why it does not.
    NotScaled {
        /// In words.
        reason: String,
    },
    /// To [`Ask::Stop`].
    Stopping,
    /// To anything else.
    Error {
        /// What was wrong.
        message: String,
    },
}

/// A run, as `ix ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Info {
    /// Its name.
    pub name: String,
    /// Process id of its `ix`.
    pub pid: u32,
    /// `booting`, `running` or `ended`.
    pub state: String,
    /// Whole seconds since its start.
    pub uptime_s: u64,
    /// How many cores it works on, and how many it has.
    pub cores: u16,
    /// See `cores`.
    pub max_cores: u16,
    /// Address and prefix length of the guest.
    pub ip: String,
    /// What its NIC hangs on.
    pub net: String,
    /// The program.
    pub app: String,
}

/// The counters of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// `false` if the kernel did not answer in time: these are older values.
    pub fresh: bool,
    /// Name and value of each.
    pub counters: BTreeMap<String, u64>,
}

/// Where the control sockets of this user's runs lie: `$IX_RUNTIME_DIR`, or /run/ix for root, or
/// `$XDG_RUNTIME_DIR/ix`, or /tmp/ix-UID.
#[must_use]
pub fn directory() -> PathBuf {
    let named = |key| {
        std::env::var_os(key)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let user = nix::unistd::geteuid();
    match (named("IX_RUNTIME_DIR"), named("XDG_RUNTIME_DIR")) {
        (Some(directory), _) => directory,
        (None, _) if user.is_root() => PathBuf::from("/run/ix"),
        (None, Some(directory)) => directory.join("ix"),
        (None, None) => PathBuf::from(format!("/tmp/ix-{}", user.as_raw())),
    }
}

fn socket(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.sock"))
}
