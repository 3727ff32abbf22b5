//! The fuzzing targets on any toolchain, for a fixed number of runs: every seed of the corpora as it is, then mutations of
//! them. The mutations are the same each time, so what fails here fails again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

/// Mutations of each target: some seconds' worth.
const MUTATIONS: u32 = 30_000;

#[test]
fn parsers() {
    run("parsers", netstack_fuzz::parsers, 20 * MUTATIONS);
}

#[test]
fn ingress() {
    run("ingress", netstack_fuzz::ingress, MUTATIONS);
}

#[test]
fn fragments() {
    run("fragments", netstack_fuzz::fragments, MUTATIONS);
}

#[test]
fn commands() {
    run("commands", netstack_fuzz::commands, MUTATIONS);
}

fn run(name: &str, target: fn(&[u8]), mutations: u32) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for seed in &seeds {
        try_one(name, target, seed);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..mutations {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        try_one(name, target, &bytes);
    }
}

/// Runs it; what makes it panic is left in a file that the target can be given again.
fn try_one(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let file = std::env::temp_dir().join(format!("netstack-fuzz-{name}"));
        std::fs::write(&file, bytes).unwrap();
        eprintln!("{name} panics on the bytes in {}", file.display());
        resume_unwind(panic);
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len().max(1));
    match random.below(7) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.byte(),
        2 => bytes.insert(at, random.byte()),
        3 if !bytes.is_empty() => drop(bytes.remove(at)),
        4 => bytes.truncate(at),
        5 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len().max(1));
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from.min(other.len())..]);
        }
        _ => bytes.extend((0..random.below(32)).map(|_| random.byte())),
    }
    bytes.truncate(4096);
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}
