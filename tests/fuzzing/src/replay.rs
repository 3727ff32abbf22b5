use crate::mutate::{Random, mutate};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Panics if something is wrong with what the bytes make it do.
pub type Target = fn(&[u8]);

/// Runs `target` on any toolchain: every seed of `corpus` as it is, then `mutations` of them, every fourth from nothing. They
/// are the same each time, so what fails here fails again.
///
/// # Panics
/// As the target does; the bytes that made it are left in a file which libFuzzer can be given. And if there is no seed.
pub fn replay(name: &str, target: Target, corpus: &Path, mutations: u32) {
    let seeds = seeds(corpus);
    assert!(!seeds.is_empty(), "no seeds for {name}");
    for seed in &seeds {
        try_one(name, target, seed);
    }
    let mut random = Random::default();
    for _ in 0..mutations {
        let mut bytes = match random.below(4) {
            0 => Vec::new(),
            _ => seeds[random.below(seeds.len())].clone(),
        };
        for _ in 0..=random.below(6) {
            mutate(&mut bytes, &seeds, &mut random);
        }
        try_one(name, target, &bytes);
    }
}

fn try_one(name: &str, target: Target, bytes: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let file = std::env::temp_dir().join(format!("ixion-fuzz-{name}"));
        std::fs::write(&file, bytes).expect("the temporary folder can be written to");
        eprintln!("{name} panics on the bytes in {}", file.display());
        resume_unwind(panic);
    }
}

/// In the order of their names.
fn seeds(corpus: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(corpus).expect("there is a corpus");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a readable seed"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::replay;
    use std::panic::catch_unwind;

    /// A corpus of one seed, removed at the end.
    fn with_corpus(name: &str, test: impl FnOnce(&std::path::Path)) {
        let folder = std::env::temp_dir().join(format!("ixion-fuzzing-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("seed"), b"seed").unwrap();
        test(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_target_dislikes_is_found_and_kept() {
        with_corpus("finds", |corpus| {
            let name = format!("selftest-{}", std::process::id());
            let dislikes = |bytes: &[u8]| assert!(!bytes.starts_with(b"sead"));
            let found = catch_unwind(|| replay(&name, dislikes, corpus, 1_000_000));
            found.unwrap_err();
            let file = std::env::temp_dir().join(format!("ixion-fuzz-{name}"));
            assert!(std::fs::read(&file).unwrap().starts_with(b"sead"));
            std::fs::remove_file(file).unwrap();
        });
    }

    #[test]
    fn a_target_that_likes_everything_passes() {
        with_corpus("passes", |corpus| replay("likes", |_| (), corpus, 1000));
    }
}
