//! What driver and device agree on (virtio 1.2, sections 2.2, 5.1.3 and 6).

use super::regs::{Registers, config_bytes};
use super::ring::Suppression;
use crate::nic::{ETHERNET_MTU, JUMBO_MTU, MIN_MTU, Offloads, Wanted};
use netstack::rss::{ENTRIES, KEY_BYTES};

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
        /// The driver takes TCP segments over IPv4 that the device has merged, longer than the link's.
        const GUEST_TSO4 = 1 << 7;
        /// The same over IPv6.
        const GUEST_TSO6 = 1 << 8;
        /// The device cuts TCP segments over IPv4.
        const HOST_TSO4 = 1 << 11;
        /// The same over IPv6.
        const HOST_TSO6 = 1 << 12;
        /// A received frame may take several buffers.
        const MRG_RXBUF = 1 << 15;
        /// The device has an address.
        const MAC = 1 << 5;
        /// The device knows the state of its link.
        const STATUS = 1 << 16;
        /// There is a queue for commands.
        const CTRL_VQ = 1 << 17;
        /// There are several pairs of queues.
        const MQ = 1 << 22;
        /// Notifications and interrupts are suppressed by index.
        const EVENT_IDX = 1 << 29;
        /// Not a legacy device.
        const VERSION_1 = 1 << 32;
        /// The device's addresses are those of the platform: guest-physical ones, an IOMMU between them or not.
        const ACCESS_PLATFORM = 1 << 33;
        /// The device orders its accesses like real hardware, and so does the driver.
        const ORDER_PLATFORM = 1 << 36;
        /// The device chooses the receive queue by the driver's key and table.
        const RSS = 1 << 60;
    }
}

/// Offsets in the device's configuration (section 5.1.4).
mod offset {
    pub(super) const MAC: usize = 0;
    pub(super) const STATUS: usize = 6;
    pub(super) const MAX_PAIRS: usize = 8;
    pub(super) const MTU: usize = 10;
    pub(super) const RSS_MAX_KEY_BYTES: usize = 17;
    pub(super) const RSS_MAX_ENTRIES: usize = 18;
    pub(super) const RSS_HASH_TYPES: usize = 20;
}

/// Hashes over addresses and ports: TCP over IPv4, UDP over IPv4, TCP over IPv6, UDP over IPv6 (section 5.1.6.4.3.3).
const FLOW_HASHES: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5;

/// `VIRTIO_NET_S_LINK_UP`.
const LINK_UP: u16 = 1;

/// The same of both families: what is wanted for one is wanted for the other.
const GUEST_TSO: Feature = Feature::GUEST_TSO4.union(Feature::GUEST_TSO6);
const HOST_TSO: Feature = Feature::HOST_TSO4.union(Feature::HOST_TSO6);

impl Feature {
    /// Of what is offered, what this driver wants. Frames too long for a buffer are taken if they may take several. A device
    /// with a larger MTU than is wanted is not told that the driver knows it, since it could send frames that are not
    /// (section 5.1.4.2).
    pub(super) fn choose(registers: &mut impl Registers, wanted: &Wanted) -> Feature {
        let mut features = Feature::from_bits_truncate(registers.offered());
        for (offload, bits) in [
            (Offloads::RX_CHECKSUM, Feature::GUEST_CSUM),
            (Offloads::TX_CHECKSUM, Feature::CSUM),
            (Offloads::TSO, HOST_TSO),
            (Offloads::LRO, GUEST_TSO),
            (Offloads::RSS, Feature::RSS),
        ] {
            if !wanted.offloads.contains(offload) || !features.contains(bits) {
                features.remove(bits);
            }
        }
        // Section 5.1.3.1.
        if !features.contains(Feature::CSUM) {
            features.remove(HOST_TSO);
        }
        if !features.contains(Feature::GUEST_CSUM | Feature::MRG_RXBUF) {
            features.remove(GUEST_TSO);
        }
        if !features.contains(Feature::CTRL_VQ | Feature::MQ) || pairs(registers).min(wanted.queues) < 2 {
            features.remove(Feature::CTRL_VQ | Feature::MQ | Feature::RSS);
        }
        if features.contains(Feature::RSS) && !hashes_flows(registers) {
            features.remove(Feature::RSS);
        }
        let most = wanted.mtu.unwrap_or(ETHERNET_MTU).min(features.most());
        if features.contains(Feature::MTU) && !(MIN_MTU..=most).contains(&configured_mtu(registers)) {
            features.remove(Feature::MTU);
        }
        features
    }

    /// Wants no merged segments any more. `true` if it did.
    pub(super) fn stop_merging(&mut self) -> bool {
        let merged = self.intersects(GUEST_TSO);
        self.remove(GUEST_TSO);
        merged
    }

    /// What was agreed on, in the words of all cards.
    pub(super) fn offloads(self) -> Offloads {
        let mut offloads = Offloads::empty();
        offloads.set(Offloads::RX_CHECKSUM, self.contains(Feature::GUEST_CSUM));
        offloads.set(Offloads::TX_CHECKSUM, self.contains(Feature::CSUM));
        offloads.set(Offloads::TSO, self.contains(HOST_TSO));
        offloads.set(Offloads::LRO, self.contains(GUEST_TSO));
        offloads.set(Offloads::RSS, self.contains(Feature::RSS));
        offloads
    }

    /// Pairs of queues there are.
    pub(super) fn pairs(self, registers: &impl Registers) -> u16 {
        if self.contains(Feature::MQ) {
            pairs(registers)
        } else {
            1
        }
    }

    /// The largest IP packet that can be received.
    fn most(self) -> u16 {
        if self.contains(Feature::MRG_RXBUF) {
            JUMBO_MTU
        } else {
            ETHERNET_MTU
        }
    }

    pub(super) fn suppression(self) -> Suppression {
        if self.contains(Feature::EVENT_IDX) {
            Suppression::EventIndex
        } else {
            Suppression::Flags
        }
    }

    /// Largest IP packet.
    pub(super) fn mtu(self, registers: &impl Registers, wanted: &Wanted) -> u16 {
        let wish = wanted.mtu.unwrap_or(ETHERNET_MTU).clamp(MIN_MTU, self.most());
        if self.contains(Feature::MTU) {
            configured_mtu(registers).clamp(MIN_MTU, wish)
        } else {
            wish
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

fn pairs(registers: &impl Registers) -> u16 {
    u16::from_le_bytes(config_bytes(registers, offset::MAX_PAIRS))
}

/// Of the hashes over addresses and ports, those the device knows. What it has none for comes to the first queue.
pub(super) fn flow_hashes(registers: &impl Registers) -> u32 {
    u32::from_le_bytes(config_bytes(registers, offset::RSS_HASH_TYPES)) & FLOW_HASHES
}

/// It knows one at least, and has room for the key and the table.
fn hashes_flows(registers: &impl Registers) -> bool {
    let [key_bytes] = config_bytes(registers, offset::RSS_MAX_KEY_BYTES);
    let entries = u16::from_le_bytes(config_bytes(registers, offset::RSS_MAX_ENTRIES));
    flow_hashes(registers) != 0 && usize::from(key_bytes) >= KEY_BYTES && usize::from(entries) >= ENTRIES
}

fn configured_mtu(registers: &impl Registers) -> u16 {
    u16::from_le_bytes(config_bytes(registers, offset::MTU))
}
