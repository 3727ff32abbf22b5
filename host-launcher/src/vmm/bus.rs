//! Where a CPU's accesses go that KVM does not answer itself: ports and memory, to the legacy devices and to PCI. What
//! nobody answers reads as all ones, is not written, and is counted.

use super::exits::{Exits, count};
use super::legacy::{Effect, Legacy};
use super::pci::{self, DecodeError, Root};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// All devices of the machine.
pub struct Bus<L: Write, D: Write> {
    legacy: Mutex<Legacy<L, D>>,
    pci: Mutex<Root>,
    /// What is counted.
    pub exits: Exits,
}

impl<L: Write, D: Write> Bus<L, D> {
    /// A bus with these devices.
    pub fn new(legacy: Legacy<L, D>, pci: Root) -> Self {
        Self {
            legacy: Mutex::new(legacy),
            pci: Mutex::new(pci),
            exits: Exits::default(),
        }
    }

    /// A CPU reads a port. Of a device with registers of a byte, more than one byte is what a string instruction reads.
    pub fn port_read(&self, port: u16, data: &mut [u8]) {
        count(&self.exits.port_reads);
        if pci::PORTS.contains(&port) {
            lock(&self.pci).port_read(port, data);
        } else if Legacy::<L, D>::has(port) {
            let mut legacy = lock(&self.legacy);
            data.fill_with(|| legacy.read(port));
        } else {
            count(&self.exits.unclaimed);
            data.fill(0xff);
        }
    }

    /// A CPU writes a port.
    ///
    /// # Errors
    /// [`DecodeError`], which ends the machine.
    pub fn port_write(&self, port: u16, data: &[u8]) -> Result<Effect, DecodeError> {
        count(&self.exits.port_writes);
        if pci::PORTS.contains(&port) {
            lock(&self.pci).port_write(port, data)?;
        } else if Legacy::<L, D>::has(port) {
            let mut legacy = lock(&self.legacy);
            let mut effects = data.iter().map(|&byte| legacy.write(port, byte));
            return Ok(effects
                .find(|&effect| effect != Effect::None)
                .unwrap_or(Effect::None));
        } else {
            count(&self.exits.unclaimed);
        }
        Ok(Effect::None)
    }

    /// A CPU reads memory without RAM behind it.
    pub fn memory_read(&self, address: u64, data: &mut [u8]) {
        count(&self.exits.memory_reads);
        lock(&self.pci).memory_read(address, data);
    }

    /// A CPU writes memory without RAM behind it.
    ///
    /// # Errors
    /// [`DecodeError`], which ends the machine.
    pub fn memory_write(&self, address: u64, data: &[u8]) -> Result<(), DecodeError> {
        count(&self.exits.memory_writes);
        lock(&self.pci).memory_write(address, data)
    }

    /// Everything counted so far, by name.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let pci = lock(&self.pci).counters();
        let pci = [
            ("pci.unclaimed", pci.unclaimed),
            ("pci.malformed", pci.malformed),
            ("pci.refused_bars", pci.refused_bars),
        ];
        self.exits.read().chain(pci)
    }
}

/// A panic in a device ends the process, so no lock is ever poisoned.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Bus, Effect, Legacy};
    use crate::vmm::pci::{Root, Windows};
    use proptest::prelude::*;

    fn bus() -> Bus<Vec<u8>, Vec<u8>> {
        let root = Root::new(Windows::above(1 << 30, 40));
        Bus::new(Legacy::new(Vec::new(), Vec::new()), root)
    }

    fn counter(bus: &Bus<Vec<u8>, Vec<u8>>, name: &str) -> u64 {
        let mut counters = bus.counters();
        counters.find(|(counter, _)| *counter == name).unwrap().1
    }

    #[test]
    fn accesses_find_their_devices() {
        let bus = bus();
        bus.port_write(0xcf8, &0x8000_0000_u32.to_le_bytes()).unwrap();
        let mut id = [0; 4];
        bus.port_read(0xcfc, &mut id);
        let mut same = [0; 4];
        bus.memory_read(0xd000_0000, &mut same);
        assert!(id == same && id != [0xff; 4], "the host bridge, by both ways");
        let mut status = [0];
        bus.port_read(0x3fd, &mut status);
        assert_eq!(status[0] & 0x20, 0x20);
        assert_eq!(bus.port_write(0xf4, &[0x10]).unwrap(), Effect::Exit(0x10));
    }

    #[test]
    fn nobody_answers_with_ones_and_is_counted() {
        let bus = bus();
        let mut data = [0; 4];
        bus.port_read(0x60, &mut data);
        assert_eq!(data, [0xff; 4]);
        assert_eq!(bus.port_write(0x20, &[1]).unwrap(), Effect::None);
        let mut data = [0; 8];
        bus.memory_read(0xffff_0000_0000, &mut data);
        assert_eq!(data, [0xff; 8]);
        bus.memory_write(0xfec0_0000, &data).unwrap();
        assert_eq!(
            (counter(&bus, "unclaimed"), counter(&bus, "pci.unclaimed")),
            (2, 2)
        );
        assert_eq!(
            (
                counter(&bus, "exits.port_reads"),
                counter(&bus, "exits.memory_writes")
            ),
            (1, 1)
        );
    }

    proptest! {
        #[test]
        fn no_access_panics_or_grows_anything(
            accesses in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..10), 0..4), 0..200)
        ) {
            let bus = bus();
            for (address, mut data, kind) in accesses {
                let port = u16::try_from(address & 0xfff).unwrap();
                match kind {
                    0 => bus.port_read(port, &mut data),
                    1 => drop(bus.port_write(port, &data)),
                    2 => bus.memory_read(address & 0x1_ffff_ffff, &mut data),
                    _ => drop(bus.memory_write(address, &data)),
                }
            }
        }
    }
}
