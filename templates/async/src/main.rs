//! Says of each line how many words it has.

mod lines;

mod server;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

// ANCHOR: main
fn main() -> ExitCode {
    match libix::task::run(server::serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
// ANCHOR_END: main
