//! All guests under all loads, in turns, so that what the machine does besides falls on all alike.

use crate::guest::{Guest, Images};
use crate::load::{Kind, seconds};
use crate::measure::{Case, Instructions, Measured};
use crate::netns::Namespace;
use crate::server::{Server, Service};
use anyhow::Result;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

/// Options of `compare`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) images: Images,
    /// Two minutes: one round, short windows, no default Linux.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Which guests.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) guests: Vec<Guest>,
    /// Which loads, such as tcp:16,udp:16,connect:16.
    #[arg(long, value_delimiter = ',')]
    pub(crate) cases: Vec<Case>,
    /// Rounds; the tables show medians [default: 3].
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Seconds measured of each load [default: 2].
    #[arg(long, value_parser = seconds)]
    pub(crate) window: Option<Duration>,
    /// Leave out the count of instructions.
    #[arg(long)]
    pub(crate) no_count: bool,
    /// Put the tables into this file, between its markers.
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

/// What was found.
pub(crate) struct Results {
    /// Columns.
    pub(crate) guests: Vec<Guest>,
    /// Rows.
    pub(crate) cases: Vec<Case>,
    /// How many times each was measured.
    pub(crate) rounds: usize,
    /// How long each time.
    pub(crate) window: Duration,
    /// Each round's result.
    pub(crate) measured: HashMap<(Guest, Case), Vec<Measured>>,
    /// Counted once: it hardly varies.
    pub(crate) instructions: HashMap<(Guest, Case), Instructions>,
}

impl Options {
    fn guests(&self) -> Vec<Guest> {
        use Guest::{Ixion, LinuxDefault, LinuxSpin, LinuxTuned, Reflector};
        match (self.guests.as_slice(), self.quick) {
            ([], true) => vec![LinuxTuned, LinuxSpin, Ixion, Reflector],
            ([], false) => vec![LinuxTuned, LinuxDefault, LinuxSpin, Ixion, Reflector],
            (chosen, _) => chosen.to_vec(),
        }
    }

    fn cases(&self) -> Vec<Case> {
        let standard = || {
            let tcp = [1, 16, 100, 1000].map(|connections| Case {
                kind: Kind::Tcp,
                connections,
            });
            let others = [Kind::Udp, Kind::Connect].map(|kind| Case {
                kind,
                connections: 16,
            });
            tcp.into_iter().chain(others).collect()
        };
        if self.cases.is_empty() {
            standard()
        } else {
            self.cases.clone()
        }
    }
}

/// Measures everything.
pub(crate) fn run(options: &Options) -> Result<Results> {
    let namespace = Namespace::create()?;
    let short = Duration::from_secs(1);
    let mut results = Results {
        guests: options.guests(),
        cases: options.cases(),
        rounds: options.rounds.unwrap_or(if options.quick { 1 } else { 3 }),
        window: options
            .window
            .unwrap_or(if options.quick { short } else { short * 2 }),
        measured: HashMap::new(),
        instructions: HashMap::new(),
    };
    for round in 1..=results.rounds {
        for guest in results.guests.clone() {
            eprintln!("round {round}: {}", guest.title());
            results.measure(guest, options, &namespace)?;
        }
    }
    for guest in results
        .guests
        .clone()
        .into_iter()
        .filter(|guest| guest.is_countable() && !options.no_count)
    {
        eprintln!("instructions: {}", guest.title());
        results.count(guest, options, &namespace)?;
    }
    Ok(results)
}

impl Results {
    fn measure(&mut self, guest: Guest, options: &Options, namespace: &Namespace) -> Result<()> {
        for service in self.services() {
            let server = Server { guest, service };
            let running = options.images.boot(&[server], namespace, None)?;
            for case in self.cases_of(service) {
                match case.measure(server.address(), &running, namespace, self.window) {
                    Ok(measured) => {
                        eprintln!("  {case}: {:.0}/s, p50 {:.0} us", measured.rate, measured.p50_us);
                        self.measured.entry((guest, case)).or_default().push(measured);
                    }
                    // A hole in the table says it; the other figures are still of use.
                    Err(error) => eprintln!("  {case}: {error:#}"),
                }
            }
        }
        Ok(())
    }

    /// Those that the cases need.
    fn services(&self) -> BTreeSet<Service> {
        self.cases.iter().map(|case| case.service()).collect()
    }

    fn cases_of(&self, service: Service) -> Vec<Case> {
        let cases = self.cases.iter().copied();
        cases.filter(|case| case.service() == service).collect()
    }

    /// Rates under the plugin mean nothing, instructions per request do: at 16 connections, one case of each kind.
    fn count(&mut self, guest: Guest, options: &Options, namespace: &Namespace) -> Result<()> {
        let file = options.images.images.join("counts");
        for service in self.services() {
            let server = Server { guest, service };
            let _running = options.images.boot(&[server], namespace, Some(&file))?;
            for case in self.cases_of(service) {
                if case.connections != 16 {
                    continue;
                }
                let (ran, requests) = case.count(server.address(), namespace, &file, self.window)?;
                let found = Instructions::of_each(&ran, requests);
                eprintln!("  {case}: {found}");
                self.instructions.insert((guest, case), found);
            }
        }
        Ok(())
    }

    /// The median of a figure over the rounds.
    pub(crate) fn median(&self, guest: Guest, case: Case, figure: impl Fn(&Measured) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.measured.get(&(guest, case))?.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}
