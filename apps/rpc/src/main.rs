//! The command line of the calls over UDP.

use clap::{Parser, Subcommand};
use libix::rpc::{Config, Serve};
use rpc::check::check;
use rpc::measure::{Caller, MAX_BYTES, Plan};
use rpc::service::Methods;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// Serves and makes calls over UDP, after eRPC.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand)]
enum Side {
    /// Serve, on all cores.
    Serve {
        /// UDP port.
        #[arg(long, default_value_t = 7100)]
        port: u16,
    },
    /// Call every method and compare each byte.
    Check {
        /// Who serves.
        #[arg(value_name = "ADDRESS:PORT")]
        server: SocketAddr,
    },
    /// Keep calling, and tell how often and how fast that was answered.
    Measure {
        /// Who serves.
        #[arg(value_name = "ADDRESS:PORT")]
        server: SocketAddr,

        /// Bytes of a request, and of its answer.
        #[arg(long, default_value_t = 64, value_parser = size)]
        size: usize,

        /// Sessions.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
        sessions: u16,

        /// Calls under way on each.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
        outstanding: u16,

        /// How long, in milliseconds.
        #[arg(long, default_value_t = 2000)]
        time_ms: u32,
    },
}

fn size(text: &str) -> Result<usize, String> {
    let size = text.parse().map_err(|_| format!("{text} is no size"))?;
    if size > MAX_BYTES {
        return Err(format!("at most {MAX_BYTES}"));
    }
    Ok(size)
}

fn serve(port: u16) -> Result<(), String> {
    println!("rpc: serving on udp port {port}");
    libix::run_on(libix::cores(), |_| {
        Serve::new(port, &Config::default(), Methods::default())
    })
    .map_err(|error| error.to_string())
}

fn check_now(server: SocketAddr) -> Result<(), String> {
    let outcome = Rc::new(RefCell::new(Err("stopped before the end".to_owned())));
    let found = Rc::clone(&outcome);
    let checking = async move {
        let result = check(server).await?;
        *found.borrow_mut() = result;
        Ok(())
    };
    libix::task::run(checking).map_err(|error| error.to_string())?;
    let calls = outcome.replace(Ok(0))?;
    println!("rpc: {calls} calls, all as they should be");
    Ok(())
}

fn measure(plan: Plan) -> Result<(), String> {
    let mut caller = Caller::new(plan);
    libix::run(&mut caller).map_err(|error| error.to_string())?;
    println!("rpc: {}", caller.outcome()?);
    Ok(())
}

fn main() -> ExitCode {
    let result = match Options::parse().side {
        Side::Serve { port } => serve(port),
        Side::Check { server } => check_now(server),
        Side::Measure {
            server,
            size,
            sessions,
            outstanding,
            time_ms,
        } => measure(Plan {
            server,
            size,
            sessions: sessions.into(),
            outstanding: outstanding.into(),
            time: Duration::from_millis(time_ms.into()),
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rpc: {error}");
            ExitCode::FAILURE
        }
    }
}
