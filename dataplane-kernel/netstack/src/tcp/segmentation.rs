//! More than a segment may leave: one large send, which the device cuts into segments where it can (TSO), and which is cut
//! here, as late as can be, where it cannot (generic segmentation offload). What TCP keeps account of is the same.

use super::Shared;
use super::emit::{Cut, Outgoing};
use super::flow::{Flow, Marks};
use super::output::Blocked;
use super::span_queue;
use crate::wire::tcp::Flags;
use crate::{Env, Instant, MAX_SEGMENTS_BYTES};

impl Flow {
    /// New data, of `unsent` bytes of which `room` may leave: whole segments, with the rest behind them if that is all there
    /// is. But CWR is one segment's (RFC 3168 section 6.1.2), and a device would repeat it.
    #[inline(never)]
    pub(crate) fn transmit_several<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        unsent: u32,
        room: u32,
    ) -> Result<(), Blocked> {
        let most = unsent.min(room).min(MAX_SEGMENTS_BYTES);
        let len = if self.marks.has(Marks::REDUCED) {
            self.mss.into()
        } else if most == unsent {
            most
        } else {
            self.whole_segments(most)
        };
        let ends = self.marks.has(Marks::FIN_QUEUED) && room > unsent;
        if !shared.tuning.device_segments {
            return self.transmit_cut(shared, env, now, len, ends && len == unsent);
        }
        let mut cut = self.send.cut(&shared.spans, len);
        if cut.len < len && cut.len > self.mss.into() {
            // There are more pieces than a frame may have: the last segment is a whole one all the same.
            cut = self.send.cut(&shared.spans, self.whole_segments(cut.len));
        }
        let fin = ends && cut.len == unsent;
        self.transmit_data(shared, env, now, cut.spans(), cut.len, fin)
    }

    /// `bytes`, more than a segment, rounded down to whole ones. The one division of the path, once for up to 64 KiB.
    fn whole_segments(&self, bytes: u32) -> u32 {
        bytes - bytes.checked_rem(self.mss.into()).unwrap_or(0)
    }

    /// The next `len` bytes, and FIN with the last of them, as segments that are made here. Those that the ring has no room for
    /// stay unsent.
    fn transmit_cut<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
        len: u32,
        fin: bool,
    ) -> Result<(), Blocked> {
        let (bits, ecn) = self.ecn_of_data();
        let window = self.announce_window(shared);
        let stamps = self.timestamps(now);
        let (mut sent, mut last) = (0, None);
        while sent < len {
            let mut cut = span_queue::Cut::default();
            self.send
                .cut_into(&shared.spans, (len - sent).min(self.mss.into()), &mut cut);
            let end = if fin && sent + cut.len == len {
                Flags::FIN
            } else {
                Flags::NONE
            };
            let outgoing = Outgoing {
                seq: self.snd_nxt + sent,
                flags: Flags::ACK | Flags::PSH | bits | end,
                window,
                options: &[],
                payload: cut.spans(),
                len: cut.len,
                ecn,
                cut: Cut::One,
            };
            let Some(ticket) = self.put_on_wire(shared, env, &outgoing, stamps) else {
                break;
            };
            self.send.advance(&shared.spans, cut.len);
            sent += cut.len;
            last = Some(ticket);
        }
        let ticket = last.ok_or(Blocked::RingFull)?;
        let is_all = sent == len;
        self.has_sent(shared, now, ticket, sent, fin && is_all);
        if is_all { Ok(()) } else { Err(Blocked::RingFull) }
    }
}
