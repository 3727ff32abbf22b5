//! Has a lot to say.

use std::io::Write;

fn main() {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for number in 0..20_000 {
        writeln!(out, "line {number:05} of what this program has to say").expect("standard output");
    }
}
