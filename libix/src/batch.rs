//! The commands gathered since the last `run_io`.

use crate::arrays::{Arrays, Events, Received};
use ix_abi::app::{Command, Endpoint, IoInfo, SgEntry, Status};

/// Scatter-gather entries that the commands of one batch may use together.
const SG_ENTRIES: usize = 1024;

pub(crate) struct Batch {
    arrays: Arrays,
    len: usize,
    /// What the `Sendv` commands of this batch point to. It never grows beyond its first capacity, so it never moves.
    entries: Vec<SgEntry>,
}

impl Batch {
    pub(crate) fn new(arrays: Arrays) -> Self {
        Batch {
            arrays,
            len: 0,
            entries: Vec::with_capacity(SG_ENTRIES),
        }
    }

    pub(crate) fn arrays(&self) -> &Arrays {
        &self.arrays
    }

    pub(crate) fn info(&self) -> &IoInfo {
        self.arrays.info()
    }

    /// The dataplane's own address is another one.
    pub(crate) fn set_local(&mut self, local: Endpoint) {
        self.arrays.set_local(local);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `true` if there is no room for another command.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.arrays.commands_capacity()
    }

    /// `true` if there is room for `count` more scatter-gather entries.
    #[inline]
    pub(crate) fn has_entries(&self, count: usize) -> bool {
        self.entries.len() + count <= SG_ENTRIES
    }

    /// The next command, whose fields hold what an earlier one left there: set each that the opcode reads. There must
    /// be room.
    #[inline]
    pub(crate) fn add(&mut self) -> &mut Command {
        let place = self.len;
        self.len += 1;
        self.arrays.command(place)
    }

    /// The command added last.
    #[inline]
    pub(crate) fn last(&mut self) -> &mut Command {
        self.arrays.command(self.len - 1)
    }

    /// Stores `entries`, for which there must be room; returns their address, count and sum of bytes.
    pub(crate) fn add_entries(&mut self, entries: impl Iterator<Item = SgEntry>) -> (u64, u64, usize) {
        let start = self.entries.len();
        self.entries.extend(entries.take(SG_ENTRIES - start));
        let added = &self.entries[start..];
        let bytes = added
            .iter()
            .map(|entry| usize::try_from(entry.len).unwrap_or(usize::MAX))
            .sum();
        (added.as_ptr() as u64, added.len() as u64, bytes)
    }

    /// Submits the batch and starts the next one. Returns how many commands were carried out; their results stay
    /// readable until the next command is added.
    pub(crate) fn submit(&mut self) -> Result<usize, Status> {
        self.arrays.submit(self.len)?;
        Ok(self.start_over())
    }

    /// The same, and waits for events; the second count is theirs.
    #[inline]
    pub(crate) fn wait(&mut self, events: &mut Events, wait_ns: u64) -> Result<(usize, usize), Status> {
        let count = self.arrays.wait(self.len, events, wait_ns)?;
        Ok((self.start_over(), count))
    }

    #[inline]
    fn start_over(&mut self) -> usize {
        self.entries.clear();
        core::mem::take(&mut self.len)
    }

    /// The command at `place` with its result.
    #[inline]
    pub(crate) fn answered(&mut self, place: usize) -> &Command {
        self.arrays.command(place)
    }

    #[inline]
    pub(crate) fn received(&self, address: u64, len: u32) -> Option<Received> {
        self.arrays.received(address, len)
    }
}
