//! Congestion control: slow start and congestion avoidance (RFC 5681), fast retransmit and fast recovery by NewReno
//! (RFC 6582). Bytes; no division.

use crate::seq::SeqNum;

/// Initial window, in segments (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;
/// Duplicate ACKs that say a segment is lost (RFC 5681 section 3.2).
const DUPLICATES: u8 = 3;

/// What a duplicate ACK calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDuplicate {
    /// Nothing yet.
    Wait,
    /// The third: send the first unacknowledged segment again.
    Retransmit,
    /// In recovery: a segment has left the network, so the window has grown.
    SendNew,
}

/// What an ACK of new data calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnAck {
    /// Go on.
    Proceed,
    /// A partial ACK in recovery: the next segment is lost too, send it again.
    Retransmit,
}

/// The sender's view of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Congestion {
    /// Congestion window.
    cwnd: u32,
    /// Slow start threshold.
    ssthresh: u32,
    /// Bytes acknowledged towards the next step of congestion avoidance.
    counted: u32,
    /// The last number sent when recovery began (RFC 6582: "recover").
    recover: SeqNum,
    duplicates: u8,
    in_recovery: bool,
}

impl Congestion {
    /// Section 3.1. `iss` is where sequence numbers begin.
    pub(crate) fn new(mss: u32, iss: SeqNum) -> Self {
        Congestion {
            cwnd: INITIAL_SEGMENTS * mss,
            ssthresh: u32::MAX / 2,
            counted: 0,
            recover: iss,
            duplicates: 0,
            in_recovery: false,
        }
    }

    /// The window.
    #[inline]
    pub(crate) fn window(&self) -> u32 {
        self.cwnd
    }

    /// `true` between a fast retransmit and the ACK of all that was sent before it.
    #[cfg(test)]
    pub(crate) fn in_recovery(&self) -> bool {
        self.in_recovery
    }

    /// RFC 6928 section 2: when a SYN was lost, the initial window is one segment.
    pub(crate) fn restart_after_syn_timeout(&mut self, mss: u32) {
        self.cwnd = mss;
    }

    /// An ACK of `acked` new bytes up to `ack`, which leaves `in_flight` unacknowledged. `peak`: as much was in flight
    /// when something was sent last; if that was far from the window, the window says nothing of the network and does not
    /// grow (RFC 7661).
    #[inline]
    pub(crate) fn on_ack(&mut self, acked: u32, ack: SeqNum, in_flight: u32, peak: u32, mss: u32) -> OnAck {
        self.duplicates = 0;
        if self.in_recovery {
            return self.on_ack_in_recovery(acked, ack, in_flight, mss);
        }
        if self.cwnd < peak.saturating_mul(2) {
            self.grow(acked, peak, mss);
        }
        OnAck::Proceed
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, acked: u32, peak: u32, mss: u32) {
        if self.cwnd < self.ssthresh {
            // RFC 5681 equation 2.
            self.cwnd = self.cwnd.saturating_add(acked.min(mss));
            return;
        }
        if peak.saturating_add(mss) <= self.cwnd {
            return;
        }
        // One segment per window of acknowledged bytes (section 3.1, RFC 3465 section 2.1).
        self.counted = self.counted.saturating_add(acked);
        if self.counted >= self.cwnd {
            self.counted -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(mss);
        }
    }

    /// RFC 6582 section 3.2 step 3. `in_flight`: still unacknowledged after this ACK.
    #[cold]
    #[inline(never)]
    fn on_ack_in_recovery(&mut self, acked: u32, ack: SeqNum, in_flight: u32, mss: u32) -> OnAck {
        if ack.at_or_after(self.recover) {
            self.in_recovery = false;
            self.counted = 0;
            self.cwnd = self.ssthresh.min(in_flight.max(mss).saturating_add(mss));
            return OnAck::Proceed;
        }
        self.cwnd = self.cwnd.saturating_sub(acked).max(mss);
        if acked >= mss {
            self.cwnd = self.cwnd.saturating_add(mss);
        }
        OnAck::Retransmit
    }

    /// A duplicate ACK of `ack` while `in_flight` bytes are out, the last of them before `highest`.
    pub(crate) fn on_duplicate(
        &mut self,
        ack: SeqNum,
        highest: SeqNum,
        in_flight: u32,
        mss: u32,
    ) -> OnDuplicate {
        if self.in_recovery {
            self.cwnd = self.cwnd.saturating_add(mss);
            return OnDuplicate::SendNew;
        }
        self.duplicates = self.duplicates.saturating_add(1);
        // RFC 6582 section 3.2 step 2: not for losses that a timeout or an earlier recovery has dealt with.
        if self.duplicates != DUPLICATES || !ack.after(self.recover) {
            return OnDuplicate::Wait;
        }
        self.ssthresh = half(in_flight, mss);
        self.recover = highest;
        self.in_recovery = true;
        self.cwnd = self.ssthresh.saturating_add(u32::from(DUPLICATES) * mss);
        OnDuplicate::Retransmit
    }

