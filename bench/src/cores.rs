//! The same load on one, two and four cores: requests per second, and instructions per request, which say what cores cost
//! each other where the host has not so many: beside a Linux guest of as many CPUs.

use crate::guest::{Guest, Images};
use crate::load::{Kind, seconds};
use crate::machine::Machine;
use crate::measure::{Case, Instructions, idle};
use crate::netns::{Namespace, Queues};
use crate::profile::{Spent, by_function};
use crate::report::thousands;
use crate::server::Server;
use anyhow::Result;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `cores`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    images: Images,
    /// Seconds of a load.
    #[arg(long, default_value = "2", value_parser = seconds)]
    window: Duration,
    /// How often each is measured, guests in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One round of a second, echo only.
    #[arg(long)]
    quick: bool,
    /// Functions to print whose instructions change most with cores.
    #[arg(long, default_value_t = 12)]
    top: usize,
    /// Put the tables into this file, between its markers.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

const CASES: [Case; 2] = [
    Case {
        kind: Kind::Tcp,
        connections: 100,
    },
    Case {
        kind: Kind::Get,
        connections: 100,
    },
];

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Layout {
    guest: Guest,
    cpus: usize,
    queues: Queues,
}

const fn layout(guest: Guest, cpus: usize, queues: Queues) -> Layout {
    Layout { guest, cpus, queues }
}

/// Rows of the table. One CPU has one queue.
const LAYOUTS: [Layout; 8] = [
    layout(Guest::LinuxTuned, 1, Queues::One),
    layout(Guest::LinuxTuned, 2, Queues::PerCpu),
    layout(Guest::LinuxTuned, 4, Queues::PerCpu),
    layout(Guest::Ixion, 1, Queues::One),
    layout(Guest::Ixion, 2, Queues::PerCpu),
    layout(Guest::Ixion, 4, Queues::PerCpu),
    layout(Guest::Ixion, 2, Queues::One),
    layout(Guest::Ixion, 4, Queues::One),
];

/// Those whose functions are compared: the first with each of the others.
const COMPARED: [Layout; 3] = [LAYOUTS[3], LAYOUTS[5], LAYOUTS[7]];

#[derive(Default)]
struct Results {
    rates: HashMap<(Layout, Case), Vec<f64>>,
    instructions: HashMap<(Layout, Case), Instructions>,
    functions: HashMap<(Layout, Case), HashMap<String, Spent>>,
}

/// Measures, prints and writes.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (window, rounds, cases) = if options.quick {
        (Duration::from_secs(1), 1, &CASES[..1])
    } else {
        (options.window, options.rounds, &CASES[..])
    };
    let (one, per_cpu) = (Namespace::create()?, Namespace::with(Queues::PerCpu)?);
    let mut results = Results::default();
    for round in 0..rounds {
        for layout in LAYOUTS {
            let namespace = match layout.queues {
                Queues::One => &one,
                Queues::PerCpu => &per_cpu,
            };
            for &case in cases {
                eprintln!("round {} of {rounds}: {}, {case}", round + 1, layout.title());
                results.measure(options, namespace, layout, case, window)?;
                if round == 0 {
                    results.count(options, namespace, layout, case, window)?;
                }
            }
        }
    }
    let text = tables(options.top, &results, cases, rounds, window);
    crate::report::put("cores", &text, options.write.as_deref())
}

impl Layout {
    fn title(self) -> String {
        let queues = match self.queues {
            Queues::One if self.cpus > 1 => ", one queue for all",
            Queues::One => "",
            Queues::PerCpu => ", a queue for each",
        };
        format!(
            "{}, {} CPU{}{queues}",
            self.guest.title(),
            self.cpus,
            if self.cpus > 1 { "s" } else { "" }
        )
    }

    fn server(self, case: Case) -> Server {
        Server {
            guest: self.guest,
            service: case.service(),
        }
    }

    fn images(self, options: &Options) -> Images {
        Images {
            cpus: self.cpus,
            ..options.images.clone()
        }
    }
}

