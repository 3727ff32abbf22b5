//! Modern virtio network devices (virtio 1.2, section 5.1): split queues, polled; a pair for each core if the device has them.
//!
//! In the order of the story: `pci` finds a device's registers (`regs`), `init` brings it up with the
//! `features` both sides have, `rx` and `tx` keep the two queues of a pair, each over a `ring`. The first pair has the
//! `device` as a whole, with its queue for commands (`control`).
//!
//! # Doorbells
//!
//! A doorbell is what costs: an exit under KVM, the big lock and a wake-up of its main loop under QEMU's TCG. So what a
//! batch posts is shown to the device at its end, in `Nic::kick`, and the device is notified only if it says that it
//! has stopped looking. QEMU looks on its own while it has frames to send, and while it has buffers to receive into; it
//! wants to be told of the first frame after a pause, and of buffers after it had none.
//!
//! Where the device chooses the queue (RSS), a frame for a queue without buffers may wait where it came in, with all behind it:
//! QEMU keeps it at the tap's queue, and looks at that again when it is told of new buffers in the receive queue of the same
//! number, whichever one the frame is for. So who is asked for a doorbell after his queue had no buffers rings for all.

/// Finding a device's registers on PCI.
pub mod pci;

/// The registers.
pub mod regs;

/// What both sides agree on.
mod features;

/// From reset to work.
pub mod init;

/// A virtqueue as memory.
pub mod ring;

/// What stands before every frame.
mod header;

/// Receiving.
mod rx;

/// Transmitting.
mod tx;

/// The device as a whole.
mod device;

/// The queue for commands.
mod control;

#[cfg(test)]
mod fake_device;
#[cfg(test)]
mod tests;

use super::forward::forward;
use super::pairs::{Member, Progress};
use super::recovery::{self, Pair};
use super::{Alarm, Health, Nic, Offloads, RxFrame};
use crate::hw::barrier;
use crate::hw::pci::msix::Vector;
use alloc::vec::Vec;
use core::fmt;
use device::Device;
use features::Feature;
use netstack::rss::{Key, Table};
use regs::{Doorbell, Registers};

/// A pair of queues of a device at work.
#[derive(Debug)]
pub struct VirtioNet<R: Registers> {
    /// With the first pair.
    device: Option<Device<R>>,
    member: Member,
    doorbells: Doorbells<R::Doorbell>,
    /// By which the receive queue interrupts.
    vector: Option<Vector>,
    features: Feature,
    rx: rx::Rx,
    tx: tx::Tx,
    mac: [u8; 6],
    mtu: u16,
    /// Times the device was notified once more because it had frames and did not touch them.
    tx_stalls: u64,
}

/// A pair's.
#[derive(Debug)]
struct Doorbells<D> {
    rx: D,
    tx: D,
    /// Of the other pairs' receive queues, where frames for this one may wait for buffers.
    others: Vec<D>,
}

impl<R: Registers> VirtioNet<R> {
    /// Shows what was posted on both queues and asks both whether they want to be told, with one barrier.
    #[inline]
    fn show_and_notify(&mut self) {
        let (rx, tx) = (self.rx.ring.show(), self.tx.ring.show());
        if rx.is_none() && tx.is_none() {
            return;
        }
        barrier::full();
        if tx.is_some_and(|before| self.tx.ring.wants_doorbell(before)) {
            self.tx.counters.doorbells += 1;
            self.doorbells.tx.ring();
        }
        if rx.is_some_and(|before| self.rx.ring.wants_doorbell(before)) {
            self.ring_rx();
        }
    }

    /// There are buffers again.
    #[cold]
    fn ring_rx(&mut self) {
        self.rx.counters.doorbells += 1;
        self.doorbells.rx.ring();
        self.doorbells.others.iter().for_each(Doorbell::ring);
    }
}

impl<R: Registers> Pair for VirtioNet<R> {
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

    /// A device or an emulator that misorders its index and ours loses doorbells.
    fn nudge(&mut self) {
        self.tx_stalls += 1;
        self.doorbells.tx.ring();
    }
}

impl<R: Registers> fmt::Display for VirtioNet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        let link = if self.link_up() { "up" } else { "down" };
        let (rx, tx) = (self.rx.ring.size(), self.tx.ring.size());
        write!(
            f,
            "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}, link {link}, MTU {}, ",
            self.mtu
        )?;
        write!(f, "queues of {rx} and {tx}, ")?;
        if let Some(device) = self.device.as_ref().filter(|device| device.pairs > 1) {
            write!(f, "{} of each, ", device.pairs)?;
        }
        bitflags::parser::to_writer(&self.features, f)
    }
}

