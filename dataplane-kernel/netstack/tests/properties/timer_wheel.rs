use netstack::Instant;
use netstack::timer_wheel::TimerWheel;
use proptest::prelude::*;

const SLOTS: u32 = 20;
const TICK_NS: u64 = 1 << 14;

#[derive(Clone, Debug)]
enum Step {
    Arm {
        slot: u32,
        after_ns: u64,
    },
    Cancel {
        slot: u32,
    },
    Advance {
        ns: u64,
    },
    /// To where the wheel says that something is to do.
    Sleep,
}

/// Times of all magnitudes: the levels of the wheel, and beyond its last turn.
fn span_ns() -> impl Strategy<Value = u64> {
    (0u32..42, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..SLOTS, span_ns()).prop_map(|(slot, after_ns)| Step::Arm { slot, after_ns }),
        1 => (0..SLOTS).prop_map(|slot| Step::Cancel { slot }),
        2 => span_ns().prop_map(|ns| Step::Advance { ns }),
        2 => Just(Step::Sleep),
    ]
}

/// Deadlines in a plain array.
struct Model {
    deadlines: [Option<u64>; SLOTS as usize],
}

impl Model {
    /// A timer may come up from its deadline on, and must within one tick after it (or after it was armed, if its
    /// deadline was in the past).
    fn check_due(&mut self, due: &[u32], now: u64) -> Result<(), TestCaseError> {
        for slot in due {
            let deadline = self.deadlines[*slot as usize].take();
            let deadline = deadline.ok_or_else(|| TestCaseError::fail("came up unarmed"))?;
            prop_assert!(
                deadline <= now,
                "slot {} came up {} ns early",
                slot,
                deadline - now
            );
        }
        for (slot, deadline) in self.deadlines.iter().enumerate() {
            let late = deadline.is_some_and(|deadline| deadline + TICK_NS <= now);
            prop_assert!(
                !late,
                "slot {} of {:?} did not come up at {}",
                slot,
                deadline,
                now
            );
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn behaves_like_a_sorted_list(start in span_ns(), steps in prop::collection::vec(step(), 1..200)) {
        let mut now = start;
        let mut wheel = TimerWheel::new(SLOTS, Instant(now));
        let mut model = Model { deadlines: [None; SLOTS as usize] };
        for step in steps {
            match step {
                Step::Arm { slot, after_ns } => {
                    wheel.arm(slot, Instant(now + after_ns));
                    // One that is due at once comes up with the next tick, counted from the last advance.
                    model.deadlines[slot as usize] = Some((now + after_ns).max((now & !(TICK_NS - 1)) + TICK_NS));
                }
                Step::Cancel { slot } => {
                    let armed = model.deadlines[slot as usize].take().is_some();
                    prop_assert_eq!(wheel.cancel(slot), armed);
                }
                Step::Advance { ns } => now += ns,
                Step::Sleep => now = wheel.next_deadline().map_or(now, |deadline| deadline.0.max(now)),
            }
            wheel.advance(Instant(now));
            let due: Vec<u32> = core::iter::from_fn(|| wheel.pop_due()).collect();
            model.check_due(&due, now)?;
            for slot in 0..SLOTS {
                prop_assert_eq!(wheel.is_armed(slot), model.deadlines[slot as usize].is_some());
            }
            let first = model.deadlines.iter().flatten().min().copied();
            match (wheel.next_deadline(), first) {
                (Some(deadline), Some(first)) => {
                    prop_assert!(deadline.0 > now - now % TICK_NS && deadline.0 < first + TICK_NS);
                }
                (None, None) => {}
                other => return Err(TestCaseError::fail(format!("next deadline {other:?}"))),
            }
        }
    }

    /// Sleeping from deadline to deadline wakes up for nothing at most twice per timer and turn.
    #[test]
    fn sleeping_gets_there(start in span_ns(), after in span_ns()) {
        let mut wheel = TimerWheel::new(1, Instant(start));
        wheel.arm(0, Instant(start + after));
        let turns = after / (TICK_NS << 24);
        let mut wakes = 0;
        while let Some(deadline) = wheel.next_deadline() {
            wheel.advance(deadline);
            wakes += 1;
            if wheel.pop_due().is_some() {
                prop_assert!(deadline.0 >= start + after);
            }
            prop_assert!(wakes <= 4 + turns);
        }
    }
}
