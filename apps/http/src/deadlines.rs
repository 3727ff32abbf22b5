//! When to look at whom: a timing wheel of one level. Each client stands in it once; one whose time has moved on is put
//! further ahead when its slot comes, so moving it costs nothing.

/// Slots, a tick each.
const SLOTS: usize = 64;

/// Clients of type `T` to be looked at.
#[derive(Debug)]
pub struct Deadlines<T> {
    slots: [Vec<T>; SLOTS],
    tick: u64,
}

impl<T> Deadlines<T> {
    /// Empty, at tick 0.
    #[must_use]
    pub fn new() -> Self {
        Deadlines {
            slots: [const { Vec::new() }; SLOTS],
            tick: 0,
        }
    }

    /// The ticks so far.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.tick
    }

    /// `who` is to be looked at when `tick` comes, or before.
    pub fn insert(&mut self, who: T, tick: u64) {
        let ahead = tick.saturating_sub(self.tick).clamp(1, SLOTS as u64 - 1);
        self.slots[slot(self.tick + ahead)].push(who);
    }

    /// One tick has gone by: whom to look at. Insert those again who are to stay.
    pub fn advance(&mut self) -> Vec<T> {
        self.tick += 1;
        core::mem::take(&mut self.slots[slot(self.tick)])
    }

    /// Everybody who stands in it.
    #[must_use]
    pub fn all(&self) -> Vec<T>
    where
        T: Copy,
    {
        self.slots.iter().flatten().copied().collect()
    }
}

#[allow(clippy::cast_possible_truncation, reason = "below SLOTS")]
fn slot(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Deadlines::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Deadlines;
    use proptest::{collection::vec, proptest};

    proptest! {
        #[test]
        fn everybody_is_looked_at_in_time(deadlines in vec(0..300u64, 0..40)) {
            let mut wheel = Deadlines::new();
            for &deadline in &deadlines {
                wheel.insert(deadline, deadline);
            }
            let mut expired = Vec::new();
            while wheel.tick() < 400 {
                let tick = wheel.tick() + 1;
                for deadline in wheel.advance() {
                    if deadline <= tick {
                        assert!(tick == deadline.max(1), "{deadline} at {tick}");
                        expired.push(deadline);
                    } else {
                        wheel.insert(deadline, deadline);
                    }
                }
            }
            let mut wanted = deadlines;
            wanted.sort_unstable();
            expired.sort_unstable();
            assert_eq!(expired, wanted);
        }
    }
}
