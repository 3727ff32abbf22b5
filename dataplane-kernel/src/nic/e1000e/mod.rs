//! Intel's gigabit cards with e1000 registers: the 82574L (QEMU's `e1000e`) and the 82540EM (QEMU's `e1000`). One receive
//! queue and one transmit queue, or two of each where several cores have an 82574L; polled: all interrupts are masked, but
//! those of an 82574L whose core sleeps. The 82540EM has only a line to interrupt by, which is not used.
//!
//! What the two have in common is enough for one queue: the registers, legacy receive descriptors, and context and data
//! descriptors for transmission. With two, the 82574L chooses by its hash of TCP, and wants extended receive descriptors. Neither merges what it receives. Sections are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
//! Developer's Manual" (SDM), which the 82574L's datasheet repeats in its chapter 7.
//!
//! In the order of the story: `pci` finds the registers (`regs`), `init` resets and starts the card, `rx` and `tx`
//! keep the two queues of a pair, each over a `ring` of descriptors. The first pair has the `device` as a whole.
//!
//! # Doorbells
//!
//! A queue's tail register is its doorbell: each write of it is an exit, and with QEMU's cards it is also what makes them
//! send. There is no asking whether the card is looking anyway. So the transmit tail is written once a batch, in
//! `Nic::kick`, and the receive tail only when the card has used up half of its buffers.

/// Finding a card's registers on PCI.
pub mod pci;

/// The registers.
pub mod regs;

/// From reset to work.
pub mod init;

/// A ring of descriptors as memory.
mod ring;

/// What the words of a descriptor say.
mod descriptor;

/// Receiving.
mod rx;

/// Transmitting.
mod tx;

/// The interrupt of who sleeps.
mod alarm;

/// The card as a whole.
mod device;

#[cfg(test)]
mod fake_device;
#[cfg(test)]
mod tests;

use super::forward::forward;
use super::pairs::{Member, Progress};
use super::recovery::{self, Pair};
use super::{Health, Nic, Offloads, RxFrame};
use crate::nic;
use alarm::Alarm;
use core::fmt;
use device::Device;
use netstack::rss::{Key, Table};
use regs::{Registers, Tail};

/// Which card it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// On PCI.
    I82540em,
    /// On PCI Express.
    I82574l,
}

/// A pair of queues of a card at work.
#[derive(Debug)]
pub struct E1000e<R: Registers> {
    /// With the first pair.
    device: Option<Device<R>>,
    member: Member,
    tails: Tails<R::Tail>,
    alarm: Option<Alarm<R::Cause>>,
    rx: rx::Rx,
    tx: tx::Tx,
    mac: [u8; 6],
    mtu: u16,
    offloads: Offloads,
}

/// A pair's.
#[derive(Debug)]
struct Tails<T> {
    rx: T,
    tx: T,
}

impl<R: Registers> Pair for E1000e<R> {
    type Card = Device<R>;

    fn card(&mut self) -> Option<&mut Device<R>> {
        self.device.as_mut()
    }

    fn member(&mut self) -> &mut Member {
        &mut self.member
    }

    fn park(&mut self) {
        self.rx.restart();
        self.tx.restart();
    }

    fn progress(&mut self) -> Progress {
        self.tx.progress()
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Model::I82540em => "Intel 82540EM",
            Model::I82574l => "Intel 82574L",
        })
    }
}

impl<R: Registers> fmt::Display for E1000e<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        let link = if self.link_up() { "up" } else { "down" };
        if let Some(device) = &self.device {
            let (setup, pairs) = (&device.setup, device.setup.rings.len());
            write!(f, "{}, {pairs} of each queue, ", setup.model)?;
        }
        write!(
            f,
            "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}, link {link}, MTU {}, ",
            self.mtu
        )?;
        bitflags::parser::to_writer(&self.offloads, f)
    }
}

impl<R: Registers> Nic for E1000e<R> {
    forward!(queues);

    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn offloads(&self) -> Offloads {
        self.offloads
    }

