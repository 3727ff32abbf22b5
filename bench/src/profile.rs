//! Where a guest's instructions go, by function.

use crate::guest::{Guest, Images};
use crate::load::{float, seconds};
use crate::measure::{Case, idle_turn};
use crate::netns::Namespace;
use crate::symbols::{Owner, Symbols};
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
    /// Address that ring 3's ELF file is loaded at, hexadecimal; without it ring 3 is one line.
    #[arg(long, value_parser = hexadecimal)]
    app_base: Option<u64>,
}

fn hexadecimal(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
}

/// Prints instructions per request by function, most first.
pub(crate) fn run(options: &Options) -> Result<()> {
    let namespace = Namespace::create()?;
    let images = &options.images;
    let file = images.images.join("counts");
    let kernel = images.symbols(options.guest)?;
    let app = match options.app_base {
        Some(base) => Symbols::read(&images.release.join("echo"), base, None)?,
        None => Symbols::default(),
    };
    let _running = images.boot(options.guest, &namespace, Some(&file))?;
    let turn = idle_turn(&file, &kernel)?;
    let (ran, requests) = options.case.count(&namespace, &file, options.window)?;
    let split = ran.split(&kernel, turn);
    let each = |count| float(count) / float(requests);
    println!(
        "{}, {}: {requests} requests; instructions of each: kernel {:.0}, app {:.0}, idle {:.0} (a turn: {turn})",
        options.guest.title(),
        options.case,
        each(split.kernel),
        each(split.app),
        each(split.idle)
    );
    let mut by_function: HashMap<&str, u64> = HashMap::new();
    for (pc, instructions) in ran.instructions() {
        let name = match kernel.owner(pc) {
            Owner::Kernel => kernel.function(pc).unwrap_or("[kernel]"),
            Owner::App => app.function(pc).unwrap_or("[app]"),
        };
        *by_function.entry(name).or_default() += instructions;
    }
    let mut sorted: Vec<_> = by_function.into_iter().collect();
    sorted.sort_by_key(|&(_, instructions)| std::cmp::Reverse(instructions));
    for (name, instructions) in sorted.into_iter().take(options.top) {
        println!("{:8.1}  {name}", each(instructions));
    }
    Ok(())
}
