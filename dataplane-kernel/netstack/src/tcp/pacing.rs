//! Data leaves spread over the round trip instead of all at once, for flows whose app wants that (as RFC 9002 section 7.7
//! has it). The state of such a flow comes out of a pool, and nobody else pays for it.

use super::Shared;
use super::flow::{Flow, Marks};
use super::output::Blocked;
use super::scoreboard::NONE;
use crate::{Env, Error, Instant};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// How fast data leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// As fast as the windows allow.
    #[default]
    Off,
    /// A congestion window and a quarter per round trip.
    ByWindow,
    /// At so many bytes per second at most, headers not counted; not 0.
    BytesPerSecond(u64),
}

/// Segments that leave at once at least.
const LEAST_BURST: u32 = 2;
/// Binary logarithm of the time whose data may leave at once, in nanoseconds: a millisecond. That much lateness of a timer is
/// made up for, too.
const BURST_SHIFT: u32 = 20;

/// Of one flow.
#[derive(Clone, Copy, Debug)]
struct Pace {
    pacing: Pacing,
    /// Before that nothing leaves.
    next_at: Instant,
    /// Something would.
    waits: bool,
}

impl Pace {
    const UNUSED: Pace = Pace {
        pacing: Pacing::Off,
        next_at: Instant(0),
        waits: false,
    };
}

/// The pool.
#[derive(Debug)]
pub(crate) struct Paces {
    slots: Box<[Pace]>,
    free: Vec<u32>,
}

impl Paces {
    pub(crate) fn new(capacity: u32) -> Self {
        Paces {
            slots: (0..capacity).map(|_| Pace::UNUSED).collect(),
            free: (0..capacity).rev().collect(),
        }
    }

    /// Flows that are paced.
    pub(crate) fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn get(&mut self, index: u32) -> Option<&mut Pace> {
        self.slots.get_mut(index as usize)
    }
}

impl Flow {
    /// # Errors
    /// `Invalid` for a rate of 0; `NoMemory` while too many other flows are paced.
    pub(crate) fn set_pacing(&mut self, shared: &mut Shared, pacing: Pacing) -> Result<(), Error> {
        if pacing == Pacing::BytesPerSecond(0) {
            return Err(Error::Invalid);
        }
        if pacing == Pacing::Off {
            self.end_pacing(shared);
            self.make_dirty(shared);
            return Ok(());
        }
        if self.pace == NONE {
            self.pace = shared.paces.free.pop().ok_or(Error::NoMemory)?;
            self.marks.set(Marks::PACED);
        }
        if let Some(pace) = shared.paces.get(self.pace) {
            *pace = Pace {
                pacing,
                ..Pace::UNUSED
            };
        }
        self.make_dirty(shared);
        Ok(())
    }

    pub(crate) fn end_pacing(&mut self, shared: &mut Shared) {
        if self.marks.take(Marks::PACED) {
            let index = core::mem::replace(&mut self.pace, NONE);
            shared.paces.free.push(index);
        }
    }

    /// New data, as much as may leave now.
    #[cold]
    #[inline(never)]
    pub(crate) fn transmit_paced<E: Env>(
        &mut self,
        shared: &mut Shared,
        env: &mut E,
        now: Instant,
    ) -> Result<(), Blocked> {
        if !self.has_unsent() {
            return Ok(());
        }
        let Some(pace) = shared.paces.get(self.pace).copied() else {
            return Ok(());
        };
        if now >= pace.next_at {
            if self.in_flight() == 0 {
                self.begin_flight(now);
            }
            let (window, pipe, from) = (self.congestion.window(), self.pipe(shared), self.snd_nxt);
            let burst = self.burst(pace.pacing);
            self.congestion.set_window(window.min(pipe.saturating_add(burst)));
            let sent = self.transmit_new(shared, env, now);
            self.congestion.set_window(window);
            let bytes = from.distance_to(self.snd_nxt);
            let late = now.ns_since(pace.next_at) >> BURST_SHIFT == 0;
            let since = if late { pace.next_at } else { now };
            if bytes > 0
                && let Some(pace) = shared.paces.get(self.pace)
            {
                pace.next_at = since.after_ns(self.time_for(pace.pacing, bytes));
            }
            sent?;
        }
        let (more, Some(pace)) = (self.has_unsent(), shared.paces.get(self.pace)) else {
            return Ok(());
        };
        pace.waits = more && now < pace.next_at;
        if pace.waits {
            let at = pace.next_at;
            self.arm(shared, at);
        }
        Ok(())
    }

    fn has_unsent(&self) -> bool {
        self.snd_nxt != self.snd_end || self.marks.has(Marks::FIN_QUEUED)
    }

    /// Bytes that leave at once.
    fn burst(&self, pacing: Pacing) -> u32 {
        let millisecond = match pacing {
            Pacing::Off => u64::MAX,
            Pacing::BytesPerSecond(rate) => rate >> 10,
            Pacing::ByWindow => {
                let per_trip = u64::from(self.congestion.window()) * 5 / 4;
                (per_trip << BURST_SHIFT) / self.rtt.srtt_ns().max(1)
            }
        };
        let least = LEAST_BURST * u32::from(self.mss);
        u32::try_from(millisecond).unwrap_or(u32::MAX).max(least)
    }

    /// What these bytes take, in nanoseconds. (Divisions, once per burst.)
    fn time_for(&self, pacing: Pacing, bytes: u32) -> u64 {
        let bytes = u64::from(bytes);
        match pacing {
            Pacing::Off => 0,
            Pacing::BytesPerSecond(rate) => bytes * 1_000_000_000 / rate.max(1),
            Pacing::ByWindow => {
                let window = u64::from(self.congestion.window().max(1));
                let share = bytes.saturating_mul(self.rtt.srtt_ns()) / window;
                share / 5 * 4
            }
        }
    }

    /// The timer has gone off: may more leave? Gives when to look again.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_at_pace(&mut self, shared: &mut Shared, now: Instant) -> Instant {
        match shared.paces.get(self.pace) {
            Some(pace) if pace.waits && now < pace.next_at => pace.next_at,
            Some(pace) if pace.waits => {
                pace.waits = false;
                self.make_dirty(shared);
                Instant::FAR
            }
            _ => Instant::FAR,
        }
    }
}
