//! To where a frame goes, with all of its parts.

use super::Outbound;
use crate::arch::{places, sleep};
use crate::nic::{MAX_PARTS, RxFrame};
use alloc::vec::Vec;
use netstack::BufId;
use netstack::rss::Target;

/// To each core, by its number; none to the own one.
pub(super) struct Lines {
    pub(super) own: usize,
    pub(super) outbound: Vec<Option<Outbound>>,
    /// Frames handed to other cores.
    pub(super) handed: u64,
    /// Frames dropped because a core had not taken those before.
    pub(super) dropped: u64,
}

/// Where all parts of a frame go.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Own,
    All,
    To(usize),
    Nowhere,
}

impl Lines {
    /// The way of a frame of one part, or of several, which begins. What is for all is copied, but not if it has several parts:
    /// then it is the host's.
    #[inline]
    pub(super) fn way(&mut self, target: Target, continues: bool) -> Way {
        let core = match target {
            Target::All if !continues => return Way::All,
            Target::All => 0,
            Target::Core(core) => usize::from(core),
        };
        if core == self.own {
            return Way::Own;
        }
        let Some(Some(line)) = self.outbound.get_mut(core) else {
            return Way::Own;
        };
        let parts = if continues { MAX_PARTS } else { 1 };
        if line.has_room(parts) {
            self.handed += 1;
            Way::To(core)
        } else {
            self.dropped += 1;
            Way::Nowhere
        }
    }

    /// Hands a part to a core to which it has a way; gives its buffer back if there is no room after all.
    #[inline]
    pub(super) fn hand(&mut self, core: usize, frame: RxFrame) -> Option<BufId> {
        let left = match self.outbound.get_mut(core) {
            Some(Some(line)) => line.push(Some(frame)).err().flatten(),
            _ => Some(frame),
        };
        left.map(|frame| frame.buf)
    }

    /// Those to other cores.
    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Outbound> {
        self.outbound.iter_mut().flatten()
    }

    /// Lets the others see what was handed to them.
    #[inline]
    pub(super) fn publish(&mut self) {
        for (core, line) in self.outbound.iter_mut().enumerate() {
            if line.as_mut().is_some_and(Outbound::publish) {
                sleep::rouse(places::of(core));
            }
        }
    }
}
