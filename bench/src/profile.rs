//! Where a guest's instructions go, by function.

use crate::counts::Counts;
use crate::guest::{Guest, Images};
use crate::load::{float, seconds};
use crate::measure::{Case, Instructions, idle};
use crate::netns::Namespace;
use crate::server::Server;
use crate::symbols::Symbols;
use anyhow::Result;
use std::collections::HashMap;
use std::time::Duration;

/// Options of `profile`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    images: Images,
    /// Which guest.
    #[arg(long, value_enum, default_value = "ixion")]
    guest: Guest,
    /// Under which load.
    #[arg(long, default_value = "tcp:16")]
    case: Case,
    /// Seconds of it.
    #[arg(long, default_value = "2", value_parser = seconds)]
    window: Duration,
    /// Lines to print.
    #[arg(long, default_value_t = 50)]
    top: usize,
}

/// Prints instructions per request by function, most first: of work, and of looks for work that found none.
pub(crate) fn run(options: &Options) -> Result<()> {
    let namespace = Namespace::create()?;
    let images = &options.images;
    let file = images.images.join("counts");
    let server = Server {
        guest: options.guest,
        service: options.case.service(),
    };
    let _running = images.boot(&[server], &namespace, Some(&file))?;
    let symbols = images.symbols(server)?;
    let at_rest = idle(&file)?;
    let (ran, requests) = options
        .case
        .count(server.address(), &namespace, &file, options.window)?;
    println!(
        "{}, {}: {requests} requests; instructions of each: {}",
        options.guest.title(),
        options.case,
        Instructions::of_each(&ran, requests),
    );
    let mut sorted: Vec<_> = by_function(&ran, &at_rest, &symbols, requests)
        .into_iter()
        .collect();
    sorted.sort_by(|(_, a), (_, b)| b.work.total_cmp(&a.work));
    println!("    work      idle");
    for (name, Spent { work, idle }) in sorted.into_iter().take(options.top) {
        println!("{work:8.1}  {idle:8.1}  {name}");
    }
    Ok(())
}

/// Instructions of a function per request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// For requests.
    pub(crate) work: f64,
    /// Looking for some, in vain.
    pub(crate) idle: f64,
}

/// Where instructions of requests went. How the idle ones spread over functions is seen at rest.
pub(crate) fn by_function(
    ran: &Counts,
    at_rest: &Counts,
    symbols: &Symbols,
    requests: u64,
) -> HashMap<String, Spent> {
    let each = |count| float(count) / float(requests);
    let mut functions: HashMap<String, Spent> = HashMap::new();
    for (ran, at_rest) in ran.cpus().iter().zip(at_rest.cpus()) {
        let scale = float(ran.idle) / float(at_rest.idle.max(1));
        for (pc, instructions) in ran.instructions() {
            functions.entry(symbols.name(pc).to_owned()).or_default().work += each(instructions);
        }
        for (pc, instructions) in at_rest.instructions() {
            let idle = each(instructions) * scale;
            let spent = functions.entry(symbols.name(pc).to_owned()).or_default();
            spent.work -= idle;
            spent.idle += idle;
        }
    }
    functions
}
