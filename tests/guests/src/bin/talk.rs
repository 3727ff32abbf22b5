//! Has a lot to say, or with `forever` more than that.

use std::io::Write;

fn main() {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let forever = std::env::args().nth(1).is_some();
    let lines = if forever { u64::MAX } else { 20_000 };
    for number in 0..lines {
        writeln!(out, "line {number:05} of what this program has to say").expect("standard output");
    }
}
