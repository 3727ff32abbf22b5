//! A memcached server on Ixion.
#![forbid(unsafe_code)]

use clap::Parser;
use kv::across::Links;
use kv::options::Options;
use kv::server::Server;
use kv::shard::Shard;
use kv::store::{Clock, KeyHasher};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

fn main() -> ExitCode {
    match serve(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kv: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: &Options) -> Result<(), String> {
    let unix_time = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let cores = options.cores();
    let settings = options.settings(cores)?;
    let clock = Clock::starting_at(unix_time);
    let hasher = KeyHasher::new();
    let links = Links::between(cores.into()).into_iter();
    let links: Vec<_> = links.map(|links| Mutex::new(Some(links))).collect();
    let server = |core: u16| {
        let links = &links[usize::from(core)];
        let links = links.lock().unwrap_or_else(PoisonError::into_inner).take();
        let links = links.expect("a core starts once");
        Server::new(Shard::new(settings.clone(), clock, hasher.clone(), links))
    };
    libix::run_on(cores, server).map_err(|error| error.to_string())
}
