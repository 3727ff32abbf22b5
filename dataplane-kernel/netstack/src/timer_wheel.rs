//! A hierarchical timer wheel after IX's: ticks of 16 us, three levels of 256 buckets, so 268 s in one turn; later
//! deadlines go round again. Arming, moving and cancelling are O(1), and so is an advance over idle time, however long.
//!
//! The timers are slots, numbered from 0, that the owner of the wheel gives meaning to (a flow, an app timer, ...). A
//! slot is a member of at most one list: that of a bucket, or that of the timers that are due.

use crate::Instant;
use alloc::boxed::Box;

/// A tick is 2^14 ns (16.384 us), so that no division turns nanoseconds into ticks.
pub const TICK_SHIFT: u32 = 14;
const LEVELS: usize = 3;
const BUCKETS: usize = 256;
/// Ticks in one turn of the last level.
const TURN: u64 = 1 << (8 * LEVELS);
/// The list of the due comes after those of the buckets.
const DUE: usize = LEVELS * BUCKETS;
/// `next` of a slot that is in no list.
const NOWHERE: u32 = u32::MAX;

/// A link of a circular list. Past the slots come the list heads, one for each bucket and one for the due, so that
/// unlinking needs not to know from where.
#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    prev: u32,
    /// In ticks.
    deadline: u64,
}

/// The wheel and its slots.
#[derive(Debug)]
pub struct TimerWheel {
    nodes: Box<[Node]>,
    slots: u32,
    /// One bit for each bucket that is not empty.
    occupied: [Bits; LEVELS],
    /// All timers up to and including this tick have been moved to the list of the due.
    tick: u64,
    /// Before this tick there is nothing to do, and `tick` may stay behind: a cycle with no timer to serve, which most
    /// are, costs a comparison.
    quiet_until: u64,
}

impl TimerWheel {
    /// A wheel of `slots` timers, none armed. It allocates here and never again.
    #[must_use]
    pub fn new(slots: u32, now: Instant) -> Self {
        let heads = u32::try_from(DUE + 1).unwrap_or(NOWHERE);
        let nodes = (0..slots.saturating_add(heads))
            .map(|index| {
                let link = if index < slots { NOWHERE } else { index };
                Node {
                    next: link,
                    prev: link,
                    deadline: 0,
                }
            })
            .collect();
        TimerWheel {
            nodes,
            slots,
            occupied: [Bits::default(); LEVELS],
            tick: now.0 >> TICK_SHIFT,
            quiet_until: u64::MAX,
        }
    }

    /// Arms the timer `slot`, or moves it if it is armed. It comes up no earlier than at `deadline` and less than a
    /// tick after it; a deadline in the past comes up with the next tick, so that a timer re-armed while the due are
    /// served cannot keep its server busy for ever.
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub fn arm(&mut self, slot: u32, deadline: Instant) {
        self.cancel(slot);
        let deadline = deadline.0.div_ceil(1 << TICK_SHIFT);
        self.place(slot, deadline.max(self.tick + 1));
    }

    /// Disarms the timer `slot`; tells whether it was armed (or due and not yet taken).
    ///
    /// # Panics
    /// If there is no such slot.
    #[inline]
    pub fn cancel(&mut self, slot: u32) -> bool {
        assert!(slot < self.slots);
        let armed = self.is_armed(slot);
        if armed {
            self.unlink(slot);
        }
        armed
    }

    /// `true` from arming until it is cancelled or taken by [`TimerWheel::pop_due`].
    #[inline]
    #[must_use]
    pub fn is_armed(&self, slot: u32) -> bool {
        self.nodes[slot as usize].next != NOWHERE
    }

    /// Moves all timers whose deadline has come to the list of the due. Time going backwards is ignored.
    #[inline]
    pub fn advance(&mut self, now: Instant) {
        let now = now.0 >> TICK_SHIFT;
        if now >= self.quiet_until {
            self.open_until(now);
        }
    }

    fn open_until(&mut self, now: u64) {
        self.quiet_until = loop {
            match self.next_stop() {
                Some((tick, level)) if tick <= now => {
                    self.tick = tick;
                    self.open_bucket(level);
                }
                stop => break stop.map_or(u64::MAX, |(tick, _)| tick),
            }
        };
        self.tick = self.tick.max(now);
    }

