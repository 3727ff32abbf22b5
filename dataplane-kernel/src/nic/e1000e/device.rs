//! The card as a whole, which the first pair's core looks after: its registers, and its way back from a reset.

use super::Model;
use super::descriptor::Layout;
use super::init::{self, InitError};
use super::regs::{self, Register, Registers, rctl, status};
use crate::mem::GuestPhys;
use crate::nic::pairs::Pairs;
use crate::nic::recovery::{self, Card, State};
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
    pub(super) recovery: recovery::Counters,
    /// The card's own: frames with a bad FCS, frames with a symbol error, frames that found no room.
    pub(super) crc_errors: u64,
    pub(super) symbol_errors: u64,
    pub(super) missed: u64,
}

#[derive(Debug)]
pub(in crate::nic) struct Device<R> {
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

    /// The statistics registers start over when they are read (SDM, section 13.7).
    fn add_up(&mut self) {
        let read = |register| u64::from(self.registers.read(register));
        self.counters.crc_errors += read(Register::CRCERRS);
        self.counters.symbol_errors += read(Register::RXERRC);
        self.counters.missed += read(Register::MPC);
    }

    /// Stops it: it touches no memory any more. One that is gone touches none either.
    pub(super) fn stop(&mut self) -> bool {
        let gone = self.registers.read(Register::STATUS) == regs::GONE;
        gone || init::reset(&self.registers).is_ok()
    }
}

impl<R: Registers> Card for Device<R> {
    type Error = InitError;

    fn state(&mut self) -> State {
        if self.registers.read(Register::STATUS) == regs::GONE {
            return State::Gone;
        }
        if self.registers.read(Register::RCTL) & rctl::EN == 0 {
            return State::WasReset;
        }
        self.add_up();
        State::Works
    }

    fn link_up(&mut self) -> bool {
        self.registers.read(Register::STATUS) & status::LU != 0
    }

    fn reset(&mut self) -> Result<(), InitError> {
        init::reset(&self.registers)
    }

    fn revive(&mut self) -> Result<(), InitError> {
        init::address(&self.registers)?;
        init::start(&self.registers, &self.setup);
        Ok(())
    }

    fn counters(&mut self) -> &mut recovery::Counters {
        &mut self.counters.recovery
    }
}
