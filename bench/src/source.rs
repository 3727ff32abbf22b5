//! Where in the source an instruction comes from, as far as inlining leaves it recognizable: what binutils' `addr2line`
//! makes of line tables.

use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// Paths of these are Rust's own library: who called it says more.
const LIBRARY: &str = "/library/";
/// Addresses of one call of `addr2line`.
const AT_ONCE: usize = 1000;

/// For each address the innermost function that is not of Rust's library, and its file: `publish, spsc.rs`. The addresses are
/// those of the program `file`, loaded at `base`.
pub(crate) fn places(file: &Path, base: u64, addresses: &[u64]) -> Result<HashMap<u64, String>> {
    let mut places = HashMap::new();
    for some in addresses.chunks(AT_ONCE) {
        let words = some.iter().map(|pc| format!("{:#x}", pc.wrapping_sub(base)));
        let output = Command::new("addr2line")
            .args(["--inlines", "--functions", "--demangle", "--addresses", "--exe"])
            .arg(file)
            .args(words)
            .output()
            .context("cannot run addr2line (package binutils)")?;
        ensure!(
            output.status.success(),
            "addr2line cannot read {}",
            file.display()
        );
        let text = String::from_utf8_lossy(&output.stdout);
        // A new address stands alone on its line; the others are pairs.
        let of_each = text.split("\n0x").zip(some);
        places.extend(of_each.map(|(text, &pc)| (pc, place(text))));
    }
    Ok(places)
}

/// Of the frames of an address, innermost first, two lines each behind a first one.
fn place(text: &str) -> String {
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let frames = || lines.chunks_exact(2).map(|frame| (frame[0], frame[1]));
    let own = frames().find(|(_, file)| !file.contains(LIBRARY));
    let (function, file) = own.or_else(|| frames().next()).unwrap_or(("?", "?"));
    match file.rsplit('/').next().and_then(|file| file.split_once(':')) {
        // Where there are no lines, the file is some other function's.
        Some((file, line)) if !line.starts_with(['?', '0']) => format!("{}, {file}", short(function)),
        _ => short(function).to_owned(),
    }
}

/// Without path and parameters.
fn short(function: &str) -> &str {
    let mut depth = 0;
    let parameters = function.char_indices().rev().take_while(|&(_, c)| {
        depth += i32::from(c == '>') - i32::from(c == '<');
        depth > 0 || c == '<'
    });
    let end = parameters.last().map_or(function.len(), |(at, _)| at);
    let name = function.get(..end).unwrap_or(function);
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn the_innermost_function_of_ours_is_named() {
        let text = "0xffffffff80101234\natomic_load<u32>\n/rustc/5980/library/core/src/sync/atomic.rs:3900\n\
                    publish<dataplane_kernel::nic::RxFrame>\n/x/src/mem/spsc.rs:150 (discriminator 2)\n\
                    <T as dataplane_kernel::nic::Nic>::poll_rx\n/x/src/nic/hub.rs:9\n";
        assert_eq!(place(text), "publish, spsc.rs");
        assert_eq!(place("0x1\n_int_free\ncrtstuff.c:?\n"), "_int_free");
        assert_eq!(
            place("0x1\nnetstack::stack::Stack::flush\n/x/egress.rs:3\n"),
            "flush, egress.rs"
        );
    }
}
