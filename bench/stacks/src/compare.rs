//! All stacks under all loads, in turns, as tables.

use crate::workload::{Load, Which};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Options of `compare`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder of `lwip-bench` and `side.so`
    #[arg(long)]
    lwip: PathBuf,
    /// One short round, and smaller tables
    #[arg(long)]
    quick: bool,
    /// How often each figure is taken, unless it has to be quick
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Put the tables into this file, between its markers
    #[arg(long)]
    write: Option<PathBuf>,
}

const BEGIN: &str = "<!-- stacks: written by `bench/stacks/run`, not by hand -->";
const END: &str = "<!-- end of stacks -->";

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Ixion,
    IxionInTime,
    Smoltcp,
    Lwip,
}

const COLUMNS: [(Column, &str); 4] = [
    (Column::Ixion, "Ixion"),
    (Column::IxionInTime, "Ixion, time passing"),
    (Column::Smoltcp, "smoltcp 0.13"),
    (Column::Lwip, "lwIP 2.1.3"),
];

/// A row: a load and how many connections are open.
type Row = (Load, u32);

/// Who needs longer than this to open its connections and run is not asked for more of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (rounds, milliseconds) = if options.quick {
        (1, 200)
    } else {
        (options.rounds, 1000)
    };
    let rows = rows(options.quick);
    let mut found: BTreeMap<(Row, Column), Vec<f64>> = BTreeMap::new();
    let mut gave_up: Vec<(Load, Column)> = Vec::new();
    for round in 0..rounds {
        for row in &rows {
            for (column, _) in COLUMNS {
                if gave_up.contains(&(row.0, column)) {
                    continue;
                }
                eprintln!("round {} of {rounds}: {column:?} {row:?}", round + 1);
                match measure(options, column, *row, milliseconds)? {
                    Some(nanoseconds) => found.entry((*row, column)).or_default().push(nanoseconds),
                    None => gave_up.push((row.0, column)),
                }
            }
        }
    }
    let text = tables(&rows, &found, milliseconds, rounds)?;
    println!("{text}");
    options
        .write
        .as_deref()
        .map_or(Ok(()), |file| publish(file, (BEGIN, END), &text))
}

fn rows(quick: bool) -> Vec<Row> {
    let flows: &[u32] = if quick {
        &[1, 100, 10_000]
    } else {
        &[1, 100, 10_000, 100_000, 1_000_000]
    };
    let mut rows = vec![(Load::Bulk, 1), (Load::Churn, 1)];
    rows.extend(flows.iter().map(|flows| (Load::One, *flows)));
    let enough = flows.iter().filter(|flows| **flows >= crate::workload::MANY);
    rows.extend(enough.map(|flows| (Load::Many, *flows)));
    rows
}

/// Each measurement is a process of its own; `None` if it takes too long.
fn measure(options: &Options, column: Column, (load, flows): Row, milliseconds: u64) -> Result<Option<f64>> {
    let load = format!("{load:?}").to_lowercase();
    let mut command = match column {
        Column::Lwip => {
            let mut command = Command::new(options.lwip.join("lwip-bench"));
            command.args([&load, &flows.to_string(), &milliseconds.to_string()]);
            command.arg(options.lwip.join("side.so"));
            command
        }
        Column::Ixion | Column::IxionInTime | Column::Smoltcp => {
            let which = match column {
                Column::Ixion => Which::Ixion,
                Column::IxionInTime => Which::IxionInTime,
                Column::Smoltcp | Column::Lwip => Which::Smoltcp,
            };
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["measure", which.name(), &load, "--flows", &flows.to_string()]);
            command.args(["--milliseconds", &milliseconds.to_string()]);
            command
        }
    };
    // 2 MiB pages where there are, for all: without them a run of many connections measures the TLB.
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let end = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command:?} failed");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(Some(
        text.trim()
            .parse()
            .with_context(|| format!("no figure: {text}"))?,
    ))
}

fn tables(
    rows: &[Row],
    found: &BTreeMap<(Row, Column), Vec<f64>>,
    milliseconds: u64,
    rounds: u32,
) -> Result<String> {
    let mut text = format!(
        "{} Medians of {rounds} rounds of {milliseconds} ms; nanoseconds, both sides together.\n\n",
        Provenance::now()?
    );
    let head: Vec<&str> = COLUMNS.iter().map(|(_, name)| *name).collect();
    let _ = writeln!(
        text,
        "| | {} |\n|---|{}",
        head.join(" | "),
        "---:|".repeat(COLUMNS.len())
    );
    for row in rows {
        let _ = write!(text, "| {} |", title(*row));
        for (column, _) in COLUMNS {
            match found.get(&(*row, column)).and_then(|figures| median(figures)) {
                Some(figure) => {
                    let _ = write!(text, " {} |", cell(row.0, figure));
                }
                None => text.push_str(" over a minute |"),
            }
        }
        text.push('\n');
    }
    Ok(text)
}

fn title((load, flows): Row) -> String {
    match load {
        Load::Bulk => "1460-byte segment, one connection".into(),
        Load::Churn => "connection opened and closed".into(),
        Load::One => format!("echo on a random one of {flows} connections"),
        Load::Many => format!(
            "the same, {} at a time, of {flows}",
            flows.min(crate::workload::MANY)
        ),
    }
}

fn cell(load: Load, nanoseconds: f64) -> String {
    match load {
        Load::Bulk => format!("{nanoseconds:.0} ({:.0} Gbit/s)", 1460.0 * 8.0 / nanoseconds),
        Load::Churn => format!("{nanoseconds:.0} ({:.2} M/s)", 1000.0 / nanoseconds),
        Load::One | Load::Many => format!("{nanoseconds:.0}"),
    }
}

fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// When, of what and on what figures were taken.
pub(crate) struct Provenance {
    date: String,
    commit: String,
    cpu: String,
}

impl Provenance {
    pub(crate) fn now() -> Result<Self> {
        let text_of = |command: &mut Command| -> Result<String> {
            Ok(String::from_utf8_lossy(&command.output()?.stdout)
                .trim()
                .to_owned())
        };
        let info = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = info.lines().find_map(|line| line.strip_prefix("model name\t: "));
        Ok(Provenance {
            date: text_of(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?,
            commit: text_of(Command::new("git").args(["rev-parse", "--short", "HEAD"]))?,
            cpu: model.unwrap_or("unknown CPU").to_owned(),
        })
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Provenance { date, commit, cpu } = self;
        write!(f, "{date}, commit {commit}; {cpu}.")
    }
}

/// Puts `text` between two marks in `file`.
pub(crate) fn publish(file: &Path, (begin, end): (&str, &str), text: &str) -> Result<()> {
    let old = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let marked = old
        .split_once(begin)
        .and_then(|(head, rest)| Some((head, rest.split_once(end)?.1)));
    let (head, tail) = marked.with_context(|| format!("{} has no {begin}", file.display()))?;
    std::fs::write(file, format!("{head}{begin}\n\n{text}\n{end}{tail}"))?;
    Ok(())
}
