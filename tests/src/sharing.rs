//! Which lines of the cache go from one core of a machine to another while it works: what QEMU's plugin `sharing` has seen
//! ([`bench/plugin/sharing.c`](../../../bench/plugin/sharing.c) says how it counts).

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"!IXSSHR1");
/// Where the plugin's switch stands, in bytes.
const ON_AT: u64 = 8;
const LINES_AT: u64 = 16;
const LINE_WORDS: usize = 5;
/// Bytes of a line.
const LINE_BYTES: u64 = 64;
/// Lines that are read at once.
const PIECE: usize = 1 << 14;

/// A machine that is watched.
#[derive(Debug)]
pub struct Sharing {
    file: File,
}

/// A line that has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its physical address.
    pub physical: u64,
    /// How often.
    pub moves: u32,
    /// A bit for each core that has read it.
    pub readers: u8,
    /// A bit for each core that has written it.
    pub writers: u8,
    /// Of one of the moves: the instruction that had written it last.
    pub writer: u64,
    /// The instruction for which it moved.
    pub mover: u64,
    /// The virtual address that one accessed.
    pub address: u64,
}

impl Sharing {
    /// What the plugin writes into `file`.
    ///
    /// # Errors
    /// If it cannot be opened, or is another file.
    pub fn open(file: &Path) -> Result<Self> {
        let shown = file.display().to_string();
        let file = File::options()
            .read(true)
            .write(true)
            .open(file)
            .with_context(|| format!("cannot open {shown}"))?;
        let mut magic = [0; 8];
        file.read_exact_at(&mut magic, 0)?;
        ensure!(
            u64::from_le_bytes(magic) == MAGIC,
            "{shown} was not written by the plugin"
        );
        Ok(Sharing { file })
    }

    /// From now on the machine is watched. Once.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn begin(&self) -> Result<()> {
        Ok(self.file.write_all_at(&1_u64.to_le_bytes(), ON_AT)?)
    }

    /// No more; what has moved, most often first.
    ///
    /// # Errors
    /// If the file cannot be written or read.
    pub fn end(&self) -> Result<Vec<Moved>> {
        self.file.write_all_at(&0_u64.to_le_bytes(), ON_AT)?;
        let bytes = self.file.metadata()?.len().saturating_sub(LINES_AT);
        let lines = bytes / (LINE_WORDS * 8) as u64;
        let mut piece = vec![0; PIECE * LINE_WORDS * 8];
        let mut moved = Vec::new();
        for first in (0..lines).step_by(PIECE) {
            self.file
                .read_exact_at(&mut piece, LINES_AT + first * (LINE_WORDS * 8) as u64)?;
            let entries = piece.as_chunks::<8>().0.chunks_exact(LINE_WORDS);
            let numbered = (first..).zip(entries);
            moved.extend(numbered.filter_map(|(line, entry)| Moved::of(line, entry)));
        }
        moved.sort_by_key(|line| std::cmp::Reverse(line.moves));
        Ok(moved)
    }
}

impl Moved {
    /// What the plugin says of a line, if it has moved.
    fn of(line: u64, entry: &[[u8; 8]]) -> Option<Self> {
        let &[
            [_, _, readers, writers, m0, m1, m2, m3],
            writer,
            mover,
            address,
            _,
        ] = entry
        else {
            return None;
        };
        let moves = u32::from_le_bytes([m0, m1, m2, m3]);
        (moves > 0).then(|| Moved {
            physical: line * LINE_BYTES,
            moves,
            readers,
            writers,
            writer: u64::from_le_bytes(writer),
            mover: u64::from_le_bytes(mover),
            address: u64::from_le_bytes(address),
        })
    }
}
