//! The card's own list of capabilities (PCI Local Bus 3.0, section 6.7), and which of them the guest may know.

use super::hardware::{Hardware, register};
use crate::vmm::pci::config_space::register as offset;
use std::ops::Range;

/// Capability numbers.
mod id {
    pub(super) const VENDOR_SPECIFIC: u8 = 0x09;
    pub(super) const MSIX: u8 = 0x11;
}

/// The vendor whose specific capabilities are virtio's.
const VIRTIO_VENDOR: u16 = 0x1af4;

/// `cfg_type` of the virtio structures that lie in BARs and are a driver's business: common, notify, interrupt status,
/// device (virtio 1.2, section 4.1.4). Not the one behind them, 5: a window to every BAR in configuration space.
const VIRTIO_STRUCTURES: std::ops::RangeInclusive<u8> = 1..=4;

/// Offset of `cfg_type` in such a capability, and the bytes of the shortest.
const CFG_TYPE: u16 = 3;
const MIN_VIRTIO_BYTES: u8 = 16;

/// Where capabilities can lie: behind the header.
const PLACES: Range<u8> = 0x40..0xfd;

/// A capability: its number, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capability {
    id: u8,
    at: u16,
}

/// The list, up to where it ends or comes back to itself.
fn all(card: &impl Hardware) -> Vec<Capability> {
    const HAS_CAPABILITIES: u8 = 1 << 4;
    let [status] = register(card, offset::STATUS);
    let mut list: Vec<Capability> = Vec::new();
    if status & HAS_CAPABILITIES == 0 {
        return list;
    }
    let [mut next] = register(card, offset::CAPABILITIES);
    loop {
        let at = next & !3;
        if !PLACES.contains(&at) || list.iter().any(|seen| seen.at == u16::from(at)) {
            return list;
        }
        let [id, link] = register(card, at.into());
        list.push(Capability { id, at: at.into() });
        next = link;
    }
}

/// The bodies, behind number and link, of the vendor-specific capabilities by which a virtio driver finds its registers.
pub(super) fn of_virtio(card: &impl Hardware) -> Vec<Vec<u8>> {
    if u16::from_le_bytes(register(card, offset::VENDOR)) != VIRTIO_VENDOR {
        return Vec::new();
    }
    let ours = all(card)
        .into_iter()
        .filter(|capability| capability.id == id::VENDOR_SPECIFIC);
    ours.filter_map(|Capability { at, .. }| {
        let [len] = register(card, at + 2);
        let [kind] = register(card, at + CFG_TYPE);
        let fits = len >= MIN_VIRTIO_BYTES && usize::from(at) + usize::from(len) <= 256;
        let body = (at + 2..at + u16::from(len)).map(|at| register::<1>(card, at)[0]);
        (fits && VIRTIO_STRUCTURES.contains(&kind)).then(|| body.collect())
    })
    .collect()
}

/// A part of a BAR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) bar: u8,
    pub(super) bytes: Range<u64>,
}

/// Where the card keeps its MSI-X table and its pending bits (PCI Local Bus 3.0, section 6.8.2). A guest that could write
/// the table could have the card write anything anywhere in the range of interrupts.
pub(super) fn msix(card: &impl Hardware) -> Vec<Part> {
    const ENTRY_BYTES: u64 = 16;
    const PENDING_ALIGN: u64 = 64;
    let Some(Capability { at, .. }) = all(card).into_iter().find(|capability| capability.id == id::MSIX)
    else {
        return Vec::new();
    };
    let entries = u64::from(u16::from_le_bytes(register(card, at + 2)) & 0x7ff) + 1;
    let part = |at: u16, bytes: u64| {
        let place = u32::from_le_bytes(register(card, at));
        let start = u64::from(place & !7);
        Part {
            bar: u8::try_from(place & 7).unwrap_or_default(),
            bytes: start..start + bytes,
        }
    };
    let pending = entries.next_multiple_of(PENDING_ALIGN) / 8;
    vec![part(at + 4, entries * ENTRY_BYTES), part(at + 8, pending)]
}
