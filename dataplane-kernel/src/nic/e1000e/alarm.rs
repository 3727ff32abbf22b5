//! A receive queue's interrupt, for a core that sleeps (the 82574L's datasheet, section 7.1.11 and the registers ICR, IMS, IMC,
//! IVAR).

use super::regs::Cause;
use crate::hw::pci::msix::Vector;
use crate::nic;

#[derive(Debug)]
pub(super) struct Alarm<C> {
    vector: Vector,
    cause: C,
    is_set: bool,
}

impl<C: Cause> Alarm<C> {
    pub(super) fn new(vector: Vector, cause: C) -> Self {
        Alarm {
            vector,
            cause,
            is_set: false,
        }
    }

    /// See [`crate::nic::Nic::arm`]; `has_frame` looks at the queue.
    pub(super) fn set(&mut self, has_frame: impl FnOnce() -> bool) -> nic::Alarm {
        if !self.vector.aim_here() {
            return nic::Alarm::Unavailable;
        }
        // Also if it is let in already: a card masks a cause that has interrupted.
        self.cause.let_in();
        self.is_set = true;
        if has_frame() {
            nic::Alarm::TooLate
        } else {
            nic::Alarm::Set
        }
    }

    /// See [`crate::nic::Nic::disarm`].
    pub(super) fn clear(&mut self) {
        if self.is_set {
            self.cause.shut_out();
            self.is_set = false;
        }
    }
}