    fn link_up(&self) -> bool {
        self.member.link_up()
    }

    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        if self.member.has_news() {
            recovery::follow(self);
        }
        self.rx.poll(budget, sink)
    }

    #[inline]
    fn kick(&mut self) {
        if self.member.is_down() {
            // Lost, like any frame can be.
            return self.tx.restart();
        }
        if let Some(tail) = self.tx.show() {
            self.tails.tx.write(tail);
        }
        if let Some(tail) = self.rx.show() {
            self.tails.rx.write(tail);
        }
    }

    fn set_table(&mut self, key: &Key, table: &Table) -> bool {
        self.device
            .as_mut()
            .is_some_and(|device| device.set_table(key, table))
    }

    fn arm(&mut self) -> nic::Alarm {
        let is_up = !self.member.is_down() && !self.member.has_news();
        match &mut self.alarm {
            Some(alarm) if is_up && !self.rx.is_starved() => alarm.set(|| self.rx.has_frame()),
            _ => nic::Alarm::Unavailable,
        }
    }

    fn disarm(&mut self) {
        if let Some(alarm) = &mut self.alarm {
            alarm.clear();
        }
    }

    fn check(&mut self) -> Health {
        recovery::check(self)
    }

    fn hear_all_stations(&mut self) -> bool {
        let device = self.device.as_mut();
        device
            .map(|device| device.hear_all_stations(&self.member.pairs))
            .is_some()
    }

    /// The first pair's stops all.
    fn stop(&mut self) {
        if self.device.as_mut().is_some_and(Device::stop) {
            self.tx.reclaim();
            self.tx.restart();
        }
    }

    /// - `nic.rx_frames`, `nic.rx_bytes`: received, and bytes of those.
    /// - `nic.rx_bad_frame`: the card found an error in it; the buffer went back to it.
    /// - `nic.rx_bad_length`: the card wrote less than a frame, more than a buffer, or a frame over more buffers than the MTU
    ///   has; they went back to it.
    /// - `nic.rx_no_buffer`: times the pool became empty while the queue had room.
    /// - `nic.rx_vlan_not_ours`: frames without a tag or with another's, where the card takes off ours; they went back to it.
    /// - `nic.rx_doorbells`: times the receive tail was written.
    /// - `nic.rx_crc_errors`, `nic.rx_symbol_errors`, `nic.rx_missed`: frames the card itself dropped: FCS, line coding,
    ///   no room.
    /// - `nic.tx_frames`, `nic.tx_bytes`: queued, and bytes of those.
    /// - `nic.tx_ring_full`: times a frame found no room.
    /// - `nic.tx_contexts`: times the card was told where the checksums of the next frames lie, or how to cut the next one.
    /// - `nic.tx_doorbells`: times the transmit tail was written.
    /// - `nic.link_changes`: times the link was found up or down after the other.
    /// - `nic.lost`: the card was found gone, or reset by somebody else.
    /// - `nic.resets`: times it was reset, because of that or because it sent nothing any more.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let (rx, tx) = (&self.rx.counters, &self.tx.counters);
        let of_device = self.device.as_ref().map(|device| device.counters);
        let device = of_device.unwrap_or_default();
        [
            ("nic.rx_frames", rx.frames),
            ("nic.rx_bytes", rx.bytes),
            ("nic.rx_bad_frame", rx.bad_frame),
            ("nic.rx_bad_length", rx.bad_length),
            ("nic.rx_no_buffer", rx.no_buffer),
            ("nic.rx_vlan_not_ours", rx.other_vlan),
            ("nic.rx_doorbells", rx.doorbells),
            ("nic.rx_crc_errors", device.crc_errors),
            ("nic.rx_symbol_errors", device.symbol_errors),
            ("nic.rx_missed", device.missed),
            ("nic.tx_frames", tx.frames),
            ("nic.tx_bytes", tx.bytes),
            ("nic.tx_ring_full", tx.ring_full),
            ("nic.tx_contexts", tx.contexts),
            ("nic.tx_doorbells", tx.doorbells),
            ("nic.link_changes", device.recovery.link_changes),
            ("nic.lost", device.recovery.lost),
            ("nic.resets", device.recovery.resets),
        ]
        .into_iter()
    }
}
