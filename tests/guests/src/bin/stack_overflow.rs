//! Recurses until the stack ends, in the main thread or (with `thread`) in another.

use std::hint::black_box;

fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 128]);
    if frame[0] == u64::MAX {
        return 0;
    }
    frame[0] + deeper(black_box(depth + 1)) + frame[127]
}

fn main() {
    println!("recursing");
    if std::env::args().nth(1).as_deref() == Some("thread") {
        let thread = std::thread::spawn(|| deeper(0));
        println!("{}", thread.join().unwrap());
    } else {
        println!("{}", deeper(0));
    }
}
