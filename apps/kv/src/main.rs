//! A memcached server on Ixion.
#![forbid(unsafe_code)]

use clap::Parser;
use kv::options::Options;
use kv::server::Server;
use kv::shard::Shard;
use kv::store::Clock;
use std::process::ExitCode;
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
    let shard = Shard::alone(options.settings()?, Clock::starting_at(unix_time));
    libix::run(&mut Server::new(shard)).map_err(|error| error.to_string())
}
