//! What the plugin `insncount` wrote: how often each block of guest code ran (`plugin/insncount.c`).

use crate::symbols::{Owner, Symbols};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"!IXSCNT3");

/// Where things stand in the file, in words.
const CPUS: usize = 8;
const RECORDS: usize = 1 << 20;
const CPU_WORDS: usize = 5;
const RECORDS_AT: usize = 3 + CPUS * CPU_WORDS;
const RUNS_AT: usize = RECORDS_AT + 2 * RECORDS;

/// What has run, CPU by CPU.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(Vec<OfCpu>);

/// What has run on one CPU.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfCpu {
    /// Runs of each block, by its address and length in instructions.
    runs: HashMap<(u64, u64), u64>,
    /// Instructions in turns of a polling loop that found nothing.
    pub(crate) idle: u64,
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
        let input = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        let head = words(&input, 0, RECORDS_AT)?;
        let [magic, cpus, used, ..] = head[..] else {
            unreachable!("as many words as were asked for")
        };
        ensure!(
            magic == MAGIC && cpus <= CPUS as u64 && used <= RECORDS as u64,
            "{} was not written by insncount",
            file.display()
        );
        let used = usize::try_from(used)?;
        let blocks = words(&input, RECORDS_AT, 2 * used)?;
        let of_cpu = |cpu: usize| -> Result<OfCpu> {
            let runs = words(&input, RUNS_AT + cpu * RECORDS, used)?;
            let blocks = blocks.chunks_exact(2).map(|block| (block[0], block[1]));
            Ok(OfCpu {
                runs: blocks.zip(runs).filter(|&(_, runs)| runs > 0).collect(),
                idle: head[3 + cpu * CPU_WORDS + 1],
            })
        };
        Ok(Self(
            (0..usize::try_from(cpus)?).map(of_cpu).collect::<Result<_>>()?,
        ))
    }

    /// What ran since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let none = OfCpu::default();
        let before = before.0.iter().chain(std::iter::repeat(&none));
        Self(
            self.0
                .iter()
                .zip(before)
                .map(|(now, before)| now.since(before))
                .collect(),
        )
    }

    /// By CPU.
    pub(crate) fn cpus(&self) -> &[OfCpu] {
        &self.0
    }

    /// Whose they were.
    pub(crate) fn split(&self) -> Split {
        let mut split = Split::default();
        for cpu in &self.0 {
            let mut kernel = 0;
            for (pc, instructions) in cpu.instructions() {
                match Symbols::owner(pc) {
                    Owner::Kernel => kernel += instructions,
                    Owner::App => split.app += instructions,
                }
            }
            split.kernel += kernel.saturating_sub(cpu.idle);
            split.idle += cpu.idle;
        }
        split
    }
}

impl OfCpu {
    fn since(&self, before: &Self) -> Self {
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
}

/// `count` words of the file, from the one with this index on.
fn words(file: &File, index: usize, count: usize) -> Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    file.read_exact_at(&mut bytes, (index * 8) as u64)?;
    let words = bytes.as_chunks::<8>().0.iter();
    Ok(words.map(|&word| u64::from_le_bytes(word)).collect())
}

#[cfg(test)]
mod tests {
    use super::{CPU_WORDS, CPUS, Counts, RECORDS};
    use std::fs::File;
    use std::io::{Seek, SeekFrom, Write};
    use std::path::PathBuf;

    const KERNEL: u64 = 0xffff_ffff_8010_0000;

    fn file(name: &str) -> (File, PathBuf) {
        let path = std::env::temp_dir().join(format!("ix-bench-{}-{name}", std::process::id()));
        (File::create(&path).unwrap(), path)
    }

    fn put(file: &mut File, at: usize, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.seek(SeekFrom::Start(at as u64 * 8)).unwrap();
        file.write_all(&bytes).unwrap();
    }

    /// Of two CPUs, which have run the blocks so often, and idled so long.
    fn write(name: &str, idle: [u64; 2], runs: [[u64; 2]; 2]) -> PathBuf {
        let (mut file, path) = file(name);
        file.set_len((3 + CPUS * CPU_WORDS + (2 + CPUS) * RECORDS) as u64 * 8)
            .unwrap();
        put(&mut file, 0, &[super::MAGIC, 2, 2]);
        put(&mut file, super::RECORDS_AT, &[KERNEL, 10, 0x1000, 4, 9, 9]);
        for (cpu, (idle, runs)) in idle.into_iter().zip(runs).enumerate() {
            put(&mut file, 3 + cpu * CPU_WORDS, &[0, idle]);
            // The one beyond the two that the head speaks of does not count.
            put(&mut file, super::RUNS_AT + cpu * RECORDS, &[runs[0], runs[1], 9]);
        }
        path
    }

    #[test]
    fn instructions_are_split_by_owner_and_idle_ones_taken_off() {
        let before = write("before", [0, 0], [[5, 1], [0, 0]]);
        let after = write("after", [30, 20], [[15, 3], [2, 1]]);
        let ran = Counts::read(&after)
            .unwrap()
            .since(&Counts::read(&before).unwrap());
        let split = ran.split();
        assert_eq!((split.kernel, split.app, split.idle), (100 - 30, 8 + 4, 30 + 20));
        assert_eq!(ran.cpus().len(), 2);
        std::fs::remove_file(before).unwrap();
        std::fs::remove_file(after).unwrap();
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let (mut file, path) = file("foreign");
        put(&mut file, 0, &[1; 100]);
        assert!(Counts::read(&path).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
