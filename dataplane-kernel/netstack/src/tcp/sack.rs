//! What has come beyond a gap is told to a peer that wants to know (RFC 2018, as receiver).

use super::Shared;
use super::emit::{Cut, Outgoing};
use super::flow::{Flow, Marks};
use super::output::Blocked;
use crate::rx_buffers::RxBuffers;
use crate::seq::SeqNum;
use crate::wire::ecn::Ecn;
use crate::wire::tcp::Flags;
use crate::wire::tcp_options::{MAX_LEN, Options, SackBlock, SackBlocks};
use crate::{Env, Instant};

impl Flow {
    /// An ACK with SACK blocks.
    #[cold]
    #[inline(never)]
    pub(crate) fn transmit_sack<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        let options = Options {
            sack: self.sack_blocks(&shared.rx),
            ..Options::default()
        };
        self.marks.clear(Marks::TWICE);
        let mut bytes = [0; MAX_LEN];
        let len = options.emit(&mut bytes);
        let outgoing = Outgoing {
            seq: self.snd_nxt.later_of(self.snd_max),
            flags: Flags::ACK | self.echo_for(Flags::ACK),
            window: self.announce_window(shared),
            options: bytes.get(..len).unwrap_or_default(),
            payload: &[],
            len: 0,
            ecn: Ecn::NOT_ECT,
            cut: Cut::One,
        };
        self.emit_outgoing(shared, env, now, &outgoing)
            .ok_or(Blocked::RingFull)?;
        Ok(())
    }

    /// Data has come that was here already: the next ACK tells that first (RFC 2883 section 4). `end` is behind `start`.
    pub(crate) fn note_twice(&mut self, start: SeqNum, end: SeqNum) {
        if self.marks.has(Marks::SACK) && start.before(end) {
            self.twice = SackBlock { start, end };
            self.marks.set(Marks::TWICE);
        }
    }

    /// After data that came twice, what has come beyond the gap, the latest first (RFC 2018 section 4); three blocks fit beside timestamps.
    fn sack_blocks(&self, rx: &RxBuffers) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        if self.marks.has(Marks::TWICE) {
            blocks.push(self.twice);
        }
        let ranges = self.beyond_ranges(rx);
        let latest = ranges.clone().find(|range| {
            self.beyond_latest
                .is_within(range.start, range.start.distance_to(range.end))
        });
        if let Some(range) = latest {
            blocks.push(range);
        }
        let most = if self.marks.has(Marks::TIMESTAMPS) { 3 } else { 4 };
        for range in ranges.filter(|range| Some(*range) != latest) {
            if blocks.as_slice().len() == most {
                break;
            }
            blocks.push(range);
        }
        blocks
    }
}