impl<R: Registers> Nic for VirtioNet<R> {
    forward!(queues);

    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn offloads(&self) -> Offloads {
        self.features.offloads()
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
        self.show_and_notify();
    }

    fn set_table(&mut self, key: &Key, table: &Table) -> bool {
        self.device
            .as_mut()
            .is_some_and(|device| device.set_table(key, table))
    }

    /// The event index, or the flag, tells the device; of its registers nothing is touched but where the core has moved.
    fn arm(&mut self) -> Alarm {
        let is_up = !self.member.is_down() && !self.member.has_news();
        let can_receive = is_up && !self.rx.is_starved();
        if can_receive && self.vector.as_mut().is_some_and(Vector::aim_here) {
            self.rx.arm()
        } else {
            Alarm::Unavailable
        }
    }

    fn disarm(&mut self) {
        self.rx.ring.disarm();
    }

    fn check(&mut self) -> Health {
        recovery::check(self)
    }

    /// By a reset after which that is not agreed on.
    fn stop_merging(&mut self) -> bool {
        let Some(device) = &mut self.device else {
            return !self.features.offloads().contains(Offloads::LRO);
        };
        if self.features.stop_merging() {
            device.features.stop_merging();
            recovery::restart(self, "is to do without merging segments");
        }
        true
    }

    /// No filter was agreed on, so there is none.
    fn hear_all_stations(&mut self) -> bool {
        true
    }

    /// The first pair's stops all.
    fn stop(&mut self) {
        if let Some(device) = &mut self.device
            && init::reset(&mut device.registers).is_ok()
        {
            self.tx.reclaim();
            self.tx.abandon();
        }
    }

    /// - `nic.rx_frames`, `nic.rx_bytes`: received, and bytes of those.
    /// - `nic.rx_bad_descriptor`: the device named a buffer it does not have; skipped.
    /// - `nic.rx_bad_length`: the device wrote less than a frame or more than a buffer; the buffer went back to it.
    /// - `nic.rx_no_buffer`: times the pool became empty while the queue had room.
    /// - `nic.rx_doorbells`: times the device was notified of buffers.
    /// - `nic.tx_frames`, `nic.tx_bytes`: queued, and bytes of those.
    /// - `nic.tx_ring_full`: times a frame found no room.
    /// - `nic.tx_bad_descriptor`: the device named a frame it does not have; skipped.
    /// - `nic.tx_doorbells`: times the device was notified of frames.
    /// - `nic.bad_used_index`: looks at a ring that found an impossible index; nothing was taken from it.
    /// - `nic.link_changes`: times the link was found up or down after the other.
    /// - `nic.needs_reset`, `nic.lost`: the device asked to be reset, or was reset or removed by somebody else.
    /// - `nic.tx_stalls`: times the device was notified once more because it had frames and did not touch them.
    /// - `nic.resets`: times it was reset, because of that or because it sent nothing any more.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let (rx, tx) = (&self.rx.counters, &self.tx.counters);
        let of_device = self.device.as_ref().map(|device| device.counters);
        let device = of_device.unwrap_or_default();
        [
            ("nic.rx_frames", rx.frames),
            ("nic.rx_bytes", rx.bytes),
            ("nic.rx_bad_descriptor", rx.bad_descriptor),
            ("nic.rx_bad_length", rx.bad_length),
            ("nic.rx_no_buffer", rx.no_buffer),
            ("nic.rx_doorbells", rx.doorbells),
            ("nic.tx_frames", tx.frames),
            ("nic.tx_bytes", tx.bytes),
            ("nic.tx_ring_full", tx.ring_full),
            ("nic.tx_bad_descriptor", tx.bad_descriptor),
            ("nic.tx_doorbells", tx.doorbells),
            (
                "nic.bad_used_index",
                self.rx.ring.bad_used_index() + self.tx.ring.bad_used_index(),
            ),
            ("nic.link_changes", device.link_changes),
            ("nic.needs_reset", device.needs_reset),
            ("nic.lost", device.lost),
            ("nic.tx_stalls", self.tx_stalls),
            ("nic.resets", device.resets),
        ]
        .into_iter()
    }
}
