//! What the plugin `insncount` wrote: how often each block of guest code ran (`plugin/insncount.c`).

use crate::symbols::{Owner, Symbols};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"!IXSCNT1");
const RECORD_BYTES: usize = 24;

/// Runs of each block, by its address and length in instructions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(HashMap<(u64, u64), u64>);

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
        let mut header = [0; 16];
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
        Ok(Self(records.collect()))
    }

    /// What ran since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let ran = self
            .0
            .iter()
            .map(|(block, runs)| (*block, runs - before.0.get(block).unwrap_or(&0)));
        Self(ran.filter(|&(_, runs)| runs > 0).collect())
    }

    /// How often a block that begins at `pc` ran.
    pub(crate) fn runs_at(&self, pc: u64) -> u64 {
        self.0
            .iter()
            .filter(|((at, _), _)| *at == pc)
            .map(|(_, runs)| runs)
            .sum()
    }

    /// Instructions by address of their block.
    pub(crate) fn instructions(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().map(|(&(pc, length), runs)| (pc, length * runs))
    }

    /// Instructions of one look for work that finds none, if these are the counts of a guest without load; 0 if it
    /// sleeps instead.
    pub(crate) fn idle_turn(&self, symbols: &Symbols) -> u64 {
        let turns = symbols.idle.map_or(0, |pc| self.runs_at(pc));
        self.split(symbols, 0).kernel.checked_div(turns).unwrap_or(0)
    }

    /// Instructions of ring 0 and ring 3. `idle_turn` is what one look for work costs that finds none; such a look ends
    /// in the symbols' idle function.
    pub(crate) fn split(&self, symbols: &Symbols, idle_turn: u64) -> Split {
        let mut split = Split::default();
        for (pc, instructions) in self.instructions() {
            match symbols.owner(pc) {
                Owner::Kernel => split.kernel += instructions,
                Owner::App => split.app += instructions,
            }
        }
        split.idle = symbols
            .idle
            .map_or(0, |pc| self.runs_at(pc) * idle_turn)
            .min(split.kernel);
        split.kernel -= split.idle;
        split
    }
}
