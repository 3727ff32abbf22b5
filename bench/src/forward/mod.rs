//! Forwarding: frames and packets a second through a machine with two cards, by Ixion's `forward` and by Linux' own bridge and
//! router, on the same emulated machine.

/// Its two networks, and the machine between them.
mod between;

/// Packets through it.
mod stream;

use crate::counts::Counts;
use crate::guest::{Guest, Images};
use crate::load::{float, seconds};
use crate::machine::Machine;
use anyhow::Result;
use between::{Between, Role};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use stream::Stream;

/// Options of `forward`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    images: Images,
    /// Seconds of a measurement.
    #[arg(long, default_value = "3", value_parser = seconds)]
    window: Duration,
    /// How often each is measured, guests in turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// One round of a second.
    #[arg(long)]
    quick: bool,
    /// Puts the table into this file, between its marks.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Payloads of UDP that make the shortest frame there is, of 64 bytes with its FCS, and a packet as long as an Ethernet carries.
const PAYLOADS: [(&str, usize); 2] = [("64-byte frames", 18), ("1500-byte packets", 1472)];

const GUESTS: [Guest; 2] = [Guest::LinuxTuned, Guest::Ixion];

/// What was found of a guest in a role, for each length.
#[derive(Clone, Debug, Default)]
struct Found {
    rates: [Vec<f64>; 2],
    instructions: [f64; 2],
}

/// Measures, prints and writes.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (window, rounds) = if options.quick {
        (Duration::from_secs(1), 1)
    } else {
        (options.window, options.rounds)
    };
    let between = Between::create()?;
    let mut found = Role::ALL.map(|_| GUESTS.map(|_| Found::default()));
    for round in 0..rounds {
        for (role, found) in Role::ALL.into_iter().zip(&mut found) {
            for (guest, found) in GUESTS.into_iter().zip(found) {
                eprintln!(
                    "round {} of {rounds}: {} as {}",
                    round + 1,
                    guest.title(),
                    role.name()
                );
                measure(&between, (guest, role), &options.images, window, found)?;
                if round == 0 {
                    found.instructions = count(&between, (guest, role), &options.images, window)?;
                }
            }
        }
    }
    crate::report::put(
        "forward",
        &table(&found, rounds, window),
        options.write.as_deref(),
    )
}

fn measure(
    between: &Between,
    (guest, role): (Guest, Role),
    images: &Images,
    window: Duration,
    found: &mut Found,
) -> Result<()> {
    let _running = between.boot(guest, role, images, None)?;
    for ((_, payload), rates) in PAYLOADS.into_iter().zip(&mut found.rates) {
        let stream = Stream::new(between, role, payload)?;
        let flow = between.near.run(|| stream.run(window, || Ok(())))?;
        rates.push(float(flow.arrived) / flow.took.as_secs_f64());
    }
    Ok(())
}

/// Instructions for each packet, counted on a machine of its own.
fn count(
    between: &Between,
    (guest, role): (Guest, Role),
    images: &Images,
    window: Duration,
) -> Result<[f64; 2]> {
    let file = images.images.join("counts");
    let _running = between.boot(guest, role, images, Some(&file))?;
    let mut instructions = [0.0; 2];
    for ((_, payload), each) in PAYLOADS.into_iter().zip(&mut instructions) {
        let stream = Stream::new(between, role, payload)?;
        let flow = between.near.run(|| stream.run(window, || Counts::read(&file)))?;
        let split = flow.after.since(&flow.before).split();
        *each = float(split.kernel + split.app) / float(flow.arrived.max(1));
    }
    Ok(instructions)
}

fn table(found: &[[Found; 2]; 2], rounds: usize, window: Duration) -> String {
    let machine = Machine::here();
    let mut text = format!(
        "{machine}\nOne flow; medians of {rounds} rounds of {} s, guests in turns. `{}`\n\n",
        window.as_secs(),
        machine.command
    );
    text += "| | Linux, packets/s | Ixion, packets/s | Ixion : Linux | Linux, instructions per packet | Ixion |\n";
    text += "|---|---:|---:|---:|---:|---:|\n";
    for (role, [linux, ixion]) in Role::ALL.into_iter().zip(found) {
        for (at, (length, _)) in PAYLOADS.into_iter().enumerate() {
            let (ours, theirs) = (median(&ixion.rates[at]), median(&linux.rates[at]));
            let _ = writeln!(
                text,
                "| {}, {length} | {theirs:.0} | {ours:.0} | **{:.1}** | {:.0} | {:.0} |",
                role.name(),
                ours / theirs,
                linux.instructions[at],
                ixion.instructions[at]
            );
        }
    }
    text
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