    /// The retransmission timer has run out (RFC 5681 section 3.1, RFC 6582 section 3.2 step 4). The threshold is set by
    /// the first expiry only, as long as nothing of what it retransmitted is acknowledged.
    pub(crate) fn on_timeout(&mut self, highest: SeqNum, in_flight: u32, mss: u32, is_first: bool) {
        if is_first {
            self.ssthresh = half(in_flight, mss);
        }
        self.recover = highest;
        self.in_recovery = false;
        self.duplicates = 0;
        self.counted = 0;
        self.cwnd = mss;
    }

    /// Nothing has been sent for longer than a retransmission timeout: what the window says is out of date (RFC 5681
    /// section 4.1).
    pub(crate) fn on_idle(&mut self, mss: u32) {
        self.cwnd = self.cwnd.min(INITIAL_SEGMENTS * mss);
    }
}

/// RFC 5681 equation 4.
fn half(in_flight: u32, mss: u32) -> u32 {
    (in_flight / 2).max(2 * mss)
}

#[cfg(test)]
mod tests {
    use super::{Congestion, OnAck, OnDuplicate};
    use crate::seq::SeqNum;

    const MSS: u32 = 1000;
    const ISS: SeqNum = SeqNum(u32::MAX - 5000);

    fn at(offset: u32) -> SeqNum {
        ISS + offset
    }

    #[test]
    fn slow_start_doubles_and_an_idle_window_stays() {
        let mut congestion = Congestion::new(MSS, ISS);
        for _ in 0..10 {
            congestion.on_ack(MSS, at(1), 0, 20 * MSS, MSS);
        }
        assert_eq!(congestion.window(), 20 * MSS);
        congestion.on_ack(MSS, at(1), 0, 3 * MSS, MSS);
        assert_eq!(congestion.window(), 20 * MSS);
    }

    #[test]
    fn avoidance_adds_one_segment_per_window() {
        let mut congestion = Congestion::new(MSS, ISS);
        congestion.on_timeout(at(10_000), 8 * MSS, MSS, true);
        assert_eq!(congestion.window(), MSS);
        for _ in 0..3 {
            congestion.on_ack(MSS, at(1), 0, 20 * MSS, MSS);
        }
        assert_eq!(congestion.window(), 4 * MSS);
        for _ in 0..4 {
            congestion.on_ack(MSS, at(1), 0, 20 * MSS, MSS);
        }
        assert_eq!(congestion.window(), 5 * MSS);
    }

    #[test]
    fn three_duplicates_retransmit_and_partial_acks_go_on() {
        let mut congestion = Congestion::new(MSS, ISS);
        let (lost, highest) = (at(1001), at(10_001));
        let duplicate = |c: &mut Congestion| c.on_duplicate(lost, highest, 9 * MSS, MSS);
        assert_eq!(duplicate(&mut congestion), OnDuplicate::Wait);
        assert_eq!(duplicate(&mut congestion), OnDuplicate::Wait);
        assert_eq!(duplicate(&mut congestion), OnDuplicate::Retransmit);
        assert_eq!(congestion.window(), 4500 + 3 * MSS);
        assert_eq!(duplicate(&mut congestion), OnDuplicate::SendNew);
        assert_eq!(congestion.window(), 4500 + 4 * MSS);
        assert_eq!(
            congestion.on_ack(2 * MSS, at(3001), 7 * MSS, 9 * MSS, MSS),
            OnAck::Retransmit
        );
        assert_eq!(congestion.window(), 4500 + 3 * MSS);
        assert_eq!(
            congestion.on_ack(7 * MSS, highest, 0, 9 * MSS, MSS),
            OnAck::Proceed
        );
        assert_eq!(congestion.window(), 2 * MSS);
        assert!(!congestion.in_recovery());
    }

    #[test]
    fn losses_before_a_timeout_do_not_start_recovery() {
        let mut congestion = Congestion::new(MSS, ISS);
        congestion.on_timeout(at(10_001), 9 * MSS, MSS, true);
        for _ in 0..5 {
            assert_eq!(
                congestion.on_duplicate(at(1001), at(10_001), 9 * MSS, MSS),
                OnDuplicate::Wait
            );
        }
    }
}
