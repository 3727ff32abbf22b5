//! What driver and device agree on (virtio 1.2, sections 2.2, 5.1.3 and 6).

use super::regs::{Registers, config_bytes};
use super::ring::Suppression;

bitflags::bitflags! {
    /// Feature bits this driver knows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Feature: u64 {
        /// The device completes checksums of transmitted frames.
        const CSUM = 1 << 0;
        /// The driver takes received frames whose checksum the device vouches for.
        const GUEST_CSUM = 1 << 1;
        /// The device knows its MTU.
        const MTU = 1 << 3;
        /// The device has an address.
        const MAC = 1 << 5;
        /// The device knows the state of its link.
        const STATUS = 1 << 16;
        /// Notifications and interrupts are suppressed by index.
        const EVENT_IDX = 1 << 29;
        /// Not a legacy device.
        const VERSION_1 = 1 << 32;
        /// The device's addresses are those of the platform: guest-physical ones, an IOMMU between them or not.
        const ACCESS_PLATFORM = 1 << 33;
        /// The device orders its accesses like real hardware, and so does the driver.
        const ORDER_PLATFORM = 1 << 36;
    }
}

/// Offsets in the device's configuration (section 5.1.4).
mod offset {
    pub(super) const MAC: usize = 0;
    pub(super) const STATUS: usize = 6;
    pub(super) const MTU: usize = 10;
}

/// `VIRTIO_NET_S_LINK_UP`.
const LINK_UP: u16 = 1;

/// Largest IP packet this driver carries: an ordinary Ethernet frame fits a buffer, a jumbo frame does not.
pub(super) const MAX_MTU: u16 = 1500;

/// Every IPv4 link carries this much (RFC 791).
const MIN_MTU: u16 = 68;

impl Feature {
    /// Of what is offered, what this driver wants. A device with a larger MTU than the driver's is not told that the
    /// driver knows it, since it could send frames that do not fit (section 5.1.4.2).
    pub(super) fn choose(registers: &mut impl Registers) -> Feature {
        let mut features = Feature::from_bits_truncate(registers.offered());
        if features.contains(Feature::MTU) && !(MIN_MTU..=MAX_MTU).contains(&configured_mtu(registers)) {
            features.remove(Feature::MTU);
        }
        features
    }

    pub(super) fn suppression(self) -> Suppression {
        if self.contains(Feature::EVENT_IDX) {
            Suppression::EventIndex
        } else {
            Suppression::Flags
        }
    }

    /// Largest IP packet.
    pub(super) fn mtu(self, registers: &impl Registers) -> u16 {
        if self.contains(Feature::MTU) {
            configured_mtu(registers).clamp(MIN_MTU, MAX_MTU)
        } else {
            MAX_MTU
        }
    }

    /// The device's address, or if it has none, one made from `entropy` that is locally administered.
    pub(super) fn mac(self, registers: &impl Registers, entropy: u64) -> [u8; 6] {
        const GROUP: u8 = 1;
        const LOCAL: u8 = 2;
        if self.contains(Feature::MAC) {
            return config_bytes(registers, offset::MAC);
        }
        let [a, b, c, d, e, f, ..] = entropy.to_le_bytes();
        [a & !GROUP | LOCAL, b, c, d, e, f]
    }

    /// A link whose state the device does not tell is up (section 5.1.4.2).
    pub(super) fn link_up(self, registers: &impl Registers) -> bool {
        let status = || u16::from_le_bytes(config_bytes(registers, offset::STATUS));
        !self.contains(Feature::STATUS) || status() & LINK_UP != 0
    }
}

fn configured_mtu(registers: &impl Registers) -> u16 {
    u16::from_le_bytes(config_bytes(registers, offset::MTU))
}
