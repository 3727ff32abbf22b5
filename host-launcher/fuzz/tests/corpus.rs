//! The fuzzing targets on any toolchain, for a fixed number of runs: every seed of the corpus as it is, then mutations of
//! them, and programs of random bytes. They are the same each time, so what fails here fails again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

type Target = fn(&[u8]);

#[test]
fn guests_of_all_kinds() {
    run("guest", launcher_fuzz::guest, 20_000);
}

#[test]
fn calls_of_all_kinds() {
    run("calls", launcher_fuzz::calls, 2_000);
}

/// Some seconds' worth.
fn run(name: &str, target: Target, programs: u32) {
    let try_one = |bytes: &[u8]| try_one(name, target, bytes);
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no seeds");
    seeds.iter().for_each(|seed| try_one(seed));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..programs {
        let mut bytes = match random.below(4) {
            0 => Vec::new(),
            _ => seeds[random.below(seeds.len())].clone(),
        };
        for _ in 0..=random.below(6) {
            mutate(&mut bytes, &mut random);
        }
        try_one(&bytes);
    }
}

/// Runs it; what makes it panic is left in a file that the target can be given again.
fn try_one(name: &str, target: Target, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let file = std::env::temp_dir().join(format!("launcher-fuzz-{name}"));
        std::fs::write(&file, bytes).unwrap();
        eprintln!("it panics on the bytes in {}", file.display());
        resume_unwind(panic);
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len().max(1));
    match random.below(6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.byte(),
        2 => bytes.insert(at, random.byte()),
        3 if !bytes.is_empty() => drop(bytes.remove(at)),
        4 => bytes.truncate(at),
        _ => bytes.extend((0..random.below(100)).map(|_| random.byte())),
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

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}
