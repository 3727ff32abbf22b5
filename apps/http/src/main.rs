//! The command line of the HTTP server.

use anyhow::{Context, Result};
use clap::Parser;
use http_server::server::{Server, Settings};
use http_server::site::{Cache, Loader, Site};
use http_server::{request::Limits, tls};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Serves static files, and JSON under /api/, by HTTP/1.1.
#[derive(Parser)]
struct Options {
    /// TCP port [default: 80, with TLS 443].
    #[arg(long)]
    port: Option<u16>,

    /// Folder to serve, as the app sees it (`ix run --volume HOST:GUEST`).
    #[arg(long, default_value = "/srv")]
    root: PathBuf,

    /// Memory for files, in MiB.
    #[arg(long, default_value_t = 64)]
    cache_mib: usize,

    /// Files above this size are read as they are sent, each time, in KiB.
    #[arg(long, default_value_t = 4_096)]
    cached_file_kib: u32,

    /// How long a file is believed to be unchanged, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    valid_ms: u64,

    /// Most connections at once; more are reset.
    #[arg(long, default_value_t = 10_000)]
    max_connections: usize,

    /// Most requests on one connection.
    #[arg(long, default_value_t = 1_000_000)]
    max_requests: u32,

    /// Memory for what clients have sent and what is made for them, all together, in MiB; who overdraws it is reset.
    #[arg(long, default_value_t = 48)]
    max_held_mib: usize,

    /// Longest request head, in bytes.
    #[arg(long, default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(64..))]
    max_head: u32,

    /// Longest request body, in KiB.
    #[arg(long, default_value_t = 1_024)]
    max_body_kib: u32,

    /// Time for a request's head, in seconds.
    #[arg(long, default_value_t = 10)]
    head_timeout: u32,

    /// Time for a request's body, in seconds.
    #[arg(long, default_value_t = 30)]
    body_timeout: u32,

    /// Time between two requests, in seconds.
    #[arg(long, default_value_t = 60)]
    idle_timeout: u32,

    /// Time for a client to take 16 KiB of what it has asked for, in seconds.
    #[arg(long, default_value_t = 30)]
    send_timeout: u32,

    /// Time for what is under way when the server is stopped, in seconds; keep it below `ix run --grace`.
    #[arg(long, default_value_t = 1)]
    drain_timeout: u32,

    /// Certificate chain, PEM; with it TLS 1.3 is spoken, and nothing else.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Its key, PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.max(1).into())
}

fn mebibytes(count: usize) -> Result<usize> {
    count
        .checked_mul(1 << 20)
        .with_context(|| format!("{count} MiB are too many"))
}

fn server(options: &Options) -> Result<Server> {
    let tls = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::configure(certificate, key)?),
        _ => None,
    };
    let (cache_bytes, held_bytes) = (mebibytes(options.cache_mib)?, mebibytes(options.max_held_mib)?);
    let whole_bytes = u64::from(options.cached_file_kib) << 10;
    let loader = Loader::start(
        &options.root,
        whole_bytes.min(cache_bytes as u64 / 2).min(u64::from(u32::MAX)),
    )
    .with_context(|| format!("cannot serve {}", options.root.display()))?;
    let settings = Settings {
        port: options.port.unwrap_or(if tls.is_some() { 443 } else { 80 }),
        limits: Limits {
            head_bytes: options.max_head as usize,
            body_bytes: (options.max_body_kib as usize) << 10,
        },
        max_connections: options.max_connections,
        max_requests: options.max_requests,
        max_held_bytes: held_bytes,
        head_timeout: seconds(options.head_timeout),
        body_timeout: seconds(options.body_timeout),
        idle_timeout: seconds(options.idle_timeout),
        send_timeout: seconds(options.send_timeout),
        drain_timeout: seconds(options.drain_timeout),
        tls,
    };
    let site = Site::new(Cache::new(cache_bytes, options.valid_ms));
    Ok(Server::new(settings, site, loader))
}

fn run() -> Result<()> {
    libix::run(&mut server(&Options::parse())?)?;
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http: {error:#}");
            ExitCode::FAILURE
        }
    }
}
