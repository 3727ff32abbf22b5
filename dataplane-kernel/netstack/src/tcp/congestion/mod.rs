//! Congestion control: slow start and congestion avoidance (RFC 5681). What is lost, and how data is sent again, is
//! found by [`super::rack`] and done by [`super::recovery`]; here stands how much may be out. Bytes; no division on the
//! way of an ACK.

/// RFC 9438.
mod cubic;

/// RFC 9406.
mod hystart;

/// RFC 8257.
mod dctcp;

use super::rtt::RttEstimator;
use crate::Instant;
use crate::seq::SeqNum;
use cubic::Cubic;
use dctcp::Dctcp;
use hystart::{HyStart, Step};

/// How the window grows and shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 5681.
    NewReno,
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 8257: for networks whose routers mark early. Its connections ask for ECN; without it, it is as `NewReno`.
    Dctcp,
}

/// The same with what it remembers.
#[derive(Clone, Copy, Debug)]
enum Control {
    NewReno,
    /// CUBIC's first slow start.
    Start(HyStart),
    Cubic(Cubic),
    Dctcp(Dctcp),
}

impl Control {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::NewReno => Control::NewReno,
            Algorithm::Cubic => Control::Start(HyStart::NEW),
            Algorithm::Dctcp => Control::Dctcp(Dctcp::NEW),
        }
    }
}

/// What an ACK has told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    /// Bytes that it acknowledges.
    pub(crate) bytes: u32,
    /// SND.UNA from now on.
    pub(crate) una: SeqNum,
    pub(crate) nxt: SeqNum,
    /// As much was in flight when something was sent last.
    pub(crate) peak: u32,
    pub(crate) mss: u32,
}

/// Initial window, in segments (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;

/// The sender's view of the network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Congestion {
    /// Congestion window.
    cwnd: u32,
    /// Slow start threshold.
    ssthresh: u32,
    /// Bytes acknowledged towards the next step of congestion avoidance.
    counted: u32,
    control: Control,
}

impl Congestion {
    /// Section 3.1.
    pub(crate) fn new(mss: u32, algorithm: Algorithm) -> Self {
        Congestion {
            cwnd: INITIAL_SEGMENTS * mss,
            ssthresh: u32::MAX / 2,
            counted: 0,
            control: Control::new(algorithm),
        }
    }

    /// Another algorithm from here on, with the window there is.
    pub(crate) fn choose(&mut self, algorithm: Algorithm) {
        self.control = Control::new(algorithm);
        self.counted = 0;
    }

    /// The window is for segments of another size now: the initial one, if nothing was sent yet.
    pub(crate) fn restart(&mut self, mss: u32) {
        self.cwnd = INITIAL_SEGMENTS * mss;
    }

    /// The window.
    #[inline]
    pub(crate) fn window(&self) -> u32 {
        self.cwnd
    }

    /// The slow start threshold.
    pub(crate) fn threshold(&self) -> u32 {
        self.ssthresh
    }

    /// Recovery says how much may be out (RFC 6937).
    pub(crate) fn set_window(&mut self, bytes: u32) {
        self.cwnd = bytes;
    }

    /// RFC 6928 section 2: when a SYN was lost, the initial window is one segment.
    pub(crate) fn restart_after_syn_timeout(&mut self, mss: u32) {
        self.cwnd = mss;
    }

    /// An ACK of new data. If what was in flight was far from the window, the window says nothing of the network and does
    /// not grow (RFC 7661).
    #[inline]
    pub(crate) fn on_ack(&mut self, acked: &Acked, now: Instant, rtt: &RttEstimator) {
        if self.cwnd < acked.peak.saturating_mul(2) {
            self.grow(acked, now, rtt);
        }
    }

    /// The same in slow start after a timeout (RFC 3465 section 2.3: by a segment at most, as one ACK may tell of data
    /// that left the network long ago).
    pub(crate) fn on_ack_after_timeout(&mut self, acked: &Acked, now: Instant, rtt: &RttEstimator) {
        let bytes = acked.bytes.min(acked.mss);
        self.on_ack(&Acked { bytes, ..*acked }, now, rtt);
    }

