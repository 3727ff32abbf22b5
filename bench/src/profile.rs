//! Where a guest's instructions go, by function.

use crate::guest::{Guest, Images};
use crate::load::{float, seconds};
use crate::measure::{Case, Instructions, idle};
use crate::netns::Namespace;
use crate::server::Server;
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
    let each = |count| float(count) / float(requests);
    println!(
        "{}, {}: {requests} requests; instructions of each: {}",
        options.guest.title(),
        options.case,
        Instructions::of_each(&ran, requests),
    );
    // How the idle ones spread over functions is seen at rest.
    let scale = float(ran.split().idle) / float(at_rest.split().idle.max(1));
    let mut by_function: HashMap<&str, (f64, f64)> = HashMap::new();
    for (pc, instructions) in ran.instructions() {
        by_function.entry(symbols.name(pc)).or_default().0 += each(instructions);
    }
    for (pc, instructions) in at_rest.instructions() {
        let idle = each(instructions) * scale;
        let (work, looking) = by_function.entry(symbols.name(pc)).or_default();
        *work -= idle;
        *looking += idle;
    }
    let mut sorted: Vec<_> = by_function.into_iter().collect();
    sorted.sort_by(|(_, (a, _)), (_, (b, _))| b.total_cmp(a));
    println!("    work      idle");
    for (name, (work, idle)) in sorted.into_iter().take(options.top) {
        println!("{work:8.1}  {idle:8.1}  {name}");
    }
    Ok(())
}
