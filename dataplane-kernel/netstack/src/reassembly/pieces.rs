//! Which bytes of a packet have come.

/// Pieces with gaps between them: as many as a packet of the largest size can have on Ethernet, when every other fragment
/// comes first.
const MAX_PIECES: usize = 24;

/// What a fragment finds at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Free,
    /// All of it is there already.
    Filled,
    /// A part of it is.
    Overlapping,
    /// It is beyond the end, ends elsewhere than another last one, or lies in one gap too many.
    Impossible,
}

/// Ranges in ascending order; none touches another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pieces {
    ranges: [(u16, u16); MAX_PIECES],
    count: usize,
    /// Where the packet ends, once the last fragment has come.
    end: Option<u16>,
}

impl Pieces {
    fn all(&self) -> &[(u16, u16)] {
        self.ranges.get(..self.count).unwrap_or_default()
    }

    /// What `start..end` finds.
    pub(super) fn place(&self, start: u16, end: u16, has_more: bool) -> Place {
        let furthest = self.all().last().map_or(0, |(_, end)| *end);
        let fits = match (self.end, has_more) {
            (Some(known), true) => end <= known,
            (Some(known), false) => end == known,
            (None, true) => true,
            (None, false) => furthest <= end,
        };
        if !fits {
            return Place::Impossible;
        }
        let mut meeting = self.all().iter().filter(|(from, to)| *from < end && start < *to);
        match (meeting.next(), meeting.next()) {
            (None, _) if self.is_full_for(start, end) => Place::Impossible,
            (None, _) => Place::Free,
            (Some((from, to)), None) if *from <= start && end <= *to => Place::Filled,
            _ => Place::Overlapping,
        }
    }

    /// One more range finds no room, and would touch none.
    fn is_full_for(&self, start: u16, end: u16) -> bool {
        let touches = self.all().iter().any(|(from, to)| *to == start || *from == end);
        self.count == MAX_PIECES && !touches
    }

    /// Adds a range that found its place free.
    pub(super) fn add(&mut self, start: u16, end: u16, has_more: bool) {
        if !has_more {
            self.end = Some(end);
        }
        let (mut start, mut end) = (start, end);
        let mut kept = 0;
        for at in 0..self.count {
            let (from, to) = self.ranges[at];
            if to == start {
                start = from;
            } else if from == end {
                end = to;
            } else {
                self.ranges[kept] = (from, to);
                kept += 1;
            }
        }
        let at = self.ranges[..kept].partition_point(|(from, _)| *from < start);
        if kept < MAX_PIECES {
            self.ranges.copy_within(at..kept, at + 1);
            self.ranges[at] = (start, end);
            self.count = kept + 1;
        }
    }

    /// The length of the packet's data, once all of them have come.
    pub(super) fn whole_len(&self) -> Option<u16> {
        let end = self.end?;
        (self.all() == [(0, end)]).then_some(end)
    }

    /// Bytes from the start without a gap.
    pub(super) fn contiguous(&self) -> u16 {
        match self.all().first() {
            Some((0, to)) => *to,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_PIECES, Pieces, Place};
    use proptest::prelude::*;

    #[test]
    fn ends_must_agree() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.place(16, 20, false), Place::Free);
        pieces.add(16, 20, false);
        assert_eq!(pieces.place(24, 32, true), Place::Impossible);
        assert_eq!(pieces.place(8, 12, false), Place::Impossible);
        assert_eq!(pieces.place(16, 20, false), Place::Filled);
        assert_eq!(pieces.place(8, 24, true), Place::Impossible);
        assert_eq!(pieces.place(8, 20, true), Place::Overlapping);
        pieces.add(0, 16, true);
        assert_eq!(pieces.whole_len(), Some(20));
    }

    #[test]
    fn gaps_are_bounded() {
        let mut pieces = Pieces::default();
        for i in 0..u16::try_from(MAX_PIECES).unwrap() {
            assert_eq!(pieces.place(16 * i, 16 * i + 8, true), Place::Free);
            pieces.add(16 * i, 16 * i + 8, true);
        }
        assert_eq!(pieces.place(1000, 1008, true), Place::Impossible);
        assert_eq!(pieces.place(8, 16, true), Place::Free);
        pieces.add(8, 16, true);
        assert_eq!(pieces.contiguous(), 24);
    }

    proptest! {
        /// In whatever order and however often they come: bytes are there once all have come, and not before.
        #[test]
        fn a_packet_is_whole_when_all_have_come(order in Just((0..20u16).collect::<std::vec::Vec<_>>()).prop_shuffle()) {
            let mut pieces = Pieces::default();
            let mut seen = 0;
            for i in order {
                let (start, end) = (8 * i, 8 * i + 8);
                prop_assert_eq!(pieces.whole_len(), None);
                prop_assert_eq!(pieces.place(start, end, i != 19), Place::Free);
                pieces.add(start, end, i != 19);
                prop_assert_eq!(pieces.place(start, end, i != 19), Place::Filled);
                seen += 1;
                prop_assert!(pieces.count <= seen);
            }
            prop_assert_eq!(pieces.whole_len(), Some(160));
        }
    }
}
