//! What the plugin `insncount` wrote: how often each block of guest code ran (`plugin/insncount.c`).

use crate::symbols::{Owner, Symbols};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"!IXSCNT2");
const RECORD_BYTES: usize = 24;

/// Words before the records.
const HEAD: usize = 7;

/// What has run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Runs of each block, by its address and length in instructions.
    runs: HashMap<(u64, u64), u64>,
    /// Instructions in turns of a polling loop that found nothing.
    idle: u64,
}

/// Instructions by whose they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Split {
    /// Ring 0, when it does something.
    pub(crate) kernel: u64,
    /// Ring 3.
    pub(crate) app: u64,
    /// Looks for work that found none.
    pub(crate) idle: u64,
}

impl Counts {
    /// As they are now.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        let mut input = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        let mut header = [0; HEAD * 8];
        input.read_exact(&mut header)?;
        let word = |bytes: &[u8], index: usize| -> u64 {
            let at = index * 8;
            bytes
                .get(at..at + 8)
                .and_then(|b| b.try_into().ok())
                .map_or(0, u64::from_le_bytes)
        };
        ensure!(
            word(&header, 0) == MAGIC,
            "{} was not written by insncount",
            file.display()
        );
        let wanted = word(&header, 1).saturating_mul(RECORD_BYTES as u64);
        input.take(wanted).read_to_end(&mut bytes)?;
        let records = bytes
            .chunks_exact(RECORD_BYTES)
            .map(|r| ((word(r, 0), word(r, 1)), word(r, 2)));
        Ok(Self {
            runs: records.collect(),
            idle: word(&header, 3),
        })
    }

    /// What ran since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let ran = |(block, runs): (&(u64, u64), &u64)| (*block, runs - before.runs.get(block).unwrap_or(&0));
        let runs = self.runs.iter().map(ran).filter(|&(_, runs)| runs > 0);
        Self {
            runs: runs.collect(),
            idle: self.idle - before.idle,
        }
    }

    /// Instructions by address of their block.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs.iter().map(|(&(pc, length), runs)| (pc, length * runs))
    }

    /// Whose they were.
    pub(crate) fn split(&self) -> Split {
        let mut split = Split {
            idle: self.idle,
            ..Split::default()
        };
        for (pc, instructions) in self.instructions() {
            match Symbols::owner(pc) {
                Owner::Kernel => split.kernel += instructions,
                Owner::App => split.app += instructions,
            }
        }
        split.kernel = split.kernel.saturating_sub(self.idle);
        split
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn write(name: &str, words: &[u64]) -> std::path::PathBuf {
        let file = std::env::temp_dir().join(format!("ix-bench-{}-{name}", std::process::id()));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(&file, bytes).unwrap();
        file
    }

    #[test]
    fn instructions_are_split_by_owner_and_idle_ones_taken_off() {
        let kernel = 0xffff_ffff_8010_0000;
        let idle = |count| [super::MAGIC, 2, 0, count, 0, 0, 0];
        let before = write("before", &[&idle(0)[..], &[kernel, 10, 5, 0x1000, 4, 1]].concat());
        let after = write(
            "after",
            &[&idle(30)[..], &[kernel, 10, 15, 0x1000, 4, 3, 9, 9, 9]].concat(),
        );
        let ran = Counts::read(&after)
            .unwrap()
            .since(&Counts::read(&before).unwrap());
        let split = ran.split();
        // The record beyond the two that the head speaks of does not count.
        assert_eq!((split.kernel, split.app, split.idle), (100 - 30, 8, 30));
        std::fs::remove_file(before).unwrap();
        std::fs::remove_file(after).unwrap();
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let file = write("foreign", &[1; 9]);
        assert!(Counts::read(&file).is_err());
        std::fs::remove_file(file).unwrap();
    }
}
