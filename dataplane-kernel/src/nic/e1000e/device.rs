//! The card as a whole, which the first pair's core looks after: its registers, and its way back from a reset.

use super::Model;
use super::descriptor::Layout;
use super::init;
use super::regs::{self, Register, Registers, rctl, status};
use crate::mem::GuestPhys;
use crate::nic::Health;
use crate::nic::pairs::Pairs;
use alloc::vec::Vec;
use netstack::rss::{Key, Table};

/// What the card is to be; it holds over a reset.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) model: Model,
    pub(super) mtu: u16,
    pub(super) layout: Layout,
    /// It inserts and takes off tags.
    pub(super) tags: bool,
    /// It takes frames for any station.
    pub(super) promiscuous: bool,
    /// Where the descriptors of each pair lie: to receive, to transmit.
    pub(super) rings: Vec<[GuestPhys; 2]>,
    /// Of each receive queue that interrupts, the vector by which it does.
    pub(super) vectors: Vec<u16>,
    /// By which it chooses a queue.
    pub(super) rss: Option<(Key, Table)>,
}

/// What is counted about the card; what it counts itself is added up at each check.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    /// Times the link went up or down.
    pub(super) link_changes: u64,
    /// Times the card was found gone, or reset by somebody else.
    pub(super) lost: u64,
    /// Times it was reset because of that, or because it sent nothing any more.
    pub(super) resets: u64,
    /// The card's own: frames with a bad FCS, frames with a symbol error, frames that found no room.
    pub(super) crc_errors: u64,
    pub(super) symbol_errors: u64,
    pub(super) missed: u64,
}

#[derive(Debug)]
pub(super) struct Device<R> {
    pub(super) registers: R,
    pub(super) setup: Setup,
    pub(super) counters: Counters,
}

impl<R: Registers> Device<R> {
    /// See [`crate::nic::Nic::set_table`]. The card is believed if it says so when it is read.
    pub(super) fn set_table(&mut self, key: &Key, table: &Table) -> bool {
        if self.setup.layout == Layout::Legacy {
            return false;
        }
        self.setup.rss = Some((*key, *table));
        init::choose_queues(&self.registers, &self.setup)
    }

    /// See [`crate::nic::Nic::hear_all_stations`]. A card that is down hears them when it is back.
    pub(super) fn hear_all_stations(&mut self, pairs: &Pairs) {
        self.setup.promiscuous = true;
        if !pairs.is_down() {
            init::filter(&self.registers, &self.setup);
        }
    }

    /// Looks how the card is, and takes it down if there is no other cure.
    pub(super) fn check(&mut self, pairs: &Pairs) {
        if pairs.is_down() {
            return;
        }
        if self.registers.read(Register::STATUS) == regs::GONE {
            self.counters.lost += 1;
            self.give_up("is gone", pairs);
        } else if self.registers.read(Register::RCTL) & rctl::EN == 0 {
            self.counters.lost += 1;
            self.reset("was reset by somebody else", pairs);
        } else if pairs.reset_is_wanted() {
            self.reset("sends nothing any more", pairs);
        } else {
            self.add_up();
            self.tell_link(pairs);
        }
    }

    /// The statistics registers start over when they are read (SDM, section 13.7).
    fn add_up(&mut self) {
        let read = |register| u64::from(self.registers.read(register));
        self.counters.crc_errors += read(Register::CRCERRS);
        self.counters.symbol_errors += read(Register::RXERRC);
        self.counters.missed += read(Register::MPC);
    }

    fn tell_link(&mut self, pairs: &Pairs) {
        let link_up = self.registers.read(Register::STATUS) & status::LU != 0;
        let health = Health::of_link(link_up);
        if pairs.health.get() != health {
            pairs.health.set(health);
            self.counters.link_changes += 1;
            log::info!("link {}", if link_up { "up" } else { "down" });
        }
    }

    /// Frames that the card has are lost, like any frame can be.
    fn reset(&mut self, why: &str, pairs: &Pairs) {
        log::warn!("the network card {why}; it is reset");
        self.counters.resets += 1;
        match init::reset(&self.registers) {
            Ok(()) => {
                pairs.health.set(Health::LinkDown);
                pairs.take_down();
            }
            Err(_) => self.give_up("does not come out of reset", pairs),
        }
    }

    /// It does not work any more, and is left alone.
    fn give_up(&mut self, why: &str, pairs: &Pairs) {
        log::error!("the network card {why}; nothing is received or sent any more");
        pairs.health.set(Health::Failed);
        pairs.take_down();
    }

    /// Sets it to work again after a reset, as soon as all pairs have parked.
    pub(super) fn bring_back(&mut self, pairs: &Pairs) {
        if !pairs.is_down() || !pairs.have_parked() || pairs.health.get() == Health::Failed {
            return;
        }
        if let Err(error) = init::address(&self.registers) {
            log::error!("{error}");
            return self.give_up("does not work after a reset", pairs);
        }
        init::start(&self.registers, &self.setup);
        pairs.bring_back();
        self.tell_link(pairs);
        log::warn!("the network card works again");
    }

    /// Stops it: it touches no memory any more. One that is gone touches none either.
    pub(super) fn stop(&mut self) -> bool {
        let gone = self.registers.read(Register::STATUS) == regs::GONE;
        gone || init::reset(&self.registers).is_ok()
    }
}
