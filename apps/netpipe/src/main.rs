//! The command line of the ping-pong.

use clap::{Parser, Subcommand};
use libix::Handler;
use netpipe::client::Client;
use netpipe::message::MAX_BYTES;
use netpipe::responder::Responder;
use netpipe::schedule::sizes;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// Measures latency and goodput over message size, after NetPIPE.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand)]
enum Side {
    /// Send messages back.
    Respond {
        /// TCP port.
        #[arg(long, default_value_t = 5002)]
        port: u16,
    },
    /// Measure, and write CSV to standard output.
    Measure {
        /// The responder.
        #[arg(value_name = "ADDRESS:PORT")]
        responder: SocketAddr,

        /// Smallest message, in bytes.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BYTES)))]
        from: u32,

        /// Largest message, in bytes.
        #[arg(long, default_value_t = 8 << 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BYTES)))]
        to: u32,

        /// Distance of each size's neighbours, in bytes; 0: none.
        #[arg(long, default_value_t = 3)]
        perturbation: u32,

        /// Time for each size, in milliseconds.
        #[arg(long, default_value_t = 250)]
        time_ms: u32,
    },
}

fn run<H: Handler>(handler: &mut H) -> Result<(), String> {
    libix::run(handler).map_err(|error| error.to_string())
}

fn measure(mut client: Client) -> Result<(), String> {
    run(&mut client)?;
    match client.failure() {
        Some(failure) => Err(failure.to_owned()),
        None => Ok(()),
    }
}

fn main() -> ExitCode {
    let result = match Options::parse().side {
        Side::Respond { port } => run(&mut Responder::new(port)),
        Side::Measure { from, to, .. } if from > to => Err(format!("no size is from {from} to {to}")),
        Side::Measure {
            responder,
            from,
            to,
            perturbation,
            time_ms,
        } => measure(Client::new(
            responder,
            sizes(from, to, perturbation),
            Duration::from_millis(time_ms.into()),
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("netpipe: {error}");
            ExitCode::FAILURE
        }
    }
}
