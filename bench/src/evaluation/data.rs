//! All that was measured, as it is kept in a file: one object, a line for each point.

use crate::guest::Guest;
use crate::load::Kind;
use crate::machine::Machine;
use crate::measure::Instructions;
use crate::server::Service;
use ::load::workload::{Mix, Workload};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Records in memcached.
const RECORDS: u32 = 4_000;
/// Which sizes they have.
const SEED: u64 = 1;

/// What is asked for in an open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Asked {
    /// 64 bytes and back.
    Echo,
    /// Gets and sets of memcached, Facebook's ETC.
    Etc,
    /// The same, USR.
    Usr,
    /// A file of 1 KiB.
    Http,
}

impl Asked {
    /// In the order of the report.
    pub(super) const ALL: [Asked; 4] = [Asked::Echo, Asked::Etc, Asked::Usr, Asked::Http];

    /// What tables and plots call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Echo => "echo, 64 bytes",
            Self::Etc => "memcached, ETC mix",
            Self::Usr => "memcached, USR mix",
            Self::Http => "HTTP GET, 1 KiB",
        }
    }

    /// Its file.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Etc => "memcached-etc",
            Self::Usr => "memcached-usr",
            Self::Http => "http",
        }
    }

    pub(super) fn service(self) -> Service {
        match self {
            Self::Echo => Service::Echo,
            Self::Etc | Self::Usr => Service::Memcached,
            Self::Http => Service::Http,
        }
    }

    pub(super) fn workload(self) -> Workload {
        match self {
            Self::Echo => Workload::echo(64),
            Self::Etc => Workload::memcached(Mix::Etc, RECORDS, SEED),
            Self::Usr => Workload::memcached(Mix::Usr, RECORDS, SEED),
            Self::Http => Workload::web("bench", "/"),
        }
    }
}

/// An offered load and what came of it. Latencies count from when requests were due; shares are of a core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LoadPoint {
    pub(super) round: u32,
    pub(super) guest: Guest,
    pub(super) asked: Asked,
    pub(super) offered_per_s: f64,
    pub(super) sent_per_s: f64,
    /// Answers within the window.
    pub(super) carried_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    /// Requests without an answer, and misses and errors.
    pub(super) unanswered: u64,
    pub(super) refused: u64,
    pub(super) vcpu_share: f64,
    pub(super) main_loop_share: f64,
    pub(super) client_share: f64,
}

/// A closed loop on so many connections, of which at most a hundred have a request outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ConnectionPoint {
    pub(super) round: u32,
    pub(super) guest: Guest,
    pub(super) kind: Kind,
    pub(super) connections: usize,
    pub(super) rate_per_s: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) failures: u64,
    /// CPU time per request.
    pub(super) vcpu_us: f64,
    pub(super) main_loop_us: f64,
    pub(super) client_us: f64,
}

/// A message size, and how long one way takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SizePoint {
    pub(super) round: u32,
    pub(super) guest: Guest,
    pub(super) bytes: u32,
    pub(super) median_us: f64,
    pub(super) goodput_mbit_s: f64,
}

/// Instructions per request, on 16 connections.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct CountPoint {
    pub(super) guest: Guest,
    pub(super) kind: Kind,
    #[serde(flatten)]
    pub(super) instructions: Instructions,
}

/// Where, when, how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Conditions {
    pub(super) machine: Machine,
    /// Of the guest's kernel, memcached and nginx.
    pub(super) versions: Vec<String>,
    pub(super) rounds: u32,
    pub(super) window_s: f64,
}

/// Everything.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Data {
    pub(super) conditions: Conditions,
    pub(super) loads: Vec<LoadPoint>,
    pub(super) connections: Vec<ConnectionPoint>,
    pub(super) sizes: Vec<SizePoint>,
    pub(super) counts: Vec<CountPoint>,
}

fn lines<T: Serialize>(points: &[T]) -> Result<String> {
    let lines: Vec<String> = points
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()?;
    Ok(format!("[\n{}\n]", lines.join(",\n")))
}

impl Data {
    /// As JSON.
    fn text(&self) -> Result<String> {
        Ok(format!(
            "{{\n\"conditions\": {},\n\"loads\": {},\n\"connections\": {},\n\"sizes\": {},\n\"counts\": {}\n}}\n",
            serde_json::to_string_pretty(&self.conditions)?,
            lines(&self.loads)?,
            lines(&self.connections)?,
            lines(&self.sizes)?,
            lines(&self.counts)?,
        ))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.text()?).with_context(|| format!("cannot write {}", file.display()))
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not data of a report", file.display()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Asked, Conditions, ConnectionPoint, CountPoint, Data, LoadPoint, SizePoint};
    use crate::guest::Guest;
    use crate::load::Kind;
    use crate::machine::Machine;
    use crate::measure::Instructions;

    /// A point of a curve, the other figures in proportion.
    pub(crate) fn load(offered_per_s: f64, carried_per_s: f64, p99_us: f64) -> LoadPoint {
        LoadPoint {
            round: 1,
            guest: Guest::Ixion,
            asked: Asked::Etc,
            offered_per_s,
            sent_per_s: offered_per_s,
            carried_per_s,
            p50_us: p99_us / 2.0,
            p99_us,
            p999_us: p99_us * 2.0,
            unanswered: 0,
            refused: 0,
            vcpu_share: 0.5,
            main_loop_share: 0.5,
            client_share: 0.5,
        }
    }

    pub(crate) fn nothing() -> Data {
        Data {
            conditions: Conditions {
                machine: Machine::here(),
                versions: vec!["nginx/1".to_owned()],
                rounds: 1,
                window_s: 0.5,
            },
            loads: Vec::new(),
            connections: Vec::new(),
            sizes: Vec::new(),
            counts: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_with_a_line_for_each_point() {
        let mut data = nothing();
        data.loads = vec![load(1_000.0, 990.5, 120.0), load(2_000.0, 1_500.0, 9e4)];
        data.connections = vec![ConnectionPoint {
            round: 1,
            guest: Guest::LinuxHosted,
            kind: Kind::Connect,
            connections: 16,
            rate_per_s: 5_000.0,
            p50_us: 1.5,
            p99_us: 2.5,
            failures: 0,
            vcpu_us: 3.0,
            main_loop_us: 2.0,
            client_us: 1.0,
        }];
        data.sizes = vec![SizePoint {
            round: 1,
            guest: Guest::LinuxTuned,
            bytes: 64,
            median_us: 20.5,
            goodput_mbit_s: 25.0,
        }];
        data.counts = vec![CountPoint {
            guest: Guest::Ixion,
            kind: Kind::Http,
            instructions: Instructions {
                kernel: 2_000.0,
                app: 1_500.0,
                idle: 7.0,
            },
        }];
        let text = data.text().unwrap();
        let read: Data = serde_json::from_str(&text).unwrap();
        assert_eq!(read.loads, data.loads);
        assert_eq!(read.connections, data.connections);
        assert_eq!(read.sizes, data.sizes);
        assert!((read.counts[0].instructions.app - 1_500.0).abs() < 1e-9);
        assert_eq!(
            text.lines().filter(|line| line.contains("offered_per_s")).count(),
            2
        );
    }
}
