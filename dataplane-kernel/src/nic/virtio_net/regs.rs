//! The registers of a virtio device: what a driver does to them as a trait, and their place in the BARs of a modern PCI
//! device (virtio 1.2, section 4.1.4).

use super::ring::Addresses;
use crate::hw::cell::Cell;
use crate::hw::mmio::Mmio;
use crate::hw::pci::msix::Vector;
use alloc::vec::Vec;
use core::fmt;

/// Device status (section 2.1).
pub(super) mod status {
    pub(in super::super) const ACKNOWLEDGE: u8 = 1;
    pub(in super::super) const DRIVER: u8 = 2;
    pub(in super::super) const DRIVER_OK: u8 = 4;
    pub(in super::super) const FEATURES_OK: u8 = 8;
    pub(in super::super) const NEEDS_RESET: u8 = 64;
    pub(in super::super) const FAILED: u8 = 128;
}

/// The place to notify a device of a queue.
pub trait Doorbell: Clone {
    /// There is something new in the queue.
    fn ring(&self);
}

/// What a driver asks of a device. Multi-byte values of the device's configuration are read as one (section 2.5.3).
pub trait Registers {
    /// A queue's, for the core that has the queue.
    type Doorbell: Doorbell;

    /// Features offered.
    fn offered(&mut self) -> u64;

    /// Writes the features the driver understands.
    fn accept(&mut self, features: u64);

    /// Device status.
    fn status(&self) -> u8;

    /// Sets the device status; zero resets the device.
    fn set_status(&mut self, status: u8);

    /// Most descriptors queue `queue` can have; zero if there is no such queue.
    fn max_queue_size(&mut self, queue: u16) -> u16;

    /// The device's interrupts: once.
    fn vectors(&mut self) -> Vec<Vector>;

    /// Has a queue that is not enabled interrupt by the vector with this number, or not at all. `false`: it will not.
    fn set_vector(&mut self, queue: u16, vector: Option<u16>) -> bool;

    /// Gives a queue its memory and enables it. `None` if the device has no place to notify for it.
    fn enable_queue(&mut self, queue: u16, size: u16, addresses: Addresses) -> Option<Self::Doorbell>;

    /// Byte `offset` of the device's configuration; zero beyond its end.
    fn config(&self, offset: usize) -> u8;

    /// Changes whenever the device's configuration does.
    fn config_generation(&self) -> u8;
}

/// Reads `N` bytes of configuration that belong together.
pub(super) fn config_bytes<const N: usize>(registers: &impl Registers, offset: usize) -> [u8; N] {
    /// A device that changes its configuration faster than it can be read does not get more attention than this.
    const TRIES: u32 = 8;
    let mut bytes = [0; N];
    for _ in 0..TRIES {
        let before = registers.config_generation();
        bytes = core::array::from_fn(|i| registers.config(offset + i));
        if registers.config_generation() == before {
            break;
        }
    }
    bytes
}

/// Vector number for "no interrupt".
const NO_VECTOR: u16 = 0xffff;

/// `struct virtio_pci_common_cfg` (section 4.1.4.3), by offset.
#[derive(Debug)]
struct Common {
    device_feature_select: Cell<u32>,
    device_feature: Cell<u32>,
    driver_feature_select: Cell<u32>,
    driver_feature: Cell<u32>,
    config_msix_vector: Cell<u16>,
    device_status: Cell<u8>,
    config_generation: Cell<u8>,
    queue_select: Cell<u16>,
    queue_size: Cell<u16>,
    queue_msix_vector: Cell<u16>,
    queue_enable: Cell<u16>,
    queue_notify_off: Cell<u16>,
    queue_desc: [Cell<u32>; 2],
    queue_driver: [Cell<u32>; 2],
    queue_device: [Cell<u32>; 2],
}

impl Common {
    fn new(range: &Mmio) -> Option<Self> {
        let wide = |offset| Some([range.cell(offset)?, range.cell(offset + 4)?]);
        Some(Common {
            device_feature_select: range.cell(0x00)?,
            device_feature: range.cell(0x04)?,
            driver_feature_select: range.cell(0x08)?,
            driver_feature: range.cell(0x0c)?,
            config_msix_vector: range.cell(0x10)?,
            device_status: range.cell(0x14)?,
            config_generation: range.cell(0x15)?,
            queue_select: range.cell(0x16)?,
            queue_size: range.cell(0x18)?,
            queue_msix_vector: range.cell(0x1a)?,
            queue_enable: range.cell(0x1c)?,
            queue_notify_off: range.cell(0x1e)?,
            queue_desc: wide(0x20)?,
            queue_driver: wide(0x28)?,
            queue_device: wide(0x30)?,
        })
    }
}

