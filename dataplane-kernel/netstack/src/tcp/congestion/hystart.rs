//! HyStart++ (RFC 9406): slow start ends when round trips become longer, before the queue overflows. Times in the units of
//! the estimator of round-trip times.

use super::Acked;
use crate::seq::SeqNum;
use crate::tcp::rtt::units;

/// N_RTT_SAMPLE.
const SAMPLES: u8 = 8;
/// CSS_GROWTH_DIVISOR.
const GROWTH_DIVISOR: u32 = 4;
/// CSS_ROUNDS.
const ROUNDS: u8 = 5;
const UNKNOWN: u32 = u32::MAX;

/// What is kept beside the window during the first slow start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HyStart {
    /// windowEnd: SND.NXT when the round began.
    end: SeqNum,
    /// lastRoundMinRTT and currentRoundMinRTT.
    last_min: u32,
    current_min: u32,
    /// cssBaselineMinRtt, in conservative slow start; else unknown.
    baseline: u32,
    /// rttSampleCount, and one more: 0 before the first round.
    counted: u8,
    /// Rounds of conservative slow start.
    rounds: u8,
}

/// What becomes of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It grows by so many bytes.
    Grow(u32),
    /// Slow start is over.
    End,
}

impl HyStart {
    pub(crate) const NEW: HyStart = HyStart {
        end: SeqNum(0),
        last_min: UNKNOWN,
        current_min: UNKNOWN,
        baseline: UNKNOWN,
        counted: 0,
        rounds: 0,
    };

    /// An ACK, and the round-trip time that was measured last (section 4.2). The growth by one ACK is not limited (L): a
    /// peer that takes segments in batches acknowledges a batch.
    pub(crate) fn on_ack(&mut self, acked: &Acked, rtt: u32) -> Step {
        if self.counted == 0 || acked.una.after(self.end) {
            if self.baseline != UNKNOWN {
                self.rounds += 1;
                if self.rounds >= ROUNDS {
                    return Step::End;
                }
            }
            (self.last_min, self.current_min) = (self.current_min, UNKNOWN);
            (self.end, self.counted) = (acked.nxt, 1);
        }
        self.current_min = self.current_min.min(rtt);
        self.counted = self.counted.saturating_add(1);
        if self.counted > SAMPLES {
            self.judge();
        }
        if self.baseline == UNKNOWN {
            Step::Grow(acked.bytes)
        } else {
            Step::Grow(acked.bytes / GROWTH_DIVISOR)
        }
    }

    /// The round has enough samples.
    fn judge(&mut self) {
        if self.baseline == UNKNOWN {
            // MIN_RTT_THRESH and MAX_RTT_THRESH.
            let (least, most) = (units(4_000_000), units(16_000_000));
            let threshold = (self.last_min / 8).clamp(least, most);
            let is_longer = self.last_min != UNKNOWN && self.current_min >= self.last_min + threshold;
            if is_longer {
                (self.baseline, self.rounds) = (self.current_min, 0);
            }
        } else if self.current_min < self.baseline {
            self.baseline = UNKNOWN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HyStart, Step};
    use crate::seq::SeqNum;
    use crate::tcp::congestion::Acked;
    use crate::tcp::rtt::units;

    const MS: u64 = 1_000_000;
    const MSS: u32 = 1000;

    /// A round of ten ACKs with this round-trip time; gives what the last one came to.
    fn round(start: &mut HyStart, number: u32, rtt_ms: u64) -> Step {
        let mut step = Step::End;
        for ack in 1..=10 {
            let una = SeqNum(0) + (number * 10 + ack) * MSS;
            let acked = Acked {
                bytes: MSS,
                una,
                nxt: SeqNum(0) + (number + 1) * 10 * MSS,
                peak: 10 * MSS,
                mss: MSS,
            };
            step = start.on_ack(&acked, units(rtt_ms * MS));
            if step == Step::End {
                break;
            }
        }
        step
    }

    #[test]
    fn while_round_trips_stay_the_window_doubles() {
        let mut start = HyStart::NEW;
        for number in 0..50 {
            assert_eq!(
                round(&mut start, number, 40 + u64::from(number % 4)),
                Step::Grow(MSS)
            );
        }
    }

    /// By an eighth longer: a quarter of the growth, and after five rounds the end.
    #[test]
    fn longer_round_trips_end_it() {
        let mut start = HyStart::NEW;
        for number in 0..4 {
            round(&mut start, number, 40);
        }
        for number in 4..9 {
            assert_eq!(round(&mut start, number, 46), Step::Grow(MSS / 4), "{number}");
        }
        assert_eq!(round(&mut start, 9, 46), Step::End);
    }

    #[test]
    fn when_they_come_down_again_it_goes_on() {
        let mut start = HyStart::NEW;
        for number in 0..4 {
            round(&mut start, number, 40);
        }
        assert_eq!(round(&mut start, 4, 50), Step::Grow(MSS / 4));
        assert_eq!(round(&mut start, 5, 41), Step::Grow(MSS));
    }
}
