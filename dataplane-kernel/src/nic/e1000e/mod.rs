//! Intel's gigabit cards with e1000 registers: the 82574L (QEMU's `e1000e`) and the 82540EM (QEMU's `e1000`). One receive
//! queue, one transmit queue, polled: all interrupts are masked for good.
//!
//! What the two have in common is enough: the registers, legacy receive descriptors, and context and data descriptors
//! for transmission. Neither merges what it receives. Sections are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
//! Developer's Manual" (SDM), which the 82574L's datasheet repeats in its chapter 7.
//!
//! In the order of the story: `pci` finds the registers (`regs`), `init` resets and starts the card, `rx` and `tx`
//! keep the two queues, each over a `ring` of descriptors.
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

#[cfg(test)]
mod fake_device;
#[cfg(test)]
mod tests;

use super::{Health, Nic, Offloads, RxFrame};
use crate::mem::mbuf::Pool;
use core::fmt;
use netstack::{Span, TxOffload, TxTicket};
use regs::{Register, Registers, rctl, status};

/// Which card it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// On PCI.
    I82540em,
    /// On PCI Express.
    I82574l,
}

/// A card at work.
#[derive(Debug)]
pub struct E1000e<R> {
    registers: R,
    model: Model,
    rx: rx::Rx,
    tx: tx::Tx,
    mac: [u8; 6],
    mtu: u16,
    offloads: Offloads,
    link_up: bool,
    failed: bool,
    counters: Counters,
}

/// What is counted about the card as a whole; what the card counts itself is added up at each check.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    /// Times the link went up or down.
    link_changes: u64,
    /// Times the card was found gone, or reset by somebody else.
    lost: u64,
    /// The card's own: frames with a bad FCS, frames with a symbol error, frames that found no room.
    crc_errors: u64,
    symbol_errors: u64,
    missed: u64,
}

impl<R: Registers> E1000e<R> {
    /// The card does not work any more. It is reset, so that it touches no memory, and the frames it had are let go of:
    /// lost, like any frame can be.
    fn fail(&mut self, why: &str) -> Health {
        log::error!("the network card {why}; it is shut down");
        self.counters.lost += 1;
        self.failed = true;
        self.link_up = false;
        self.stop();
        Health::Failed
    }

    /// The statistics registers start over when they are read (SDM, section 13.7).
    fn add_up(&mut self) {
        let read = |register| u64::from(self.registers.read(register));
        self.counters.crc_errors += read(Register::CRCERRS);
        self.counters.symbol_errors += read(Register::RXERRC);
        self.counters.missed += read(Register::MPC);
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

impl<R> fmt::Display for E1000e<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        let link = if self.link_up { "up" } else { "down" };
        write!(
            f,
            "{}, {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}, link {link}, MTU {}, ",
            self.model, self.mtu
        )?;
        bitflags::parser::to_writer(&self.offloads, f)
    }
}

impl<R: Registers> Nic for E1000e<R> {
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
        self.link_up
    }

    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        self.rx.poll(budget, sink)
    }

    #[inline]
    fn refill(&mut self, pool: &mut Pool) {
        self.rx.refill(pool);
    }

    #[inline]
    fn begin_tx(&mut self) -> Option<&mut [u8]> {
        self.tx.begin()
    }

    #[inline]
    fn commit_tx(&mut self, header_len: usize, payload: &[Span], offload: TxOffload) -> TxTicket {
        self.tx.commit(header_len, payload, offload)
    }

    #[inline]
    fn tx_done(&self, ticket: TxTicket) -> bool {
        self.tx.is_done(ticket)
    }

    fn tx_idle(&self) -> bool {
        self.tx.is_idle()
    }

    #[inline]
    fn reclaim_tx(&mut self) {
        self.tx.reclaim();
    }

    #[inline]
    fn kick(&mut self) {
        if let Some(tail) = self.tx.show() {
            self.registers.write_tx_tail(tail);
        }
        if let Some(tail) = self.rx.show() {
            self.registers.write_rx_tail(tail);
        }
    }

    fn check(&mut self) -> Health {
        if self.failed {
            return Health::Failed;
        }
        let state = self.registers.read(Register::STATUS);
        if state == regs::GONE {
            return self.fail("is gone");
        }
        if self.registers.read(Register::RCTL) & rctl::EN == 0 {
            return self.fail("was reset by somebody else");
        }
        self.add_up();
        let link_up = state & status::LU != 0;
        if link_up != self.link_up {
            self.link_up = link_up;
            self.counters.link_changes += 1;
            log::info!("link {}", if link_up { "up" } else { "down" });
        }
        if link_up { Health::LinkUp } else { Health::LinkDown }
    }

    fn stop(&mut self) {
        // A card that is gone touches no memory either.
        let gone = self.registers.read(Register::STATUS) == regs::GONE;
        if gone || init::reset(&self.registers).is_ok() {
            self.tx.reclaim();
            self.tx.abandon();
        }
    }

    /// - `nic.rx_frames`, `nic.rx_bytes`: received, and bytes of those.
    /// - `nic.rx_bad_frame`: the card found an error in it; the buffer went back to it.
    /// - `nic.rx_bad_length`: the card wrote less than a frame, more than a buffer, or a frame over more buffers than the MTU
    ///   has; they went back to it.
    /// - `nic.rx_no_buffer`: times the pool became empty while the queue had room.
    /// - `nic.rx_doorbells`: times the receive tail was written.
    /// - `nic.rx_crc_errors`, `nic.rx_symbol_errors`, `nic.rx_missed`: frames the card itself dropped: FCS, line coding,
    ///   no room.
    /// - `nic.tx_frames`, `nic.tx_bytes`: queued, and bytes of those.
    /// - `nic.tx_ring_full`: times a frame found no room.
    /// - `nic.tx_contexts`: times the card was told where the checksums of the next frames lie, or how to cut the next one.
    /// - `nic.tx_doorbells`: times the transmit tail was written.
    /// - `nic.link_changes`: times the link was found up or down after the other.
    /// - `nic.lost`: the card was found gone, or reset by somebody else.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let (rx, tx) = (&self.rx.counters, &self.tx.counters);
        [
            ("nic.rx_frames", rx.frames),
            ("nic.rx_bytes", rx.bytes),
            ("nic.rx_bad_frame", rx.bad_frame),
            ("nic.rx_bad_length", rx.bad_length),
            ("nic.rx_no_buffer", rx.no_buffer),
            ("nic.rx_doorbells", rx.doorbells),
            ("nic.rx_crc_errors", self.counters.crc_errors),
            ("nic.rx_symbol_errors", self.counters.symbol_errors),
            ("nic.rx_missed", self.counters.missed),
            ("nic.tx_frames", tx.frames),
            ("nic.tx_bytes", tx.bytes),
            ("nic.tx_ring_full", tx.ring_full),
            ("nic.tx_contexts", tx.contexts),
            ("nic.tx_doorbells", tx.doorbells),
            ("nic.link_changes", self.counters.link_changes),
            ("nic.lost", self.counters.lost),
        ]
        .into_iter()
    }
}
