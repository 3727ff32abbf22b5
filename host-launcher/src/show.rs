//! What `ix ps`, `ix stats`, `ix new` and others print.

use host_launcher::control::{self, ClientError, Info, Stats};
use host_launcher::doctor::{Report, Verdict};
use host_launcher::nic::{Nic, Obstacle};
use host_launcher::scaffold::Template;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// One row per run.
pub(crate) fn runs(runs: &[Info], out: &mut impl Write) -> io::Result<()> {
    let header = ["NAME", "PID", "STATE", "UP", "CORES", "IP", "NET", "APP"].map(str::to_owned);
    let rows = runs.iter().map(|run| {
        let up = format!("{}s", run.uptime_s);
        [
            &run.name,
            &run.pid.to_string(),
            &run.state,
            &up,
            &format!("{}/{}", run.cores, run.max_cores),
            &run.ip,
            &run.net,
            &run.app,
        ]
        .map(String::clone)
    });
    table(std::iter::once(header).chain(rows).collect(), out)
}

/// What can be done with a crate that has just been made: a command each.
pub(crate) fn new_crate(folder: &Path, template: Template, out: &mut impl Write) -> io::Result<()> {
    let lines = [
        (format!("cd {}", folder.display()), "where it is"),
        ("cargo build".to_owned(), "build it"),
        ("cargo run".to_owned(), "serve over Linux sockets, at port 7007"),
        ("cargo test".to_owned(), "test it in virtual time"),
        (
            "cargo ixion".to_owned(),
            "boot it on Ixion's kernel, port 7007 forwarded",
        ),
    ];
    for (command, what) in lines {
        writeln!(out, "{command:20}# {what}")?;
    }
    writeln!(out, "{}", template.trial())
}

/// A line per finding, and one for its cure.
pub(crate) fn report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for finding in &report.findings {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        writeln!(out, "{verdict:4}  {:9}  {}", finding.check, finding.found)?;
        if let Some(cure) = &finding.cure {
            writeln!(out, "                 {cure}")?;
        }
    }
    match report.backend {
        Some(backend) if report.runs => writeln!(out, "ix run works here, on {backend}"),
        _ => writeln!(out, "ix run does not work here"),
    }
}

/// One row per card.
pub(crate) fn nics(nics: &[Nic], out: &mut impl Write) -> io::Result<()> {
    let header = ["BDF", "NAME", "ID", "DRIVER", "GROUP", "NUMA", "LINK", "USABLE"].map(str::to_owned);
    let rows = nics.iter().map(|nic| {
        [
            nic.bdf.to_string(),
            text(&nic.interfaces.join(",")),
            nic.id.to_string(),
            text(nic.driver.as_deref().unwrap_or_default()),
            number(nic.iommu_group),
            number(nic.numa_node),
            text(nic.link.as_deref().unwrap_or_default()),
            usable(nic),
        ]
    });
    table(std::iter::once(header).chain(rows).collect(), out)
}

fn text(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn usable(nic: &Nic) -> String {
    let obstacles: Vec<_> = nic.obstacles.iter().map(ToString::to_string).collect();
    let words = if obstacles.is_empty() {
        "yes".to_owned()
    } else {
        format!("no: {}", obstacles.join("; "))
    };
    let is_held = nic
        .obstacles
        .iter()
        .any(|obstacle| matches!(obstacle, Obstacle::Held(_)));
    match &nic.returns_to {
        None => words,
        Some(driver) if is_held => format!("{words}, then back to {driver}"),
        Some(driver) => format!(
            "{words} (was at {driver}, and gets back there by: ix nic unbind {})",
            nic.bdf
        ),
    }
}

/// Columns as wide as what is in them.
fn table<const N: usize>(rows: Vec<[String; N]>, out: &mut impl Write) -> io::Result<()> {
    for row in &rows {
        let (last, cells) = row.split_last().unwrap_or((&row[0], &[]));
        for (column, cell) in cells.iter().enumerate() {
            let width = rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0);
            write!(out, "{cell:width$}  ")?;
        }
        writeln!(out, "{last}")?;
    }
    Ok(())
}

/// The counters that are not zero, with what they grew by since `before`.
pub(crate) fn counters(now: &Stats, before: Option<&Stats>, out: &mut impl Write) -> io::Result<()> {
    if !now.fresh {
        writeln!(out, "(the kernel does not answer; these are older values)")?;
    }
    let shown: Vec<_> = now.counters.iter().filter(|(_, value)| **value != 0).collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, &value) in shown {
        write!(out, "{name:width$}  {value:>14}")?;
        if let Some(before) = before {
            let grown = value
                .wrapping_sub(before.counters.get(name).copied().unwrap_or(0))
                .cast_signed();
            write!(out, "  {grown:>+12}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Shows counters each second until the run ends.
pub(crate) fn watch(
    name: &str,
    json: impl Fn(&Stats) -> Option<String>,
) -> Result<io::Result<()>, ClientError> {
    let mut before: Option<Stats> = None;
    loop {
        let now = match control::stats(name) {
            Err(ClientError::NoSuchRun(_)) if before.is_some() => return Ok(Ok(())),
            other => other?,
        };
        let mut out = io::stdout().lock();
        let shown = match json(&now) {
            Some(line) => writeln!(out, "{line}"),
            None => counters(&now, before.as_ref(), &mut out).and_then(|()| writeln!(out)),
        };
        if shown.is_err() {
            return Ok(shown);
        }
        before = Some(now);
        std::thread::sleep(Duration::from_secs(1));
    }
}
