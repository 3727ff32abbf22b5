//! Keeps values under keys.

mod server;

mod store;

#[cfg(test)]
mod tests;

use server::Server;
use std::process::ExitCode;
use std::sync::Arc;
use store::Store;

// ANCHOR: main
fn main() -> ExitCode {
    let store = Arc::new(Store::default());
    // Each core has connections of its own; what they share is what they are given here.
    match libix::run_on(libix::cores(), |_core| Server::new(Arc::clone(&store))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
// ANCHOR_END: main
