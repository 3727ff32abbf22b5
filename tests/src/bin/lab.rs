//! `make lab`: a shell in the lab that the end-to-end tests use. With arguments, one command in it instead:
//!
//!     lab [--put FILE]... COMMAND [ARGUMENT]...
//!
//! Files are put into the lab's `/tmp`.

use anyhow::{Context, Result};
use ixion_tests::lab;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        lab::interactive()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let lab = lab::enter();
    while let ["--put", file, ..] = words[..] {
        let name = Path::new(file).file_name().context("a file has a name")?;
        let contents = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
        lab.put(&format!("/tmp/{}", name.to_string_lossy()), &contents);
        words.drain(..2);
    }
    let ended = lab.start(&words).finish_within(Duration::MAX);
    print!("{}", ended.stdout);
    eprint!("{}", ended.stderr);
    Ok(u8::try_from(ended.code).map_or(ExitCode::FAILURE, ExitCode::from))
}
