//! The comparison as a report: how throughput and latency go together, what many connections cost, goodput over message size,
//! connections per second and instructions per request, on Linux by its own servers, on Linux by our apps, and on Ixion.
//!
//! [`turns`] takes the machines in turns and measures them, offered loads as [`sweep`] chooses them; all that was measured is
//! [`data`]. [`summary`] takes medians, [`targets`] are held against them; [`tables`] and [`plots`] show it.

mod turns;

mod sweep;

mod data;

mod summary;

mod targets;

mod tables;

mod plots;

use crate::guest::Images;
use crate::load::seconds;
use crate::server::Service;
use anyhow::{Context, Result};
use data::Data;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options of `report`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    images: Images,
    /// Four minutes: one round, short windows, fewer sizes, no USR mix.
    #[arg(long)]
    quick: bool,
    /// Which services [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    services: Vec<Service>,
    /// Rounds; medians are shown [default: 3].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Seconds measured of each load [default: 0.75, with --quick 0.5].
    #[arg(long, value_parser = seconds)]
    window: Option<Duration>,
    /// Measure nothing: show what this file holds, which an earlier run has written.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Put the tables into this file, between its markers, and the data and the plots into data/ and plots/ beside it.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Measures everything, and shows it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let data = match &options.from {
        Some(file) => Data::read(file)?,
        None => turns::measure(options)?,
    };
    if let Some(file) = &options.write {
        let beside = file.parent().unwrap_or(Path::new("."));
        let folder = |name: &str| -> Result<PathBuf> {
            let folder = beside.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            Ok(folder)
        };
        // First what cannot be had again.
        data.write(&folder("data")?.join("report.json"))?;
        plots::draw(&data, &folder("plots")?)?;
    }
    crate::report::put("report", &tables::tables(&data), options.write.as_deref())
}
