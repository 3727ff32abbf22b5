//! Instructions per segment, counted by callgrind: exact, so a bound on them can fail a build. They depend on the
//! compiler, so the bound's file names the one it was made with.

use crate::calls::{Calls, Direct};
use crate::ixion::Ixion;
use crate::pair::Pair;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of `instructions`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The file with the bounds
    file: PathBuf,
    /// Write what is counted now as the new bounds; for when a change is worth its instructions
    #[arg(long)]
    update: bool,
}

/// What is done while callgrind counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// A 64-byte request and its answer.
    Requests,
    /// Full segments one way, in batches.
    Bulk,
    /// The same, one by one.
    Apart,
    /// A connection opened and closed.
    Churn,
    /// A call of `libix::rpc` with 64 bytes each way, without a stack.
    Calls,
}

/// A figure: the function that is counted, while what is done, and how often it does it per round.
struct Figure {
    name: &'static str,
    scenario: Scenario,
    function: &'static str,
    per_round: u32,
}

/// Segments of a round of [`Scenario::Bulk`]; as many as are in flight at once.
const BULK_SEGMENTS: u32 = 64;

const FIGURES: [Figure; 8] = [
    figure(
        "request received, acknowledging the answer before",
        Scenario::Requests,
        "*counted*server_takes*",
        1,
    ),
    figure(
        "request told to the app, answer taken from it",
        Scenario::Requests,
        "*Ixion*serve*",
        1,
    ),
    figure("answer sent", Scenario::Requests, "*counted*server_sends*", 1),
    figure(
        "full segment received",
        Scenario::Apart,
        "*counted*server_takes*",
        BULK_SEGMENTS,
    ),
    figure(
        "full segment received, continuing the one before",
        Scenario::Bulk,
        "*counted*server_continues*",
        BULK_SEGMENTS - 1,
    ),
    figure(
        "full segment sent",
        Scenario::Bulk,
        "*counted*client_sends*",
        BULK_SEGMENTS,
    ),
    figure(
        "connection accepted and closed, all received",
        Scenario::Churn,
        "*counted*server_takes*",
        1,
    ),
    figure(
        "call sent, received, answered and its answer received, both ends",
        Scenario::Calls,
        "*Calls*counted_*",
        1,
    ),
];

const fn figure(name: &'static str, scenario: Scenario, function: &'static str, per_round: u32) -> Figure {
    Figure {
        name,
        scenario,
        function,
        per_round,
    }
}

/// Does it so many times, under callgrind.
pub(crate) fn perform(scenario: Scenario, rounds: u32) {
    if scenario == Scenario::Calls {
        let mut calls = Calls::<Direct>::open(1);
        (0..rounds).for_each(|_| calls.requests(&[0]));
        return;
    }
    let mut pair = Ixion::open(1);
    pair.apart = scenario == Scenario::Apart;
    for _ in 0..rounds {
        match scenario {
            Scenario::Requests => pair.requests(&[0]),
            Scenario::Bulk | Scenario::Apart => pair.bulk(BULK_SEGMENTS),
            Scenario::Churn => pair.churn(1),
            Scenario::Calls => {}
        }
    }
}

/// Counts, and compares with the file or writes it.
pub(crate) fn check(options: &Options) -> Result<()> {
    let mut now = BTreeMap::new();
    for figure in &FIGURES {
        now.insert(figure.name.to_owned(), count(figure)?);
    }
    let compiler = compiler()?;
    let path = &options.file;
    if options.update {
        std::fs::write(path, text(&compiler, &now))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", text(&compiler, &now));
        return Ok(());
    }
    let (bound_by, bounds) = read(path)?;
    let same_compiler = bound_by == compiler;
    if !same_compiler {
        println!("************************************************************************");
        println!("The bounds in {} are those of", path.display());
        println!("    {bound_by}");
        println!("and this is");
        println!("    {compiler}");
        println!("Another compiler makes other instructions: what differs may not be yours.");
        println!("************************************************************************");
    }
    let mut exceeded = 0;
    for (name, count) in &now {
        let bound = bounds.get(name).copied();
        let verdict = match bound {
            None => "has no bound",
            Some(bound) if count * 100 > bound * 105 => "MORE THAN 5 % ABOVE ITS BOUND",
            Some(bound) if count * 100 < bound * 95 => "better by more than 5 %: lower the bound",
            Some(_) => "as it was",
        };
        exceeded += usize::from(bound.is_none_or(|bound| count * 100 > bound * 105));
        println!("{count:>6} (bound {:>6}) {name}: {verdict}", bound.unwrap_or(0));
    }
    let verdict = if exceeded == 0 { "ok." } else { "FAILED." };
    // As cargo says it, so that scripts/test can add it up.
    println!(
        "test result: {verdict} {} passed; {exceeded} failed",
        now.len() - exceeded
    );
    ensure!(
        exceeded == 0,
        "{exceeded} counts of instructions are above their bounds{}; if they have to be, run `bench/instructions --update`",
        if same_compiler {
            ""
        } else {
            ", made with another compiler"
        }
    );
    Ok(())
}

/// Instructions each time: the difference between many rounds and half of them, so that the beginning does not count.
fn count(figure: &Figure) -> Result<u64> {
    const ROUNDS: u32 = 512;
    let short = callgrind(figure, ROUNDS)?;
    let long = callgrind(figure, 2 * ROUNDS)?;
    let times = u64::from(ROUNDS * figure.per_round);
    Ok((long.saturating_sub(short) + times / 2) / times)
}

fn callgrind(figure: &Figure, rounds: u32) -> Result<u64> {
    let name = format!("{:?}", figure.scenario).to_lowercase();
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={}", figure.function));
    if figure.function.contains("sends") {
        // Entered from a counted function this switches counting off, and on again at its end; from another it would switch
        // it on.
        valgrind.arg("--toggle-collect=*Port*commit_tx*");
    }
    let output = valgrind
        .arg(std::env::current_exe()?)
        .args(["perform", &name, &rounds.to_string()])
        .output()
        .context("cannot run valgrind; scripts/deps test installs it")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let Some((_, counts)) = collected.filter(|_| output.status.success()) else {
        bail!("callgrind failed: {text}");
    };
    let count: u64 = counts
        .trim()
        .parse()
        .with_context(|| format!("no count: {counts}"))?;
    ensure!(
        count > 0,
        "callgrind has seen no function like {}",
        figure.function
    );
    Ok(count)
}

fn compiler() -> Result<String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .context("cannot run rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn text(compiler: &str, counts: &BTreeMap<String, u64>) -> String {
    let mut text =
        String::from("# Instructions, counted by callgrind. Written by `bench/instructions --update`.\n");
    let _ = writeln!(text, "compiler: {compiler}");
    for (name, count) in counts {
        let _ = writeln!(text, "{count:>6} {name}");
    }
    text
}

fn read(path: &Path) -> Result<(String, BTreeMap<String, u64>)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut compiler = String::new();
    let mut bounds = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("compiler: ") {
            compiler = name.to_owned();
        } else if let Some((count, name)) = line.trim().split_once(' ') {
            let count = count
                .parse()
                .with_context(|| format!("{}: {line}", path.display()))?;
            bounds.insert(name.to_owned(), count);
        }
    }
    Ok((compiler, bounds))
}
