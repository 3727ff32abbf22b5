//! The device as a whole, which the first pair's core looks after: its state, the command queue, and its way back from a reset.

use super::control::Control;
use super::features::{Feature, flow_hashes};
use super::init::{self, InitError, WORKING};
use super::regs::{Registers, status};
use super::ring::{Addresses, SplitQueue};
use crate::nic::Health;
use crate::nic::pairs::Pairs;
use alloc::vec::Vec;
use netstack::rss::{Key, Table};

/// What a device that is not on the bus any more reads as.
const GONE: u8 = 0xff;

/// What is counted about the device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Times the link went up or down.
    pub(super) link_changes: u64,
    /// Times the device asked to be reset (section 2.1.1).
    pub(super) needs_reset: u64,
    /// Times the device was found reset, disabled or removed by somebody else.
    pub(super) lost: u64,
    /// Times it was reset because of that, or because it sent nothing any more.
    pub(super) resets: u64,
}

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
pub(super) struct Device<R: Registers> {
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

    /// Looks how the device is, and takes it down if there is no other cure.
    pub(super) fn check(&mut self, pairs: &Pairs) {
        if pairs.is_down() {
            return;
        }
        let state = self.registers.status();
        if state == GONE {
            self.counters.lost += 1;
            self.give_up("is gone", pairs);
        } else if state & status::NEEDS_RESET != 0 {
            self.counters.needs_reset += 1;
            self.reset("asks to be reset", pairs);
        } else if state != WORKING {
            self.counters.lost += 1;
            self.reset("was reset by somebody else", pairs);
        } else if pairs.reset_is_wanted() {
            self.reset("sends nothing any more", pairs);
        } else {
            self.tell_link(pairs);
        }
    }

    fn tell_link(&mut self, pairs: &Pairs) {
        let link_up = self.features.link_up(&self.registers);
        let health = Health::of_link(link_up);
        if pairs.health.get() != health {
            pairs.health.set(health);
            self.counters.link_changes += 1;
            log::info!("link {}", if link_up { "up" } else { "down" });
        }
    }

    /// Has other features agreed on: its own, as they are by now.
    pub(super) fn renegotiate(&mut self, pairs: &Pairs) {
        if !pairs.is_down() {
            self.reset("is to do without merging segments", pairs);
        }
    }

    /// Frames that the device has are lost, like any frame can be.
    fn reset(&mut self, why: &str, pairs: &Pairs) {
        log::warn!("the network device {why}; it is reset");
        self.counters.resets += 1;
        match init::reset(&mut self.registers) {
            Ok(()) => {
                pairs.health.set(Health::LinkDown);
                pairs.take_down();
            }
            Err(_) => self.give_up("does not come out of reset", pairs),
        }
    }

    /// It does not work any more, and is left alone.
    fn give_up(&mut self, why: &str, pairs: &Pairs) {
        log::error!("the network device {why}; nothing is received or sent any more");
        pairs.health.set(Health::Failed);
        pairs.take_down();
    }

    /// Sets it to work again after a reset, as soon as all pairs have parked.
    pub(super) fn bring_back(&mut self, pairs: &Pairs) {
        if !pairs.is_down() || !pairs.have_parked() || pairs.health.get() == Health::Failed {
            return;
        }
        if let Err(error) = self.introduce() {
            log::error!("{error}");
            self.registers.set_status(status::FAILED);
            return self.give_up("does not work after a reset", pairs);
        }
        self.start();
        pairs.bring_back();
        self.tell_link(pairs);
        log::warn!("the network device works again");
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
