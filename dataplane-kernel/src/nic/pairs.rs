//! What the queue pairs of one card tell each other, each on a core of its own: how the card is doing, and that it is down. Only
//! the first pair's core touches the card as a whole. It takes the card down by a reset, so that it touches no memory; then
//! every pair puts its queues back to their beginning (*parks*), and when all have, the card is brought back.

use super::Health;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

/// A [`Health`] that several cores read.
#[derive(Debug)]
pub(super) struct SharedHealth(AtomicU8);

impl SharedHealth {
    pub(super) fn new(health: Health) -> Self {
        SharedHealth(AtomicU8::new(health as u8))
    }

    pub(super) fn set(&self, health: Health) {
        self.0.store(health as u8, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Health {
        match self.0.load(Ordering::Relaxed) {
            0 => Health::LinkUp,
            1 => Health::LinkDown,
            _ => Health::Failed,
        }
    }
}

/// Shared by all pairs; in the steady state nobody writes it.
#[derive(Debug)]
pub(super) struct Pairs {
    count: u32,
    pub(super) health: SharedHealth,
    /// Times the card went down or came back; odd: it is down.
    turns: AtomicU32,
    /// Pairs that have parked since it went down.
    parked: AtomicU32,
    /// A pair wants the card to be reset.
    reset_wanted: AtomicBool,
}

impl Pairs {
    pub(super) fn new(count: u16, health: Health) -> Arc<Self> {
        Arc::new(Pairs {
            count: count.into(),
            health: SharedHealth::new(health),
            turns: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            reset_wanted: AtomicBool::new(false),
        })
    }

    pub(super) fn is_down(&self) -> bool {
        self.turns.load(Ordering::Acquire) % 2 == 1
    }

    /// By the first pair, whose card has been reset and touches no memory.
    pub(super) fn take_down(&self) {
        if !self.is_down() {
            self.parked.store(0, Ordering::Relaxed);
            self.reset_wanted.store(false, Ordering::Relaxed);
            self.turns.fetch_add(1, Ordering::Release);
        }
    }

    /// The card can be given its queues.
    pub(super) fn have_parked(&self) -> bool {
        self.parked.load(Ordering::Acquire) == self.count
    }

    /// By the first pair, whose card works again.
    pub(super) fn bring_back(&self) {
        if self.is_down() {
            self.turns.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn want_reset(&self) {
        self.reset_wanted.store(true, Ordering::Relaxed);
    }

    pub(super) fn reset_is_wanted(&self) -> bool {
        self.reset_wanted.load(Ordering::Relaxed)
    }
}

/// One pair's view of them.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) pairs: Arc<Pairs>,
    /// [`Pairs::turns`] as last followed.
    seen: u32,
}

impl Member {
    pub(super) fn new(pairs: &Arc<Pairs>) -> Self {
        Member {
            pairs: Arc::clone(pairs),
            seen: 0,
        }
    }

    /// The card went down or came back since [`Member::goes_down`].
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.pairs.turns.load(Ordering::Relaxed) != self.seen
    }

    /// As last followed.
    #[inline]
    pub(super) fn is_down(&self) -> bool {
        self.seen % 2 == 1
    }

    /// The link is up, as far as is known.
    pub(super) fn link_up(&self) -> bool {
        self.pairs.health.get() == Health::LinkUp
    }

    /// Follows the card; `true` if it has gone down: its queues are to be put back to their beginning before [`Member::parked`].
    pub(super) fn goes_down(&mut self) -> bool {
        let turns = self.pairs.turns.load(Ordering::Acquire);
        let has_news = turns != self.seen;
        self.seen = turns;
        has_news && self.is_down()
    }

    /// The queues are at their beginning.
    pub(super) fn parked(&self) {
        self.pairs.parked.fetch_add(1, Ordering::Release);
    }
}

/// Looks of [`super::Nic::check`] that may find no progress before the card counts as hung: seconds.
const PATIENCE: u32 = 3;

/// Whether a transmit queue stands still.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// Frames let go of, if the card had any, when it was last looked at.
    waiting: Option<u32>,
    looks: u32,
}

/// What a look at a queue has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Made,
    /// None since the look before.
    None,
    /// None for so long that the card hangs.
    Hung,
}

impl Standstill {
    /// A look: `done` frames were let go of, and the card has some or is idle.
    pub(super) fn look(&mut self, done: u32, is_idle: bool) -> Progress {
        let waiting = (!is_idle).then_some(done);
        let before = core::mem::replace(&mut self.waiting, waiting);
        if waiting.is_none() || waiting != before {
            self.looks = 0;
            return Progress::Made;
        }
        self.looks += 1;
        if self.looks < PATIENCE {
            Progress::None
        } else {
            Progress::Hung
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Member, Pairs, Progress, Standstill};
    use crate::nic::Health;

    #[test]
    fn a_card_comes_back_when_all_have_parked() {
        let pairs = Pairs::new(2, Health::LinkUp);
        let mut members = [Member::new(&pairs), Member::new(&pairs)];
        pairs.take_down();
        for member in &mut members {
            assert!(!pairs.have_parked());
            assert!(member.has_news() && !member.is_down());
            assert!(member.goes_down() && !member.goes_down());
            assert!(member.is_down() && !member.has_news());
            member.parked();
        }
        assert!(pairs.have_parked() && pairs.is_down());
        pairs.bring_back();
        assert!(!members[1].goes_down(), "there is nothing to park");
        assert!(!members[1].is_down() && members[0].has_news());
    }

    #[test]
    fn a_queue_hangs_when_it_has_stood_still_for_three_looks() {
        let mut standstill = Standstill::default();
        let looks = [
            (5, false),
            (5, false),
            (6, false),
            (6, true),
            (6, false),
            (6, false),
            (6, false),
            (6, false),
        ];
        let found = looks.map(|(done, is_idle)| standstill.look(done, is_idle));
        let (made, none) = (Progress::Made, Progress::None);
        assert_eq!(found, [made, none, made, made, made, none, none, Progress::Hung]);
    }
}