impl Results {
    fn measure(
        &mut self,
        options: &Options,
        namespace: &Namespace,
        layout: Layout,
        case: Case,
        window: Duration,
    ) -> Result<()> {
        let server = layout.server(case);
        let running = layout.images(options).boot(&[server], namespace, None)?;
        let measured = case.measure(server.address(), &running, namespace, window)?;
        eprintln!(
            "  {:.0} requests/s, {} failures",
            measured.rate, measured.failures
        );
        self.rates.entry((layout, case)).or_default().push(measured.rate);
        Ok(())
    }

    /// On a machine of its own, since the plugin slows it.
    fn count(
        &mut self,
        options: &Options,
        namespace: &Namespace,
        layout: Layout,
        case: Case,
        window: Duration,
    ) -> Result<()> {
        let (server, images) = (layout.server(case), layout.images(options));
        let file = images.images.join("counts");
        let _running = images.boot(&[server], namespace, Some(&file))?;
        let at_rest = idle(&file)?;
        let (ran, requests) = case.count(server.address(), namespace, &file, window)?;
        let found = Instructions::of_each(&ran, requests);
        eprintln!("  {found}");
        self.instructions.insert((layout, case), found);
        if COMPARED.contains(&layout) {
            let symbols = images.symbols(server)?;
            let functions = by_function(&ran, &at_rest, &symbols, requests);
            self.functions.insert((layout, case), functions);
        }
        Ok(())
    }

    fn rate(&self, layout: Layout, case: Case) -> Option<f64> {
        let mut rates = self.rates.get(&(layout, case))?.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    }
}

fn tables(top: usize, results: &Results, cases: &[Case], rounds: usize, window: Duration) -> String {
    let machine = Machine::here();
    let mut text = format!(
        "{machine}\n64-byte requests, closed loop; medians of {rounds} rounds of {} s, guests in turns. `{}`\n",
        window.as_secs_f64(),
        machine.command
    );
    for &case in cases {
        let _ = writeln!(
            text,
            "\n| {case} | requests/s | instructions per request: kernel + app |\n|---|---:|---:|"
        );
        for layout in LAYOUTS {
            let rate = results.rate(layout, case).map_or("-".to_owned(), thousands);
            let count = results
                .instructions
                .get(&(layout, case))
                .map_or("-".to_owned(), |found| {
                    let sum = thousands(found.kernel + found.app);
                    format!("{sum} = {:.0} + {:.0}", found.kernel, found.app)
                });
            let _ = writeln!(text, "| {} | {rate} | {count} |", layout.title());
        }
        text += &functions(top, results, case);
    }
    text
}

/// Those whose instructions differ most between the machines compared.
fn functions(top: usize, results: &Results, case: Case) -> String {
    let found = COMPARED.map(|layout| results.functions.get(&(layout, case)));
    let names: BTreeSet<&String> = found
        .iter()
        .flatten()
        .flat_map(|functions| functions.keys())
        .collect();
    let work = |name: &String| {
        found.map(|functions| {
            functions
                .and_then(|functions| functions.get(name))
                .map_or(0.0, |spent| spent.work)
        })
    };
    let differs = |[first, others @ ..]: [f64; 3]| {
        let differences = others.into_iter().map(|other| (other - first).abs());
        differences.fold(0.0, f64::max)
    };
    let mut rows: Vec<_> = names.into_iter().map(|name| (name, work(name))).collect();
    rows.sort_by(|(_, a), (_, b)| differs(*b).total_cmp(&differs(*a)));
    let mut text = format!("\n| {case}: instructions per request |");
    for layout in COMPARED {
        let _ = write!(text, " {} |", layout.title());
    }
    text += "\n|---|---:|---:|---:|\n";
    for (name, [a, b, c]) in rows.into_iter().take(top) {
        let _ = writeln!(text, "| `{}` | {a:.0} | {b:.0} | {c:.0} |", shortened(name));
    }
    text
}

/// Without the crates' names and the card's type.
fn shortened(name: &str) -> String {
    name.replace("dataplane_kernel::", "").replace("netstack::", "")
}
