//! Which segments are lost, by time: a segment is, if one that was sent sufficiently later has arrived (RACK, RFC 8985
//! section 6).

use super::rtt::RttEstimator;
use super::scoreboard::{Delivered, Ranges, Records, Stamp};
use crate::Instant;
use crate::seq::SeqNum;

/// For how many recoveries a wider window is kept that a DSACK has called for (section 6.2, step 4).
const PERSIST_ROUNDS: u8 = 16;

/// Section 5.3.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq: when the most recently sent of the delivered segments left, and its end.
    at: Stamp,
    end: SeqNum,
    /// RACK.rtt, in nanoseconds.
    rtt_ns: u64,
    /// The highest number delivered before this ACK (RACK.fack), and with it.
    highest: SeqNum,
    highest_now: SeqNum,
    /// Something has arrived out of order (RACK.reordering_seen).
    reordering: bool,
    window_mult: u8,
    window_persist: u8,
    /// SND.NXT when a DSACK last widened the window: it does so once a round trip.
    dsack_round: Option<SeqNum>,
    /// When to look again: the reordering window of a segment ends then.
    pub(crate) look_at: Instant,
}

impl Rack {
    pub(crate) fn new(una: SeqNum) -> Self {
        Rack {
            at: Stamp::default(),
            end: una,
            rtt_ns: 0,
            highest: una,
            highest_now: una,
            reordering: false,
            window_mult: 1,
            window_persist: 0,
            dsack_round: None,
            look_at: Instant::FAR,
        }
    }

    /// Section 6.2, steps 2 and 3. A segment that was sent twice and came back sooner than any ever did is the first
    /// one; `original`: its echo tells the same.
    pub(crate) fn delivered(&mut self, now: Instant, range: Delivered, min_rtt_ns: u64, original: bool) {
        if range.end.before(self.highest) && !range.repeated {
            self.reordering = true;
        }
        self.highest_now = self.highest_now.later_of(range.end);
        let rtt_ns = Stamp::of(now).ns_since(range.at);
        if range.repeated && (original || rtt_ns < min_rtt_ns) {
            return;
        }
        if self.rtt_ns == 0 || is_sent_after((range.at, range.end), (self.at, self.end)) {
            self.at = range.at;
            self.end = range.end;
            self.rtt_ns = rtt_ns.max(1);
        }
    }

    /// Section 6.2, step 4: once a round trip, what arrived twice widens the window.
    pub(crate) fn on_dsack(&mut self, ack: SeqNum, snd_nxt: SeqNum) {
        if self.dsack_round.is_none_or(|round| ack.at_or_after(round)) {
            self.dsack_round = Some(snd_nxt);
            self.window_mult = self.window_mult.saturating_add(1);
            self.window_persist = PERSIST_ROUNDS;
        }
    }

    /// The same: a recovery has ended.
    pub(crate) fn on_recovered(&mut self) {
        self.window_persist = self.window_persist.saturating_sub(1);
        if self.window_persist == 0 {
            self.window_mult = 1;
        }
    }

    /// Nothing is known beyond a hole: there is nothing to look for.
    pub(crate) fn all_in_order(&mut self) {
        self.highest = self.highest_now;
        self.look_at = Instant::FAR;
    }

    /// RACK.reo_wnd. `sure`: in recovery already, or as much beyond a hole as three segments.
    fn window_ns(&self, rtt: &RttEstimator, sure: bool) -> u64 {
        if !self.reordering && sure {
            return 0;
        }
        let window = (rtt.min_ns() / 4) * u64::from(self.window_mult);
        window.min(rtt.srtt_ns())
    }

    /// Section 6.2, step 5: takes the segments to be lost that are, and sets when to look again for those that may be.
    /// Gives the bytes.
    pub(crate) fn find_lost(
        &mut self,
        ranges: &mut Ranges,
        records: &mut Records,
        una: SeqNum,
        now: Instant,
        rtt: &RttEstimator,
        sure: bool,
    ) -> u32 {
        self.highest = self.highest_now;
        self.look_at = Instant::FAR;
        if self.rtt_ns == 0 {
            return 0;
        }
        let allowed_ns = self.rtt_ns + self.window_ns(rtt, sure);
        let (this, latest) = (Stamp::of(now), (self.at, self.end));
        let mut wait_ns = 0;
        let lost = ranges.mark_lost(records, una, |_, record| {
            if !is_sent_after(latest, (record.at, record.end)) {
                return false;
            }
            let age_ns = this.ns_since(record.at);
            if age_ns >= allowed_ns {
                return true;
            }
            wait_ns = wait_ns.max(allowed_ns - age_ns);
            false
        });
        if wait_ns > 0 {
            self.look_at = now.after_ns(wait_ns);
        }
        lost
    }
}

/// RACK_sent_after: of two sent at one time, the one with the higher number.
fn is_sent_after((at, end): (Stamp, SeqNum), (other_at, other_end): (Stamp, SeqNum)) -> bool {
    at.is_after(other_at) || at == other_at && end.after(other_end)
}