    /// Takes one timer that is due; call it after [`TimerWheel::advance`] until `None`.
    #[inline]
    pub fn pop_due(&mut self) -> Option<u32> {
        let slot = self.nodes[self.head(DUE) as usize].next;
        if slot >= self.slots {
            return None;
        }
        self.unlink(slot);
        Some(slot)
    }

    /// When [`TimerWheel::advance`] has something to do next: the deadline of the next timer if it is within the tick's
    /// level, else a point before it at which it comes down a level. `None` if no timer is armed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let head = self.head(DUE);
        let tick = if self.nodes[head as usize].next == head {
            self.next_stop()?.0
        } else {
            self.tick
        };
        Some(Instant(tick.saturating_mul(1 << TICK_SHIFT)))
    }

    /// The next tick with a bucket to open, and the level of that bucket. Level 0 holds the rest of the present 256
    /// ticks, level 1 the rest of the present 65536, level 2 what comes after: so the first level with anything has it.
    #[inline]
    fn next_stop(&self) -> Option<(u64, usize)> {
        let tick = self.tick;
        if let Some(bucket) = self.occupied[0].first_after(position(tick, 0)) {
            return Some((tick & !0xff | u64::from(bucket), 0));
        }
        if let Some(bucket) = self.occupied[1].first_after(position(tick, 1)) {
            return Some((tick & !0xffff | u64::from(bucket) << 8, 1));
        }
        // The last level is a circle; the present bucket stands for a whole turn from now.
        let present = position(tick, 2);
        let turns = tick & !(TURN - 1);
        if let Some(bucket) = self.occupied[2].first_after(present) {
            return Some((turns | u64::from(bucket) << 16, 2));
        }
        let bucket = self.occupied[2].first()?;
        Some((turns + TURN + (u64::from(bucket) << 16), 2))
    }

    /// The bucket of `level` at the present tick: its timers are due, or belong to a lower level now.
    fn open_bucket(&mut self, level: usize) {
        let bucket = position(self.tick, level);
        let head = self.head(level * BUCKETS + usize::from(bucket));
        self.occupied[level].clear(bucket);
        let mut slot = self.nodes[head as usize].next;
        self.nodes[head as usize].next = head;
        self.nodes[head as usize].prev = head;
        while slot != head {
            let Node { next, deadline, .. } = self.nodes[slot as usize];
            self.place(slot, deadline);
            slot = next;
        }
    }

    /// Puts a slot that is in no list where its deadline belongs.
    #[inline]
    fn place(&mut self, slot: u32, deadline: u64) {
        let list = if deadline <= self.tick {
            DUE
        } else {
            let level = match deadline ^ self.tick {
                0..=0xff => 0,
                0x100..=0xffff => 1,
                _ => 2,
            };
            let last = (self.tick & !0xffff) + TURN;
            let bucket = position(deadline.min(last), level);
            self.occupied[level].set(bucket);
            // A bucket of a higher level is opened before the deadline, at the first tick it stands for.
            let opens = deadline.min(last) & (u64::MAX << (8 * level));
            self.quiet_until = self.quiet_until.min(opens);
            level * BUCKETS + usize::from(bucket)
        };
        let head = self.head(list);
        let tail = self.nodes[head as usize].prev;
        self.nodes[slot as usize] = Node {
            next: head,
            prev: tail,
            deadline,
        };
        self.nodes[tail as usize].next = slot;
        self.nodes[head as usize].prev = slot;
    }

    #[inline]
    fn unlink(&mut self, slot: u32) {
        let Node { next, prev, .. } = self.nodes[slot as usize];
        self.nodes[slot as usize].next = NOWHERE;
        self.nodes[prev as usize].next = next;
        self.nodes[next as usize].prev = prev;
        if next == prev
            && let Some(list) = next.checked_sub(self.slots)
        {
            let [bucket, level, ..] = list.to_le_bytes();
            if let Some(bits) = self.occupied.get_mut(usize::from(level)) {
                bits.clear(bucket);
            }
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a list number is at most 768")]
    fn head(&self, list: usize) -> u32 {
        self.slots + list as u32
    }
}

/// Which bucket of `level` a tick falls into.
#[inline]
fn position(tick: u64, level: usize) -> u8 {
    tick.to_le_bytes()[level]
}

/// A set of the numbers 0 to 255.
#[derive(Clone, Copy, Debug, Default)]
struct Bits([u64; 4]);

impl Bits {
    #[inline]
    fn set(&mut self, bit: u8) {
        self.0[usize::from(bit >> 6)] |= 1 << (bit & 63);
    }

    #[inline]
    fn clear(&mut self, bit: u8) {
        self.0[usize::from(bit >> 6)] &= !(1 << (bit & 63));
    }

    #[inline]
    fn first(&self) -> Option<u8> {
        self.first_in(0, u64::MAX)
    }

    /// The smallest member above `bit`.
    #[inline]
    fn first_after(&self, bit: u8) -> Option<u8> {
        self.first_in(bit >> 6, (u64::MAX - 1) << (bit & 63))
    }

    /// The smallest member in the 64 numbers of `word` that `mask` leaves, or in the words after it.
    #[inline]
    fn first_in(&self, word: u8, mask: u64) -> Option<u8> {
        let mut mask = mask;
        for index in word..4 {
            let bits = self.0[usize::from(index)] & mask;
            if bits != 0 {
                let [low, ..] = bits.trailing_zeros().to_le_bytes();
                return Some(index << 6 | low);
            }
            mask = u64::MAX;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{TICK_SHIFT, TURN, TimerWheel};
    use crate::Instant;
    use std::vec::Vec;

    fn at(tick: u64) -> Instant {
        Instant(tick << TICK_SHIFT)
    }

    fn due(wheel: &mut TimerWheel, tick: u64) -> Vec<u32> {
        wheel.advance(at(tick));
        core::iter::from_fn(|| wheel.pop_due()).collect()
    }

    #[test]
    fn comes_up_at_its_tick_on_every_level() {
        for ticks in [
            1,
            2,
            255,
            256,
            257,
            65_535,
            65_536,
            70_000,
            TURN - 1,
            TURN,
            TURN + 1,
            3 * TURN + 77,
        ] {
            for start in [0, 1, 255, 65_535, TURN - 1, TURN + 12_345] {
                let mut wheel = TimerWheel::new(1, at(start));
                wheel.arm(0, Instant(at(start + ticks).0 - 1));
                assert!(due(&mut wheel, start + ticks - 1).is_empty(), "{start} + {ticks}");
                assert_eq!(due(&mut wheel, start + ticks), [0], "{start} + {ticks}");
                assert_eq!(wheel.next_deadline(), None);
            }
        }
    }

    #[test]
    fn one_long_advance_finds_all() {
        let mut wheel = TimerWheel::new(5, at(7));
        for (slot, ticks) in [(0, 3), (1, 300), (2, 70_000), (3, 2 * TURN)] {
            wheel.arm(slot, at(ticks));
        }
        assert_eq!(due(&mut wheel, 100_000), [0, 1, 2]);
        assert!(wheel.is_armed(3) && !wheel.is_armed(2) && !wheel.is_armed(4));
    }

    #[test]
    fn cancelling_empties_the_bucket() {
        let mut wheel = TimerWheel::new(2, at(0));
        wheel.arm(0, at(1000));
        assert!(wheel.cancel(0));
        assert!(!wheel.cancel(0));
        assert_eq!(wheel.next_deadline(), None);
        assert!(due(&mut wheel, 5000).is_empty());
    }

    #[test]
    fn a_due_timer_can_still_be_cancelled_or_moved() {
        let mut wheel = TimerWheel::new(3, at(0));
        for slot in 0..3 {
            wheel.arm(slot, at(10));
        }
        wheel.advance(at(20));
        assert_eq!(wheel.pop_due(), Some(0));
        assert!(wheel.cancel(1));
        wheel.arm(2, at(5));
        assert_eq!(wheel.pop_due(), None);
        assert_eq!(due(&mut wheel, 21), [2]);
    }
}
