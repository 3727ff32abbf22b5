//! What has come beyond a gap is told to a peer that wants to know (RFC 2018, as receiver).

use super::Shared;
use super::emit::Outgoing;
use super::flow::Flow;
use super::output::Blocked;
use crate::rx_buffers::RxBuffers;
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
        let mut bytes = [0; MAX_LEN];
        let len = options.emit(&mut bytes);
        let outgoing = Outgoing {
            seq: self.snd_nxt.later_of(self.snd_max),
            flags: Flags::ACK,
            window: self.announce_window(shared),
            options: bytes.get(..len).unwrap_or_default(),
            payload: &[],
            len: 0,
        };
        let stamps = self.timestamps(now);
        self.put_on_wire(shared, env, &outgoing, stamps)
            .ok_or(Blocked::RingFull)?;
        self.acknowledged_all();
        Ok(())
    }

    /// What has come beyond the gap, the latest first (RFC 2018 section 4); three blocks fit beside timestamps.
    fn sack_blocks(&self, rx: &RxBuffers) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let mut ranges = self.beyond_ranges(rx);
        let latest = ranges.clone().find(|range| {
            self.beyond_latest
                .is_within(range.start, range.start.distance_to(range.end))
        });
        if let Some(range) = latest {
            blocks.push(range);
        }
        let others: &mut dyn Iterator<Item = SackBlock> = &mut ranges;
        for range in others.filter(|range| Some(*range) != latest).take(2) {
            blocks.push(range);
        }
        blocks
    }
}
