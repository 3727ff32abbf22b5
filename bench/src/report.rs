//! The results as Markdown.

use crate::compare::Results;
use crate::guest::Guest;
use crate::measure::{Case, Measured};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const OPPONENT: Guest = Guest::LinuxTuned;

/// Prints the tables, and puts them into `file`.
pub(crate) fn publish(results: &Results, file: Option<&Path>) -> Result<()> {
    put("results", &tables(results), file)
}

/// Prints a text, and puts it between the markers of this name in `file`.
pub(crate) fn put(name: &str, text: &str, file: Option<&Path>) -> Result<()> {
    println!("{text}");
    let Some(file) = file else { return Ok(()) };
    let begin = format!("<!-- {name}: written by `make bench`, not by hand -->");
    let end = format!("<!-- end of {name} -->");
    let old = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let marked = old
        .split_once(&begin)
        .and_then(|(head, rest)| Some((head, rest.split_once(&end)?.1)));
    let (head, tail) = marked.with_context(|| format!("{} has no markers for {name}", file.display()))?;
    std::fs::write(file, format!("{head}{begin}\n\n{text}\n{end}{tail}"))?;
    Ok(())
}

fn tables(results: &Results) -> String {
    let mut text = conditions(results.rounds, results.window);
    let rate = |case, guest| results.median(guest, case, |m| m.rate);
    let ratio = |case| Some(rate(case, Guest::Ixion)? / rate(case, OPPONENT)?);
    text += &table(
        results,
        "requests/s",
        Some("Ixion : tuned"),
        |case, guest| match guest {
            Some(guest) => rate(case, guest).map(thousands),
            None => ratio(case).map(|ratio| format!("**{ratio:.1}**")),
        },
    );
    let latency =
        |case, guest, figure: fn(&Measured) -> f64| results.median(guest, case, figure).map(thousands);
    text += &table(results, "p50 / p99, µs", None, |case, guest| {
        let p50 = latency(case, guest?, |m| m.p50_us)?;
        Some(format!("{p50} / {}", latency(case, guest?, |m| m.p99_us)?))
    });
    text += &table(
        results,
        "µs per request: vCPU / main loop / client",
        None,
        |case, guest| {
            let part = |figure: fn(&Measured) -> f64| results.median(guest?, case, figure);
            let (vcpu, main_loop) = (part(|m| m.vcpu_us)?, part(|m| m.main_loop_us)?);
            Some(format!(
                "{vcpu:.1} / {main_loop:.1} / {:.1}",
                part(|m| m.client_us)?
            ))
        },
    );
    text += &table(
        results,
        "guest instructions per request: kernel + app",
        None,
        |case, guest| {
            let found = results.instructions.get(&(guest?, case))?;
            let sum = thousands(found.kernel + found.app);
            Some(format!("{sum} = {:.0} + {:.0}", found.kernel, found.app))
        },
    );
    let failures: u64 = results.measured.values().flatten().map(|m| m.failures).sum();
    let _ = writeln!(
        text,
        "Failed connections and lost datagrams, all runs together: {failures}."
    );
    text
}

/// One table: a row per case, a column per guest, and one more if it has a title. Rows and columns without any entry
/// are left out.
fn table(
    results: &Results,
    title: &str,
    last: Option<&str>,
    entry: impl Fn(Case, Option<Guest>) -> Option<String>,
) -> String {
    let has = |guest: Guest| {
        results
            .cases
            .iter()
            .any(|&case| entry(case, Some(guest)).is_some())
    };
    let guests: Vec<Guest> = results
        .guests
        .iter()
        .copied()
        .filter(|&guest| has(guest))
        .collect();
    let mut text = format!("| {title} |");
    for name in guests.iter().map(|guest| guest.title()).chain(last) {
        let _ = write!(text, " {name} |");
    }
    let columns = guests.len() + usize::from(last.is_some());
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(columns));
    for &case in &results.cases {
        let keys = guests.iter().map(|&guest| Some(guest)).chain(last.map(|_| None));
        let entries: Vec<Option<String>> = keys.map(|key| entry(case, key)).collect();
        if entries.iter().all(Option::is_none) {
            continue;
        }
        let _ = write!(text, "| {case} |");
        for entry in entries {
            let _ = write!(text, " {} |", entry.as_deref().unwrap_or("-"));
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

/// Where, when and how it was measured.
pub(crate) fn conditions(rounds: usize, window: Duration) -> String {
    let output = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok();
        let text = output
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    let proc = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        line.split_once(':')
            .map_or("?", |(_, value)| value.trim())
            .to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{date}, commit {commit}; {cpu}, {cores} cores, host Linux {host} (load {load} at the end); {qemu}.\n\
         64-byte requests, closed loop; medians of {rounds} rounds of {window} s, guests in turns. `{command}`\n\n",
        date = output("date", &["+%Y-%m-%d %H:%M"]),
        commit = output("git", &["describe", "--always", "--dirty"]),
        cpu = proc("/proc/cpuinfo", "model name"),
        host = output("uname", &["-r"]),
        load = load.split(' ').next().unwrap_or("?"),
        qemu = output("qemu-system-x86_64", &["--version"]),
        window = window.as_secs_f64(),
        command = command(),
    )
}

/// What the person who measures has called: `bench/run` names itself, since it adds folders.
fn command() -> String {
    std::env::var("BENCH_COMMAND").unwrap_or_else(|_| {
        let words = std::env::args().skip(1);
        words.fold("ix-bench".to_owned(), |all, word| all + " " + &word)
    })
}

/// A whole number with groups of three digits; small ones with a decimal.
pub(crate) fn thousands(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_grouped() {
        let shown = [3.25, 99.94, 100.0, 1234.6, 1_234_567.0].map(thousands);
        assert_eq!(shown, ["3.2", "99.9", "100", "1,235", "1,234,567"]);
    }
}