/// The ranges a modern device's capabilities name.
pub(super) struct Ranges {
    pub(super) common: Mmio,
    pub(super) notify: Mmio,
    /// Bytes between the places to notify of neighbouring queues.
    pub(super) notify_multiplier: u32,
    pub(super) config: Mmio,
    pub(super) vectors: Vec<Vector>,
}

/// Registers of a device on PCI.
pub struct PciRegisters {
    common: Common,
    notify: Mmio,
    notify_multiplier: u32,
    config: Mmio,
    /// Until somebody takes them.
    vectors: Vec<Vector>,
}

/// A queue's place to notify, and its number, which is what is written there.
#[derive(Clone, Debug)]
pub struct PciDoorbell {
    place: Cell<u16>,
    queue: u16,
}

impl Doorbell for PciDoorbell {
    #[inline(always)]
    fn ring(&self) {
        self.place.write(self.queue);
    }
}

impl fmt::Debug for PciRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PciRegisters").finish_non_exhaustive()
    }
}

impl PciRegisters {
    /// `None` if the common configuration is not long enough or misaligned.
    pub(super) fn new(ranges: Ranges) -> Option<Self> {
        let Ranges {
            common,
            notify,
            notify_multiplier,
            config,
            vectors,
        } = ranges;
        let common = Common::new(&common)?;
        Some(PciRegisters {
            common,
            notify,
            notify_multiplier,
            config,
            vectors,
        })
    }

    /// The place to notify of the selected queue (section 4.1.4.4).
    fn doorbell(&self) -> Option<Cell<u16>> {
        let index = u64::from(self.common.queue_notify_off.read());
        let offset = index * u64::from(self.notify_multiplier);
        self.notify.cell(usize::try_from(offset).ok()?)
    }
}

fn write_wide(halves: &[Cell<u32>; 2], value: u64) {
    #[allow(clippy::cast_possible_truncation, reason = "the low half and the high half")]
    let (low, high) = (value as u32, (value >> 32) as u32);
    halves[0].write(low);
    halves[1].write(high);
}

impl Registers for PciRegisters {
    type Doorbell = PciDoorbell;

    fn offered(&mut self) -> u64 {
        let half = |select| {
            self.common.device_feature_select.write(select);
            u64::from(self.common.device_feature.read())
        };
        half(0) | (half(1) << 32)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low half and the high half")]
    fn accept(&mut self, features: u64) {
        for (select, half) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.common.driver_feature_select.write(select);
            self.common.driver_feature.write(half);
        }
    }

    fn status(&self) -> u8 {
        self.common.device_status.read()
    }

    fn set_status(&mut self, status: u8) {
        self.common.device_status.write(status);
    }

    fn max_queue_size(&mut self, queue: u16) -> u16 {
        self.common.queue_select.write(queue);
        self.common.queue_size.read()
    }

    fn vectors(&mut self) -> Vec<Vector> {
        core::mem::take(&mut self.vectors)
    }

    /// Section 4.1.5.1.2.1: a device that has no room for it says so.
    fn set_vector(&mut self, queue: u16, vector: Option<u16>) -> bool {
        let vector = vector.unwrap_or(NO_VECTOR);
        self.common.queue_select.write(queue);
        self.common.queue_msix_vector.write(vector);
        self.common.queue_msix_vector.read() == vector
    }

    fn enable_queue(&mut self, queue: u16, size: u16, addresses: Addresses) -> Option<PciDoorbell> {
        self.common.config_msix_vector.write(NO_VECTOR);
        self.common.queue_select.write(queue);
        self.common.queue_size.write(size);
        write_wide(&self.common.queue_desc, addresses.descriptors.0);
        write_wide(&self.common.queue_driver, addresses.available.0);
        write_wide(&self.common.queue_device, addresses.used.0);
        let place = self.doorbell()?;
        self.common.queue_enable.write(1);
        Some(PciDoorbell { place, queue })
    }

    fn config(&self, offset: usize) -> u8 {
        self.config.cell(offset).map_or(0, |byte| byte.read())
    }

    fn config_generation(&self) -> u8 {
        self.common.config_generation.read()
    }
}
