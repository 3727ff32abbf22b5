//! Calls to the launcher under way: which slot of the host area holds whose question, and what the answer is for. What
//! comes back is checked where it is used.

use super::linux::files::Then;
use ix_abi::host::HostCalls;
use ix_abi::host::hostcall::{Answered, FILE_SLOTS, INPUT_SLOTS, Operation, Slot};

/// The launcher's end.
#[derive(Clone, Copy)]
pub(super) struct Link {
    /// The slots.
    pub(super) calls: &'static HostCalls,
    /// Wakes the launcher if it sleeps.
    pub(super) ring: fn(),
}

impl Link {
    /// One of these slots, a bit for each, has an answer.
    pub(super) fn is_any_answered(&self, asked: u32) -> bool {
        let slots = self.calls.files.iter().chain(&self.calls.input);
        (0..)
            .zip(slots)
            .any(|(bit, slot)| asked >> bit & 1 != 0 && slot.is_answered())
    }
}

const _: () = assert!(FILE_SLOTS + INPUT_SLOTS <= 32);

/// A thread that waits for an answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) thread: usize,
    /// What is done with the answer.
    pub(super) then: Then,
}

/// Which slots a call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Files,
    /// Standard input: its slots may be taken for ever.
    Input,
}

impl Kind {
    pub(super) fn of(operation: Operation) -> Self {
        match operation {
            Operation::InputRead | Operation::InputReady => Kind::Input,
            _ => Kind::Files,
        }
    }
}

/// A slot by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(Kind, usize);

/// All calls under way.
#[derive(Default)]
pub(super) struct HostLine {
    link: Option<Link>,
    files: [Option<Pending>; FILE_SLOTS],
    input: [Option<Pending>; INPUT_SLOTS],
    /// How many slots are taken.
    taken: usize,
    /// Calls made so far.
    total: u64,
}

impl HostLine {
    pub(super) fn new(link: Option<Link>) -> Self {
        HostLine {
            link,
            ..HostLine::default()
        }
    }

    /// The launcher's end.
    pub(super) fn link(&self) -> Option<Link> {
        self.link
    }

    /// The slots with a question, a bit for each.
    pub(super) fn asked(&self) -> u32 {
        let slots = self.files.iter().chain(&self.input);
        slots
            .rev()
            .fold(0, |bits, slot| bits << 1 | u32::from(slot.is_some()))
    }

    /// There is a launcher to ask.
    pub(super) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Calls made so far, for `ix stats`.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    fn table(&mut self, kind: Kind) -> &mut [Option<Pending>] {
        match kind {
            Kind::Files => &mut self.files,
            Kind::Input => &mut self.input,
        }
    }

    /// A place that nobody uses.
    pub(super) fn free(&mut self, kind: Kind) -> Option<Place> {
        let index = self.table(kind).iter().position(Option::is_none)?;
        Some(Place(kind, index))
    }

    /// The slot at a place.
    pub(super) fn slot(&self, Place(kind, index): Place) -> Option<&'static Slot> {
        let calls = self.link?.calls;
        match kind {
            Kind::Files => calls.files.get(index),
            Kind::Input => calls.input.get(index),
        }
    }

    /// Posts the question whose data are in the slot.
    pub(super) fn post(
        &mut self,
        place: Place,
        (operation, arguments): (Operation, [u64; 4]),
        data_bytes: usize,
        pending: Pending,
    ) {
        let (Some(link), Some(slot)) = (self.link, self.slot(place)) else {
            return;
        };
        if let Some(entry) = self.table(place.0).get_mut(place.1) {
            *entry = Some(pending);
            self.taken += 1;
            self.total += 1;
            slot.post(operation, arguments, data_bytes);
            link.calls.count_posted();
            (link.ring)();
        }
    }

    fn answered(&self) -> Option<Place> {
        if self.taken == 0 {
            return None;
        }
        let calls = self.link?.calls;
        let first = |kind, table: &[Option<Pending>], slots: &[Slot]| {
            let mut both = table.iter().zip(slots);
            let index = both.position(|(pending, slot)| pending.is_some() && slot.is_answered())?;
            Some(Place(kind, index))
        };
        first(Kind::Files, &self.files, &calls.files)
            .or_else(|| first(Kind::Input, &self.input, &calls.input))
    }

    /// Takes an answer; the place is free again, but its data stay until it is used.
    pub(super) fn take(&mut self) -> Option<(Place, Answered, Pending)> {
        let place = self.answered()?;
        let answered = self.slot(place)?.answered()?;
        let pending = self.table(place.0).get_mut(place.1)?.take()?;
        self.taken -= 1;
        Some((place, answered, pending))
    }
}

impl core::fmt::Debug for HostLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HostLine")
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
