//! What is counted of frames; what became of those sent on stands with the stacks' counters.

use super::Frames;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Taken in for the app.
    pub(super) taken: u64,
    /// Dropped: the app and those on their way have as many as they may.
    pub(super) no_room: u64,
    /// Dropped: over several buffers.
    pub(super) in_parts: u64,
    /// Dropped: copies of what another core takes.
    pub(super) copies: u64,
}

impl Frames {
    /// - `frames.taken`: frames and packets for others that were taken in for the app.
    /// - `frames.no_room`: such as were dropped because the app, and those on their way, had as many buffers as they may.
    /// - `frames.in_parts`: frames that were dropped because they lie in several buffers.
    /// - `frames.copies`: copies of frames for all cores, of which one is enough.
    /// - `frames.held`: buffers that wait for the app, that it has, or that are on their way.
    pub(in super::super) fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let tally = &self.tally;
        [
            ("frames.taken", tally.taken),
            ("frames.no_room", tally.no_room),
            ("frames.in_parts", tally.in_parts),
            ("frames.copies", tally.copies),
            ("frames.held", self.buffers.held().into()),
        ]
        .into_iter()
    }
}
