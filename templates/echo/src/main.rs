//! Sends back what it receives, over TCP and UDP.

mod server;

#[cfg(test)]
mod tests;

use server::Echo;
use std::process::ExitCode;

// ANCHOR: main
fn main() -> ExitCode {
    // A handler for each core that there is.
    match libix::run_on(libix::cores(), |_core| Echo) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
// ANCHOR_END: main
