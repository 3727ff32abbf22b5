//! A card of the host's on the guest's bus.

use super::capability::{self, Part};
use super::config;
use super::hardware::{Hardware, register};
use super::parts;
use crate::vmm::pci::config_space::{ConfigSpace, command, register as offset};
use crate::vmm::pci::{BAR_COUNT, DecodeError, DecodedBar, Function};
use std::io;
use std::ops::Range;

/// The card, and what the guest has made of it.
pub(super) struct Passthrough<H> {
    card: H,
    space: ConfigSpace,
    /// What of its BARs is neither shown nor reached.
    withheld: Vec<Part>,
    /// What of its BARs the guest has without us, where they are switched on.
    direct: Vec<Direct>,
    /// The card's command register, as we last wrote it.
    command: u16,
}

#[derive(Clone, Debug)]
struct Direct {
    bar: u8,
    bytes: Range<u64>,
    /// Where the guest has it now.
    shown_at: Option<u64>,
}

impl<H: Hardware> Passthrough<H> {
    /// A card that answers, but may not touch memory yet.
    pub(super) fn new(mut card: H) -> io::Result<Self> {
        let withheld = capability::msix(&card);
        let mut direct = Vec::new();
        for bar in 0..BAR_COUNT {
            for bytes in parts::direct(bar, &card.mappable(bar), &withheld) {
                card.map(bar, bytes.clone())?;
                direct.push(Direct {
                    bar,
                    bytes,
                    shown_at: None,
                });
            }
        }
        let found = u16::from_le_bytes(register(&card, offset::COMMAND));
        let mut passthrough = Self {
            space: config::space(&card),
            direct,
            withheld,
            // The card's memory stays on: what VFIO has mapped must not vanish under the guest's accesses. The guest
            // switches on and off what it sees of it.
            command: found & !(command::IO | command::BUS_MASTER) | command::MEMORY | command::INTX_DISABLE,
            card,
        };
        passthrough.write_command();
        Ok(passthrough)
    }

    fn write_command(&mut self) {
        self.card
            .config_write(offset::COMMAND, &self.command.to_le_bytes());
    }

    /// The card may read and write memory exactly while the guest lets it.
    fn follow_bus_master(&mut self) {
        let wanted = self.command & !command::BUS_MASTER | self.space.command() & command::BUS_MASTER;
        if wanted != self.command {
            self.command = wanted;
            self.write_command();
        }
    }

    /// Whether an access is to the card itself.
    fn reaches(&self, bar: u8, at: u64, len: usize) -> bool {
        let Some(end) = at.checked_add(len as u64) else {
            return false;
        };
        let hidden = |part: &Part| part.bar == bar && part.bytes.start < end && at < part.bytes.end;
        bar < BAR_COUNT && end <= self.card.bar_bytes(bar) && !self.withheld.iter().any(hidden)
    }
}

impl<H: Hardware> Function for Passthrough<H> {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.space.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.space.write(offset, data);
        self.follow_bus_master();
    }

    fn decoded(&self) -> Vec<DecodedBar> {
        self.space.decoded()
    }

    fn on_decode(&mut self, now: &[DecodedBar]) -> Result<(), DecodeError> {
        let place = |part: &Direct| {
            let bar = now.iter().find(|bar| bar.index == part.bar)?;
            Some(bar.base + part.bytes.start)
        };
        let failed = |part: &Direct, at: u64, error: io::Error| DecodeError {
            index: part.bar,
            base: at - part.bytes.start,
            source: error.into(),
        };
        for part in &mut self.direct {
            if let Some(at) = part.shown_at.filter(|&at| place(part) != Some(at)) {
                let hidden = self.card.hide(part.bar, part.bytes.clone());
                hidden.map_err(|error| failed(part, at, error))?;
                part.shown_at = None;
            }
        }
        for part in self.direct.iter_mut().filter(|part| part.shown_at.is_none()) {
            if let Some(at) = place(part) {
                let shown = self.card.show(part.bar, part.bytes.clone(), at);
                shown.map_err(|error| failed(part, at, error))?;
                part.shown_at = Some(at);
            }
        }
        Ok(())
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        if self.reaches(bar, offset, data.len()) {
            self.card.read(bar, offset, data);
        }
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        if self.reaches(bar, offset, data.len()) {
            self.card.write(bar, offset, data);
        }
    }
}
