//! The command line of the load generator.

use anyhow::{Result, anyhow, bail};
use clap::{Parser, ValueEnum};
use load::client::{Load, Settings};
use load::report::Format;
use load::sweep::Plan;
use load::workload::{Mix, Workload};
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Messages that come back.
    Echo,
    /// memcached, Facebook's ETC mix.
    Etc,
    /// memcached, Facebook's USR mix.
    Usr,
    /// HTTP GETs.
    Http,
}

/// Offers load to a server, a rate after another, and tells throughput and latency. Requests are sent when they are due,
/// not when the server is ready, and latency counts from then.
#[derive(Parser)]
struct Options {
    /// The server.
    #[arg(value_name = "ADDRESS:PORT")]
    server: SocketAddr,

    /// What to ask for.
    #[arg(long, value_enum, default_value = "echo")]
    workload: Kind,

    /// Offered loads, in requests per second.
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    rates: Vec<f64>,

    /// Connections.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,

    /// Time of each rate that counts, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,

    /// Time before that, in seconds.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,

    /// Length of echo's messages, in bytes.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    size: u32,

    /// Path of the HTTP requests.
    #[arg(long, default_value = "/")]
    path: String,

    /// Records stored in memcached before it begins.
    #[arg(long, default_value_t = 10_000)]
    records: u32,

    /// Of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How the result is written to standard output.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    /// No line on standard error each second.
    #[arg(long)]
    quiet: bool,
}

/// A duration from the command line.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn nanoseconds(seconds: f64) -> Result<u64> {
    if !(0.0..=86_400.0).contains(&seconds) {
        bail!("{seconds} seconds: not between none and a day");
    }
    Ok((seconds * 1e9) as u64)
}

fn settings(options: Options) -> Result<Settings> {
    if let Some(rate) = options.rates.iter().find(|rate| !(0.1..=1e8).contains(*rate)) {
        bail!("{rate} requests per second cannot be offered");
    }
    if options.path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        bail!("the path must be encoded");
    }
    let workload = match options.workload {
        Kind::Echo => Workload::echo(options.size as usize),
        Kind::Etc => Workload::memcached(Mix::Etc, options.records, options.seed),
        Kind::Usr => Workload::memcached(Mix::Usr, options.records, options.seed),
        Kind::Http => Workload::web(&options.server.to_string(), &options.path),
    };
    let name = options.workload.to_possible_value();
    Ok(Settings {
        server: options.server,
        connections: options.connections.into(),
        workload,
        name: name.map(|name| name.get_name().to_owned()).unwrap_or_default(),
        plan: Plan {
            rates: options.rates,
            warm_up_ns: nanoseconds(options.warm_up)?,
            measure_ns: nanoseconds(options.seconds)?.max(1_000_000),
            drain_ns: 2_000_000_000,
        },
        seed: options.seed,
        live: !options.quiet,
    })
}

fn run() -> Result<()> {
    let options = Options::parse();
    let format = options.format;
    let mut load = Load::new(settings(options)?);
    libix::run(&mut load)?;
    let report = load.report().map_err(|why| anyhow!(why))?;
    print!("{}", report.write(format));
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
