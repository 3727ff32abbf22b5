//! Where things lie: one BAR with a page for each group of registers, and the capabilities that tell so (virtio 1.2, section
//! 4.1.4; of interrupts see `msix`).

use super::msix;
use crate::vmm::pci::config_space::{BarWidth, ConfigSpace, Identity};
use crate::vmm::virtio::Device;

/// The BAR with all registers.
pub(super) const BAR: u8 = 0;
pub(super) const BAR_BYTES: u64 = 0x8000;

/// Offsets in it.
pub(super) const COMMON: u64 = 0x0000;
pub(super) const ISR: u64 = 0x1000;
pub(super) const CONFIG: u64 = 0x2000;
pub(super) const NOTIFY: u64 = 0x3000;
pub(super) const MSIX_TABLE: u64 = 0x4000;
pub(super) const MSIX_PENDING: u64 = 0x5000;

/// Bytes of the groups. Of the common configuration there is what belongs to no optional feature.
pub(super) const COMMON_BYTES: u32 = 0x38;
const ISR_BYTES: u32 = 1;

/// Bytes between the places to notify of neighbouring queues.
pub(super) const NOTIFY_MULTIPLIER: u32 = 4;

const VENDOR: u16 = 0x1af4;

/// Device numbers start here for modern devices (section 4.1.2).
const FIRST_DEVICE: u16 = 0x1040;

/// Number of a vendor's own capability.
const VENDOR_SPECIFIC: u8 = 0x09;

/// `cfg_type` of `struct virtio_pci_cap`.
mod kind {
    pub(super) const COMMON: u8 = 1;
    pub(super) const NOTIFY: u8 = 2;
    pub(super) const ISR: u8 = 3;
    pub(super) const CONFIG: u8 = 4;
    pub(super) const WINDOW: u8 = 5;
}

/// Of `struct virtio_pci_cap`, what lies behind the first two bytes, which every capability has.
fn body(kind: u8, offset: u64, len: u32, extra: [u8; 4]) -> [u8; 18] {
    let mut body = [0; 18];
    body[0] = 20;
    body[1] = kind;
    body[2] = BAR;
    let [a, b, c, d, ..] = offset.to_le_bytes();
    body[6..10].copy_from_slice(&[a, b, c, d]);
    body[10..14].copy_from_slice(&len.to_le_bytes());
    body[14..].copy_from_slice(&extra);
    body
}

/// Offsets of capabilities.
pub(super) struct Capabilities {
    /// That which gives access to BARs.
    pub(super) window: u16,
    /// That of interrupts.
    pub(super) msix: u16,
}

/// Configuration space of the device on PCI.
pub(super) fn config_space(device: &impl Device) -> (ConfigSpace, Capabilities) {
    let mut space = ConfigSpace::new(Identity {
        vendor: VENDOR,
        device: FIRST_DEVICE + device.id(),
        subsystem: (VENDOR, 0x40),
        class: device.class(),
        // Section 4.1.2.1: 1 or higher for modern devices.
        revision: 1,
    });
    space.add_bar(BAR, BAR_BYTES, BarWidth::Bits64);
    let queues = u32::try_from(device.queues()).unwrap_or_default();
    let config_bytes = u32::try_from(device.config().len()).unwrap_or_default();
    for (kind, offset, len, extra) in [
        (kind::COMMON, COMMON, COMMON_BYTES, 0),
        (
            kind::NOTIFY,
            NOTIFY,
            NOTIFY_MULTIPLIER * queues,
            NOTIFY_MULTIPLIER,
        ),
        (kind::ISR, ISR, ISR_BYTES, 0),
        (kind::CONFIG, CONFIG, config_bytes, 0),
    ] {
        space.add_capability(
            VENDOR_SPECIFIC,
            &body(kind, offset, len, extra.to_le_bytes()),
            &[],
        );
    }
    // Of the window the guest writes the BAR's number, offset, length and the data.
    let mut writable = [0; 18];
    writable[2] = 0xff;
    writable[6..].fill(0xff);
    let window = body(kind::WINDOW, 0, 0, [0; 4]);
    let window = space.add_capability(VENDOR_SPECIFIC, &window, &writable);
    let msix = msix::add_capability(&mut space, device.calls().len());
    (space, Capabilities { window, msix })
}
