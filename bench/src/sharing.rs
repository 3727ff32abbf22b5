//! What goes from core to core per request: lines of the cache that one writes and another reads or writes, by whose they
//! are. A plugin sees each access of each CPU, by physical address; so the figures are counts, whatever else the machine
//! does, though how much comes in a batch depends on that.

use crate::guest::{Guest, Images};
use crate::load::{self, float, seconds};
use crate::machine::Machine;
use crate::measure::Case;
use crate::netns::{Namespace, Queues};
use crate::report::thousands;
use crate::server::Server;
use crate::source;
use anyhow::Result;
use ixion_tests::{Moved, Sharing};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `sharing`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    images: Images,
    /// Which loads, such as tcp:100,get:100.
    #[arg(long, value_delimiter = ',', default_values = ["tcp:100", "get:100"])]
    cases: Vec<Case>,
    /// How many cores.
    #[arg(long, value_delimiter = ',', default_values = ["2", "4"])]
    cores: Vec<usize>,
    /// Seconds of each load.
    #[arg(long, default_value = "3", value_parser = seconds)]
    window: Duration,
    /// A second of each load on two cores.
    #[arg(long)]
    quick: bool,
    /// Lines of what is shared, of each load.
    #[arg(long, default_value_t = 12)]
    top: usize,
    /// Put the tables into this file, between its markers.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What goes between cores below this, per request, is shown in sum only.
const NOTABLE: f64 = 0.0005;

/// Guest memory that the launcher and the kernel share.
const HOST_AREA: std::ops::Range<u64> = 0x00f0_0000..0x0100_0000;

/// Lines that the same instructions move.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Group {
    region: String,
    writer: String,
    mover: String,
}

/// Of one load on one machine.
struct Found {
    cores: usize,
    queues: Queues,
    case: Case,
    requests: u64,
    lines: usize,
    moves: u64,
    /// Moves and lines of each.
    groups: Vec<(Group, u64, usize)>,
}

/// Measures, prints and writes.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (window, cores) = if options.quick {
        (Duration::from_secs(1), &[2][..])
    } else {
        (options.window, &options.cores[..])
    };
    let mut all = Vec::new();
    for queues in [Queues::PerCpu, Queues::One] {
        let namespace = Namespace::with(queues)?;
        for &cores in cores {
            for &case in &options.cases {
                eprintln!("{cores} cores, {}, {case}", title(queues));
                all.push(watch(options, &namespace, cores, case, window)?);
            }
        }
    }
    crate::report::put(
        "sharing",
        &tables(&all, options.top, window),
        options.write.as_deref(),
    )
}

fn title(queues: Queues) -> &'static str {
    match queues {
        Queues::PerCpu => "a queue for each",
        Queues::One => "one queue for all",
    }
}

fn watch(
    options: &Options,
    namespace: &Namespace,
    cores: usize,
    case: Case,
    window: Duration,
) -> Result<Found> {
    let file = options.images.images.join("lines");
    let images = Images {
        cpus: cores,
        plugin: Some(("sharing", file.clone())),
        ..options.images.clone()
    };
    let server = Server {
        guest: Guest::Ixion,
        service: case.service(),
    };
    let _running = images.boot(&[server], namespace, None)?;
    let sharing = Sharing::open(&file)?;
    let load = case.load(server.address(), window);
    let mut has_begun = false;
    let (outcome, _, moved) = namespace.run(|| {
        load::run(&load, || {
            if std::mem::replace(&mut has_begun, true) {
                return sharing.end();
            }
            sharing.begin()?;
            Ok(Vec::new())
        })
    })?;
    Ok(Found {
        cores,
        queues: namespace.queues,
        case,
        requests: outcome.answered.max(1),
        lines: moved.len(),
        moves: moved.iter().map(|line| u64::from(line.moves)).sum(),
        groups: groups(&images, server, &moved)?,
    })
}

/// Puts together what the same functions do to memory of the same kind; most moves first.
fn groups(images: &Images, server: Server, moved: &[Moved]) -> Result<Vec<(Group, u64, usize)>> {
    let symbols = images.symbols(server)?;
    let pcs: Vec<u64> = moved.iter().flat_map(|line| [line.writer, line.mover]).collect();
    let (kernel, app): (Vec<u64>, Vec<u64>) = pcs.iter().partition(|&&pc| pc >> 63 == 1);
    let mut places = source::places(&images.kernel(), 0, &kernel)?;
    if let Some((file, base)) = images.loaded_app(server) {
        let named = source::places(&file, base, &app)?;
        places.extend(
            named
                .into_iter()
                .map(|(pc, place)| (pc, format!("ring 3: {place}"))),
        );
    }
    let place = |pc: u64| places.get(&pc).cloned().unwrap_or_else(|| "?".to_owned());
    let mut groups: HashMap<Group, (u64, usize)> = HashMap::new();
    for line in moved {
        let region = if HOST_AREA.contains(&line.physical) {
            "launcher's page".to_owned()
        } else if let Some(name) = symbols.object(line.address) {
            name.to_owned()
        } else {
            region(line.address).to_owned()
        };
        let group = Group {
            region,
            writer: place(line.writer),
            mover: place(line.mover),
        };
        let (moves, lines) = groups.entry(group).or_default();
        *moves += u64::from(line.moves);
        *lines += 1;
    }
    let mut groups: Vec<_> = groups
        .into_iter()
        .map(|(group, (moves, lines))| (group, moves, lines))
        .collect();
    groups.sort_by_key(|(_, moves, _)| std::cmp::Reverse(*moves));
    Ok(groups)
}

/// What a virtual address is part of (`ix_abi::app::layout`, and the kernel's own map).
fn region(address: u64) -> &'static str {
    match address >> 44 {
        0x1 => "app's memory",
        0x2 => "packet buffers",
        0x3 => "arrays of run_io",
        0xffff8 => "kernel's memory",
        0xffffa => "kernel's stacks",
        _ => "elsewhere",
    }
}

fn tables(all: &[Found], top: usize, window: Duration) -> String {
    let machine = Machine::here();
    let mut text = format!(
        "{machine}\nWindows of {} s. `{}`\n\n| cores, load | card | requests | lines that moved | moves per request |\n\
         |---|---|---:|---:|---:|\n",
        window.as_secs_f64(),
        machine.command
    );
    for found in all {
        let _ = writeln!(
            text,
            "| {}, {} | {} | {} | {} | **{:.3}** |",
            found.cores,
            found.case,
            title(found.queues),
            thousands(float(found.requests)),
            found.lines,
            float(found.moves) / float(found.requests)
        );
    }
    for found in all {
        let _ = writeln!(
            text,
            "\n| {} cores, {}, {}: what moves | written by | comes for | lines | moves per request |\n|---|---|---|---:|---:|",
            found.cores,
            found.case,
            title(found.queues)
        );
        let each = |moves: u64| float(moves) / float(found.requests);
        let notable = found.groups.iter().take(top);
        let mut rest = found.moves;
        for (group, moves, lines) in notable.take_while(|(_, moves, _)| each(*moves) >= NOTABLE) {
            rest -= moves;
            let Group {
                region,
                writer,
                mover,
            } = group;
            let _ = writeln!(
                text,
                "| {region} | {writer} | {mover} | {lines} | {:.3} |",
                each(*moves)
            );
        }
        let _ = writeln!(text, "| all else | | | | {:.3} |", each(rest));
    }
    text
}