    /// Counts bytes and not ACKs (RFC 3465): many ACKs for one segment gain the peer nothing.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, ack: &Acked, now: Instant, rtt: &RttEstimator) {
        let Acked {
            bytes: acked,
            peak,
            mss,
            ..
        } = *ack;
        if let Control::Dctcp(dctcp) = &mut self.control {
            dctcp.observe(ack);
        }
        if self.cwnd < self.ssthresh {
            // RFC 5681 equation 2, but for the limit of one segment: a peer that takes in batches acknowledges a batch.
            let step = match &mut self.control {
                Control::Start(start) => start.on_ack(ack, rtt.last()),
                _ => Step::Grow(acked),
            };
            match step {
                Step::Grow(bytes) => self.cwnd = self.cwnd.saturating_add(bytes),
                Step::End => self.ssthresh = self.cwnd,
            }
            return;
        }
        if peak.saturating_add(mss) <= self.cwnd {
            return;
        }
        self.counted = self.counted.saturating_add(acked);
        self.end_start();
        match &mut self.control {
            Control::NewReno | Control::Start(_) | Control::Dctcp(_) => {
                // One segment per window of acknowledged bytes (section 3.1, RFC 3465 section 2.1).
                if self.counted >= self.cwnd {
                    self.counted -= self.cwnd;
                    self.cwnd = self.cwnd.saturating_add(mss);
                }
            }
            Control::Cubic(cubic) => {
                // Eight times per window, since that takes divisions.
                if self.counted >= self.cwnd / 8 {
                    self.cwnd = cubic.grow(self.cwnd, self.counted, mss, now, rtt.srtt_ns());
                    self.counted = 0;
                }
            }
        }
    }

    /// The first slow start is over, if it was not.
    fn end_start(&mut self) {
        if let Control::Start(_) = self.control {
            self.control = Control::Cubic(Cubic::default());
        }
    }

    /// A loss was found while `in_flight` bytes were out. The window comes down in the course of the recovery.
    pub(crate) fn on_loss(&mut self, in_flight: u32, mss: u32) {
        self.end_start();
        let share = match &mut self.control {
            // RFC 5681 equation 4.
            Control::NewReno | Control::Start(_) | Control::Dctcp(_) => in_flight / 2,
            Control::Cubic(cubic) => cubic.on_loss(self.cwnd, in_flight),
        };
        self.ssthresh = share.max(2 * mss);
        self.counted = 0;
    }

    /// An ACK says that routers have marked what it acknowledges.
    pub(crate) fn on_marked(&mut self, acked: &Acked) {
        if let Control::Dctcp(dctcp) = &mut self.control {
            dctcp.on_marked(acked);
        }
    }

    /// The window is to be reduced for that, at once (RFC 3168 section 6.1.2).
    pub(crate) fn on_mark(&mut self, in_flight: u32, mss: u32) {
        match &self.control {
            Control::Dctcp(dctcp) => {
                self.ssthresh = dctcp.reduced(self.cwnd).max(2 * mss);
                self.counted = 0;
            }
            _ => self.on_loss(in_flight, mss),
        }
        self.cwnd = self.ssthresh.min(self.cwnd);
    }

    /// It wants ECN.
    pub(crate) fn is_dctcp(&self) -> bool {
        matches!(self.control, Control::Dctcp(_))
    }

    /// The recovery is over.
    pub(crate) fn on_recovered(&mut self) {
        self.cwnd = self.ssthresh;
    }

    /// The retransmission timer has run out (RFC 5681 section 3.1: LW is one segment).
    pub(crate) fn on_timeout(&mut self, mss: u32) {
        self.end_start();
        if let Control::Cubic(cubic) = &mut self.control {
            cubic.on_timeout();
        }
        self.counted = 0;
        self.cwnd = mss;
    }

    /// Nothing has been sent for longer than a retransmission timeout: what the window says is out of date (RFC 5681
    /// section 4.1).
    pub(crate) fn on_idle(&mut self, mss: u32) {
        if let Control::Cubic(cubic) = &mut self.control {
            cubic.on_idle();
        }
        self.cwnd = self.cwnd.min(INITIAL_SEGMENTS * mss);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rtt::RttEstimator;
    use super::{Acked, Algorithm, Congestion};
    use crate::Instant;
    use crate::seq::SeqNum;

    const MSS: u32 = 1000;
    const NOW: Instant = Instant(1 << 40);

    fn acked(bytes: u32, peak: u32) -> Acked {
        Acked {
            bytes,
            una: SeqNum(0),
            nxt: SeqNum(peak),
            peak,
            mss: MSS,
        }
    }

    fn rtt() -> RttEstimator {
        RttEstimator::new(0)
    }

    #[test]
    fn slow_start_doubles_and_an_idle_window_stays() {
        let mut congestion = Congestion::new(MSS, Algorithm::NewReno);
        for _ in 0..10 {
            congestion.on_ack(&acked(MSS, 20 * MSS), NOW, &rtt());
        }
        assert_eq!(congestion.window(), 20 * MSS);
        congestion.on_ack(&acked(MSS, 3 * MSS), NOW, &rtt());
        assert_eq!(congestion.window(), 20 * MSS);
    }

    #[test]
    fn avoidance_adds_one_segment_per_window() {
        let mut congestion = Congestion::new(MSS, Algorithm::NewReno);
        congestion.on_loss(8 * MSS, MSS);
        congestion.on_timeout(MSS);
        assert_eq!(congestion.window(), MSS);
        for _ in 0..3 {
            congestion.on_ack_after_timeout(&acked(3 * MSS, 20 * MSS), NOW, &rtt());
        }
        assert_eq!(congestion.window(), 4 * MSS);
        for _ in 0..4 {
            congestion.on_ack(&acked(MSS, 20 * MSS), NOW, &rtt());
        }
        assert_eq!(congestion.window(), 5 * MSS);
    }

    /// RFC 3465 section 2.1: a segment acknowledged byte by byte counts as one.
    #[test]
    fn divided_acknowledgements_gain_nothing() {
        let mut congestion = Congestion::new(MSS, Algorithm::NewReno);
        for _ in 0..MSS {
            congestion.on_ack(&acked(1, 20 * MSS), NOW, &rtt());
        }
        assert_eq!(congestion.window(), 11 * MSS);
    }

    /// RFC 3168 section 6.1.2: as a loss, but at once.
    #[test]
    fn a_mark_reduces_the_window() {
        for (algorithm, left) in [
            (Algorithm::NewReno, 5),
            (Algorithm::Cubic, 7),
            (Algorithm::Dctcp, 5),
        ] {
            let mut congestion = Congestion::new(MSS, algorithm);
            congestion.on_mark(10 * MSS, MSS);
            assert_eq!(congestion.window(), left * MSS, "{algorithm:?}");
            for _ in 0..20 {
                congestion.on_mark(congestion.window(), MSS);
            }
            assert_eq!(congestion.window(), 2 * MSS, "{algorithm:?}");
        }
    }
}
