//! The way of a flow carries less than was thought: a router says so (RFC 1191 section 6.4, RFC 8201 section 5.4), or long
//! segments vanish without a word, and only those (a black hole: RFC 4821, RFC 8899 section 4.3).

use super::flow::{Flow, Marks};
use super::scoreboard::NONE;
use super::{HEADERS_LEN, HEADERS_LEN_V6, MIN_SEGMENT, Shared};
use crate::Instant;
use crate::ipv6::MIN_MTU;
use crate::seq::SeqNum;
use crate::wire::tcp_options::TIMESTAMPS_LEN;

/// Timeouts in a row after which shorter segments are tried, and still shorter ones at the next. Where segments are lost at
/// random, two or three in a row are no rarity, and all flows of the way would pay for the mistake.
const SUSPICIOUS: u8 = 4;
/// The packets that are tried then: an Ethernet's, what IPv6 asks of every link (and tunnels keep), what is believed at least.
const SEARCH: [u16; 3] = [1500, MIN_MTU, 552];

impl Flow {
    /// `true` if a segment with this number is on its way: what is said of another is old, or a forgery (RFC 5927 section
    /// 4.1).
    pub(crate) fn is_on_its_way(&self, seq: SeqNum) -> bool {
        seq.at_or_after(self.snd_una) && seq.before(self.snd_max)
    }

    /// Segments become shorter, and those on their way leave again at once. The congestion window stays: nothing says that
    /// the way is crowded.
    pub(crate) fn on_path_mtu(&mut self, shared: &mut Shared, now: Instant) {
        let mss = self.segment_limit(shared, now);
        if mss < self.mss {
            self.marks.set(Marks::NARROWED);
            self.shorten_segments(shared, mss);
        }
    }

    /// The largest payload of a segment on this way, options deducted.
    fn segment_limit(&self, shared: &Shared, now: Instant) -> u16 {
        shared.send_limit(&self.tuple, now).max(MIN_SEGMENT) - self.options_len()
    }

    fn options_len(&self) -> u16 {
        if self.marks.has(Marks::TIMESTAMPS) {
            u16::try_from(TIMESTAMPS_LEN).unwrap_or(0)
        } else {
            0
        }
    }

    /// Headers of IP and TCP, options included.
    fn headers_len(&self) -> u16 {
        let fixed = if self.tuple.is_v6() {
            HEADERS_LEN_V6
        } else {
            HEADERS_LEN
        };
        fixed + self.options_len()
    }

    /// Timeouts in a row of long segments: perhaps shorter ones come through.
    pub(crate) fn suspect_black_hole(&mut self, shared: &mut Shared) {
        let long = self.in_flight() >= self.mss.into();
        if self.unanswered < SUSPICIOUS || !long {
            return;
        }
        let mtu = self.mss + self.headers_len();
        let next = SEARCH.into_iter().find(|size| *size < mtu);
        let Some(next) = next.filter(|next| !self.tuple.is_v6() || *next >= MIN_MTU) else {
            return;
        };
        self.marks.set(Marks::SUSPECTS);
        self.shorten_segments(shared, next - self.headers_len());
        self.congestion.set_window(self.mss.into());
    }

    /// An ACK of shorter segments has come, where longer ones had none: the way is taken to be narrow, for all flows.
    pub(crate) fn confirm_black_hole(&mut self, shared: &mut Shared, now: Instant) {
        self.marks.clear(Marks::SUSPECTS);
        self.marks.set(Marks::NARROWED);
        let ends = shared.ends(&self.tuple);
        let (before, mtu) = (shared.path_mtu(&ends, now), self.mss + self.headers_len());
        if shared.path_mtus.suspect(ends.remote(), mtu.into(), before, now) {
            shared.counters.tcp_black_holes += 1;
        }
    }

    /// Once a second of a flow in use: what was suspected is forgotten after a while (RFC 8899 section 5.3.3), and then the
    /// way is tried anew.
    pub(crate) fn search_up(&mut self, shared: &Shared, now: Instant) {
        let ends = shared.ends(&self.tuple);
        if shared.path_mtus.get(ends.remote(), now).is_none() {
            self.marks.clear(Marks::NARROWED);
            let limit = self.segment_limit(shared, now);
            self.mss = self.agreed_mss.min(limit).max(self.mss);
        }
    }

    /// What is on its way leaves again at once.
    fn shorten_segments(&mut self, shared: &mut Shared, mss: u16) {
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
