//! VMware's paravirtual network card, vmxnet3, in revision 1 of its interface: one queue to receive and one to transmit, polled.
//! (QEMU's receives into the first queue, whatever there are, and has no RSS.)
//!
//! No manual of it is public; what is said of it here is what Linux' driver and QEMU's device have in common.
//!
//! In the order of the story: `pci` finds the registers (`regs`), `init` describes in a `shared` area what the device is to be,
//! and activates it; `rx` and `tx` keep the two queues, over a `ring` of descriptors and one of reports each. The `device` as a
//! whole is looked after beside them.
//!
//! # Doorbells
//!
//! The device sees new descriptors by itself, once they are of the right generation; a doorbell has it look. For frames it is rung
//! once a batch, in `Nic::kick`; for buffers only if the device says that it wants that, which QEMU's never does.

/// Finding a device's registers on PCI.
pub mod pci;

/// The registers.
pub mod regs;

/// From reset to work.
pub mod init;

/// What the device is told, and tells.
mod shared;

/// Rings as memory.
mod ring;

/// What the words of a descriptor say.
mod descriptor;

/// Receiving.
mod rx;

/// Transmitting.
mod tx;

/// The device as a whole.
mod device;

#[cfg(test)]
mod fake_device;
#[cfg(test)]
mod tests;

use super::forward::forward;
use super::pairs::{Member, Progress};
use super::recovery::{self, Pair};
use super::{Health, Nic, Offloads, RxFrame};
use crate::hw::barrier;
use crate::hw::cell::Cell;
use core::fmt;
use device::Device;
use regs::{Doorbell, Registers};

/// A device at work, with its queues.
#[derive(Debug)]
pub struct Vmxnet3<R: Registers> {
    device: Device<R>,
    member: Member,
    tx_doorbell: R::Doorbell,
    rx_doorbells: [R::Doorbell; 2],
    wants_rx_doorbell: Cell<u8>,
    rx: rx::Rx,
    tx: tx::Tx,
}

impl<R: Registers> Vmxnet3<R> {
    #[cold]
    fn ring_rx(&mut self) {
        self.rx.counters.doorbells += 1;
        for (doorbell, place) in self.rx_doorbells.iter().zip(self.rx.filled()) {
            doorbell.write(place);
        }
    }
}

impl<R: Registers> Pair for Vmxnet3<R> {
    type Card = Device<R>;

    fn card(&mut self) -> Option<&mut Device<R>> {
        Some(&mut self.device)
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

impl<R: Registers> fmt::Display for Vmxnet3<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.device.setup.mac;
        let link = if self.link_up() { "up" } else { "down" };
        write!(
            f,
            "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}, link {link}, MTU {}, ",
            self.device.setup.mtu
        )?;
        bitflags::parser::to_writer(&self.device.setup.offloads, f)
    }
}

impl<R: Registers> Nic for Vmxnet3<R> {
    forward!(queues);

    fn mac(&self) -> [u8; 6] {
        self.device.setup.mac
    }

    fn mtu(&self) -> u16 {
        self.device.setup.mtu
    }

    fn offloads(&self) -> Offloads {
        self.device.setup.offloads
    }

    fn link_up(&self) -> bool {
        self.member.link_up()
    }

    #[inline]
    fn poll_rx(&mut self, budget: usize, sink: &mut impl FnMut(RxFrame)) -> usize {
        self.rx.poll(budget, sink)
    }

    #[inline]
    fn kick(&mut self) {
        if self.member.is_down() {
            // Lost, like any frame can be.
            return self.tx.restart();
        }
        if let Some(place) = self.tx.news() {
            barrier::write();
            self.tx_doorbell.write(place);
        }
        if core::mem::take(&mut self.rx.has_news) && self.wants_rx_doorbell.read() != 0 {
            self.ring_rx();
        }
    }

    fn stop_merging(&mut self) -> bool {
        self.device.setup.offloads.remove(Offloads::LRO);
        self.device.update(&self.member.pairs);
        true
    }

    fn hear_all_stations(&mut self) -> bool {
        self.device.setup.promiscuous = true;
        self.device.update(&self.member.pairs);
        true
    }

    fn check(&mut self) -> Health {
        recovery::check(self)
    }

    fn stop(&mut self) {
        self.device.stop();
        self.tx.reclaim();
        self.tx.restart();
    }

    /// - `nic.rx_frames`, `nic.rx_bytes`: received, and bytes of those.
    /// - `nic.rx_cut_short`: the device had no room for all of it, or found it damaged; the buffers went back to it.
    /// - `nic.rx_bad_length`: the device wrote less than a frame, more than a buffer, a frame without a start or an end, or one over
    ///   more buffers than any has; they went back to it.
    /// - `nic.rx_bad_descriptor`: the device named a buffer it does not have; skipped.
    /// - `nic.rx_no_buffer`: times the pool became empty while a ring had room.
    /// - `nic.rx_vlan_not_ours`: frames without a tag or with another's, where the device takes off ours; they went back to it.
    /// - `nic.rx_doorbells`: times the device was told of buffers.
    /// - `nic.rx_missed`, `nic.rx_errors`: frames the device itself dropped: no room, damage.
    /// - `nic.tx_frames`, `nic.tx_bytes`: queued, and bytes of those.
    /// - `nic.tx_ring_full`: times a frame found no room.
    /// - `nic.tx_bad_descriptor`: the device reported a frame that is not the oldest it has; skipped.
    /// - `nic.tx_errors`, `nic.tx_discarded`: frames the device could not send, or did not want to.
    /// - `nic.tx_doorbells`: times the device was told of frames.
    /// - `nic.link_changes`: times the link was found up or down after the other.
    /// - `nic.needs_reset`, `nic.lost`: a queue has stopped for an error, or the device was reset or removed by somebody else.
    /// - `nic.resets`: times it was reset, because of that or because it sent nothing any more.
    fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let (rx, tx) = (&self.rx.counters, &self.tx.counters);
        let (device, failures) = (&self.device.recovery, self.device.failures());
        [
            ("nic.rx_frames", rx.frames),
            ("nic.rx_bytes", rx.bytes),
            ("nic.rx_cut_short", rx.cut_short),
            ("nic.rx_bad_length", rx.bad_length),
            ("nic.rx_bad_descriptor", rx.bad_descriptor),
            ("nic.rx_no_buffer", rx.no_buffer),
            ("nic.rx_vlan_not_ours", rx.other_vlan),
            ("nic.rx_doorbells", rx.doorbells),
            ("nic.rx_missed", failures.rx_no_buffer),
            ("nic.rx_errors", failures.rx_errors),
            ("nic.tx_frames", tx.frames),
            ("nic.tx_bytes", tx.bytes),
            ("nic.tx_ring_full", tx.ring_full),
            ("nic.tx_bad_descriptor", tx.bad_descriptor),
            ("nic.tx_errors", failures.tx_errors),
            ("nic.tx_discarded", failures.tx_discarded),
            ("nic.tx_doorbells", tx.doorbells),
            ("nic.link_changes", device.link_changes),
            ("nic.needs_reset", device.needs_reset),
            ("nic.lost", device.lost),
            ("nic.resets", device.resets),
        ]
        .into_iter()
    }
}
