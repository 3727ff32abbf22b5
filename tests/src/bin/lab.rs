//! `make lab`: a shell in the lab that the end-to-end tests use; or, with arguments, one command in it.

use ixion_tests::lab;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        lab::interactive()?;
        return Ok(ExitCode::SUCCESS);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = lab::enter().run(&words);
    print!("{}", ended.stdout);
    eprint!("{}", ended.stderr);
    Ok(u8::try_from(ended.code).map_or(ExitCode::FAILURE, ExitCode::from))
}
