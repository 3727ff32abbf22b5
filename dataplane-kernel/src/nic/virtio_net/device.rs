//! The device as a whole, which the first pair's core looks after: its state, the command queue, and its way back from a reset.

use super::control::Control;
use super::features::{Feature, flow_hashes};
use super::init::{self, InitError, WORKING};
use super::regs::{Registers, status};
use super::ring::{Addresses, SplitQueue};
use crate::nic::recovery::{Card, Counters, State};
use alloc::vec::Vec;
use netstack::rss::{Key, Table};

/// What a device that is not on the bus any more reads as.
const GONE: u8 = 0xff;

/// A queue as the device is told of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    number: u16,
    size: u16,
    at: Addresses,
    /// By which it interrupts.
    vector: Option<u16>,
}

impl Told {
    pub(super) fn new(number: u16, ring: &SplitQueue, vector: Option<u16>) -> Self {
        Told {
            vector,
            number,
            size: ring.size(),
            at: ring.addresses(),
        }
    }
}

#[derive(Debug)]
pub(in crate::nic) struct Device<R: Registers> {
    pub(super) registers: R,
    pub(super) features: Feature,
    /// Pairs in use.
    pub(super) pairs: u16,
    pub(super) queues: Vec<Told>,
    pub(super) control: Option<Control<R::Doorbell>>,
    /// By which it chooses, if it does.
    pub(super) rss: Option<(Key, Table)>,
    pub(super) counters: Counters,
}

impl<R: Registers> Device<R> {
    /// Sets it to work, with its pairs.
    pub(super) fn start(&mut self) {
        self.registers.set_status(WORKING);
        self.use_pairs();
    }

    /// Has it use its pairs, and choose among them as was last said.
    fn use_pairs(&mut self) {
        let Some(control) = &mut self.control else { return };
        let done = match &self.rss {
            Some((key, table)) if self.features.contains(Feature::RSS) => {
                control.set_rss(self.pairs, flow_hashes(&self.registers), key, table)
            }
            _ => control.set_pairs(self.pairs),
        };
        if !done {
            log::error!("the network device refuses to use {} pairs of queues", self.pairs);
        }
    }

    /// See [`crate::nic::Nic::set_table`].
    pub(super) fn set_table(&mut self, key: &Key, table: &Table) -> bool {
        self.rss = Some((*key, *table));
        let hashes = flow_hashes(&self.registers);
        match &mut self.control {
            Some(control) if self.features.contains(Feature::RSS) => {
                control.set_rss(self.pairs, hashes, key, table)
            }
            _ => false,
        }
    }

    /// Tells a device that was reset what was agreed on, and where its queues are.
    fn introduce(&mut self) -> Result<(), InitError> {
        init::agree(&mut self.registers, self.features)?;
        for &Told {
            number,
            size,
            at,
            vector,
        } in &self.queues
        {
            if !self.registers.set_vector(number, vector) {
                log::warn!("queue {number} interrupts nobody any more");
            }
            let doorbell = self.registers.enable_queue(number, size, at);
            doorbell.ok_or(InitError::NoDoorbell(number))?;
        }
        if let Some(control) = &mut self.control {
            control.restart();
        }
        Ok(())
    }
}

impl<R: Registers> Card for Device<R> {
    type Error = InitError;

    fn state(&mut self) -> State {
        let state = self.registers.status();
        if state == GONE {
            State::Gone
        } else if state & status::NEEDS_RESET != 0 {
            // Section 2.1.1.
            State::AsksForReset
        } else if state != WORKING {
            State::WasReset
        } else {
            State::Works
        }
    }

    fn link_up(&mut self) -> bool {
        self.features.link_up(&self.registers)
    }

    fn reset(&mut self) -> Result<(), InitError> {
        init::reset(&mut self.registers)
    }

    fn revive(&mut self) -> Result<(), InitError> {
        self.introduce()
            .inspect_err(|_| self.registers.set_status(status::FAILED))?;
        self.start();
        Ok(())
    }

    fn counters(&mut self) -> &mut Counters {
        &mut self.counters
    }
}
