//! The way of a flow carries less than was thought (RFC 1191 section 6.4, RFC 8201 section 5.4).

use super::flow::{Flow, Marks};
use super::scoreboard::NONE;
use super::{MIN_SEGMENT, Shared};
use crate::Instant;
use crate::seq::SeqNum;
use crate::wire::tcp_options::TIMESTAMPS_LEN;

impl Flow {
    /// `true` if a segment with this number is on its way: what is said of another is old, or a forgery (RFC 5927 section
    /// 4.1).
    pub(crate) fn is_on_its_way(&self, seq: SeqNum) -> bool {
        seq.at_or_after(self.snd_una) && seq.before(self.snd_max)
    }

    /// Segments become shorter, and those on their way leave again at once. The congestion window stays: nothing says that
    /// the way is crowded.
    pub(crate) fn on_path_mtu(&mut self, shared: &mut Shared, now: Instant) {
        let options = if self.marks.has(Marks::TIMESTAMPS) {
            u16::try_from(TIMESTAMPS_LEN).unwrap_or(0)
        } else {
            0
        };
        let mss = shared.send_limit(&self.tuple, now).max(MIN_SEGMENT) - options;
        if mss >= self.mss {
            return;
        }
        self.mss = mss;
        if self.state.is_opening() {
            return; // a SYN fits any way
        }
        if self.board != NONE {
            self.drop_board(shared);
        }
        self.snd_nxt = self.snd_una;
        self.send.rewind();
        self.marks.clear(Marks::FIN_SENT);
        self.marks.set(Marks::AMBIGUOUS);
        self.make_dirty(shared);
    }
}
