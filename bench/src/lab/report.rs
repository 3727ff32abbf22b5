//! The results as Markdown.

use super::{Key, Measured, Options, Results, Server, median};
use crate::report::{conditions, thousands};
use ixion_tests::lab::NICS;
use std::fmt::Write;

/// One table: a row per card and load.
pub(super) fn tables(options: &Options, results: &Results) -> String {
    let mut text = conditions(options.rounds, options.window);
    text += "| card, load | Linux, requests/s | Ixion, requests/s | ratio | Linux, p50 / p99 µs | Ixion, p50 / p99 µs | \
             ratio of p99 | exits per million requests |\n|---|---:|---:|---:|---:|---:|---:|---:|\n";
    for nic in &NICS {
        for &case in &options.cases {
            let cells = row(results, |server| (nic.driver, server, case));
            let cells = cells.unwrap_or_else(|| "- |".repeat(7));
            let _ = writeln!(text, "| {}, {case} | {cells}", nic.driver);
        }
    }
    text += "\nFrom `ix run` to the first answer outside the lab: ";
    let boots = NICS.iter().filter_map(|nic| {
        let boot = median(results.boots.get(nic.driver)?.clone())?;
        Some(format!("{} ms with {}", thousands(boot), nic.driver))
    });
    text += &boots.collect::<Vec<_>>().join(", ");
    let failures: u64 = results.measured.values().flatten().map(|m| m.failures).sum();
    let _ = writeln!(
        text,
        ".\nFailed connections and lost datagrams, all runs together: {failures}."
    );
    text
}

/// All but the first cell.
fn row(results: &Results, key: impl Fn(Server) -> Key) -> Option<String> {
    let figure = |server, figure: fn(&Measured) -> f64| results.median(key(server), figure);
    let both = |of: fn(&Measured) -> f64| Some((figure(Server::Linux, of)?, figure(Server::Ixion, of)?));
    let (linux_rate, our_rate) = both(|m| m.rate)?;
    let (linux_p50, our_p50) = both(|m| m.p50_us)?;
    let (linux_p99, our_p99) = both(|m| m.p99_us)?;
    let exits = figure(Server::Ixion, |m| m.exits.unwrap_or(f64::NAN))?;
    Some(format!(
        "{} | {} | **{:.1}** | {} / {} | {} / {} | **{:.2}** | {} |",
        thousands(linux_rate),
        thousands(our_rate),
        our_rate / linux_rate,
        thousands(linux_p50),
        thousands(linux_p99),
        thousands(our_p50),
        thousands(our_p99),
        our_p99 / linux_p99,
        thousands(exits),
    ))
}
