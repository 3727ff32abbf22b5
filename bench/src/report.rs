//! The results as Markdown.

use crate::compare::Results;
use crate::guest::Guest;
use crate::machine::Machine;
use crate::measure::{Case, Measured};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::Path;
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
    let machine = Machine::here();
    format!(
        "{machine}\n64-byte requests, closed loop; medians of {rounds} rounds of {} s, guests in turns. `{}`\n\n",
        window.as_secs_f64(),
        machine.command,
    )
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
