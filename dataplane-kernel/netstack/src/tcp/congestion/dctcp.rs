//! DCTCP (RFC 8257): the share of bytes that routers have marked says how much the window is reduced by. The window grows
//! as Reno's, and a loss costs what it costs Reno.

use super::Acked;
use crate::seq::SeqNum;

/// Binary logarithm of 1 in fixed-point numbers.
const ONE_SHIFT: u32 = 20;
/// Binary logarithm of 1 / g, the weight of a new observation (section 4.2: 1/16).
const WEIGHT_SHIFT: u32 = 4;

/// What is kept beside the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dctcp {
    /// DCTCP.Alpha: the smoothed share of marked bytes, between 0 and 1.
    alpha: u32,
    /// Where this observation window began, and SND.NXT then: its end.
    start: SeqNum,
    end: SeqNum,
    /// Bytes of it that were acknowledged with ECE.
    marked: u32,
    observing: bool,
}

impl Dctcp {
    /// Section 4.2: an alpha of 1, so that the first mark counts as a loss.
    pub(crate) const NEW: Dctcp = Dctcp {
        alpha: 1 << ONE_SHIFT,
        start: SeqNum(0),
        end: SeqNum(0),
        marked: 0,
        observing: false,
    };

    /// An ACK with ECE.
    pub(crate) fn on_marked(&mut self, acked: &Acked) {
        self.marked = self.marked.saturating_add(acked.bytes);
        self.observe(acked);
    }

    /// Section 3.3, step 5 to 8: once per window of data. (A division, as often.)
    #[allow(clippy::cast_possible_truncation, reason = "a share is 1 at most")]
    pub(crate) fn observe(&mut self, acked: &Acked) {
        if self.observing && !acked.una.after(self.end) {
            return;
        }
        if self.observing {
            let all = u64::from(self.start.distance_to(acked.una));
            let share = (u64::from(self.marked) << ONE_SHIFT) / all.max(1);
            let share = share.min(1 << ONE_SHIFT) as u32;
            self.alpha = self.alpha - (self.alpha >> WEIGHT_SHIFT) + (share >> WEIGHT_SHIFT);
        }
        (self.observing, self.marked) = (true, 0);
        (self.start, self.end) = (acked.una, acked.nxt);
    }

    /// Section 3.4: the window, after a mark, of one of `cwnd`.
    #[allow(clippy::cast_possible_truncation, reason = "less than the window")]
    pub(crate) fn reduced(&self, cwnd: u32) -> u32 {
        cwnd - ((u64::from(cwnd) * u64::from(self.alpha)) >> (ONE_SHIFT + 1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{Dctcp, ONE_SHIFT};
    use crate::seq::SeqNum;
    use crate::tcp::congestion::Acked;
    use core::ops::Range;

    const WINDOW: u32 = 100_000;
    const START: SeqNum = SeqNum(u32::MAX - 150_000);

    /// These windows of data, of each `percent` marked.
    fn follow(dctcp: &mut Dctcp, windows: Range<u32>, percent: u32) {
        for window in windows {
            for part in 0..100 {
                let una = START + (window * WINDOW + (part + 1) * WINDOW / 100);
                let acked = Acked {
                    bytes: WINDOW / 100,
                    una,
                    nxt: una + WINDOW,
                    peak: WINDOW,
                    mss: 1000,
                };
                if part < percent {
                    dctcp.on_marked(&acked);
                } else {
                    dctcp.observe(&acked);
                }
            }
        }
    }

    fn percent(dctcp: &Dctcp) -> u32 {
        (dctcp.alpha * 100) >> ONE_SHIFT
    }

    #[test]
    fn the_first_mark_halves_the_window() {
        assert_eq!(Dctcp::NEW.reduced(WINDOW), WINDOW / 2);
    }

    #[test]
    fn alpha_comes_to_the_share_of_marks() {
        let mut dctcp = Dctcp::NEW;
        follow(&mut dctcp, 0..100, 20);
        assert!((19..=21).contains(&percent(&dctcp)), "{}", percent(&dctcp));
        let reduced = dctcp.reduced(WINDOW);
        assert!((89_000..=91_000).contains(&reduced), "{reduced}");
        follow(&mut dctcp, 100..200, 100);
        assert!(percent(&dctcp) >= 99);
    }

    /// Without marks it falls by a sixteenth per window, down to nothing.
    #[test]
    fn without_marks_alpha_decays() {
        let mut dctcp = Dctcp::NEW;
        follow(&mut dctcp, 0..12, 0);
        assert!((45..=52).contains(&percent(&dctcp)), "{}", percent(&dctcp));
        follow(&mut dctcp, 12..300, 0);
        assert_eq!(dctcp.reduced(WINDOW), WINDOW);
    }
}
