//! The configuration space the guest sees: an emulated one, filled in once from the card's. Nothing of it is looked up in
//! the card again, and nothing the guest writes there gets to the card but the bit that lets it be bus master.

use super::capability;
use super::hardware::{Hardware, register};
use crate::vmm::pci::BAR_COUNT;
use crate::vmm::pci::config_space::{BarWidth, ConfigSpace, Identity, register as offset};

/// The card as the guest sees it: who it is, its memory BARs, and of its capabilities those that lead a virtio driver to
/// its registers. MSI, MSI-X, power management, PCI Express, the expansion ROM and I/O ports are not for a kernel that
/// polls and needs none of them.
pub(super) fn space(card: &impl Hardware) -> ConfigSpace {
    let word = |at| u16::from_le_bytes(register(card, at));
    let [revision, interface, subclass, class] = register(card, offset::REVISION);
    let mut space = ConfigSpace::new(Identity {
        vendor: word(offset::VENDOR),
        device: word(offset::VENDOR + 2),
        subsystem: (word(offset::SUBSYSTEM_VENDOR), word(offset::SUBSYSTEM_VENDOR + 2)),
        class: [class, subclass, interface],
        revision,
    });
    for (bar, bytes, width) in bars(card) {
        space.add_bar(bar, bytes, width);
    }
    // In the card they have room beside each other; if they overlap there, not all of them may have it here.
    let mut room = ROOM;
    for body in capability::of_virtio(card) {
        let bytes = (HEAD + body.len()).next_multiple_of(4);
        if bytes <= room {
            room -= bytes;
            space.add_capability(VENDOR_SPECIFIC, &body, &[]);
        }
    }
    space
}

const VENDOR_SPECIFIC: u8 = 0x09;

/// Number and link of a capability, and the bytes that there are for capabilities.
const HEAD: usize = 2;
const ROOM: usize = 256 - 64;

/// The memory BARs that can be modelled: what PCI says they are, and no other.
fn bars(card: &impl Hardware) -> Vec<(u8, u64, BarWidth)> {
    const IO: u8 = 1;
    const WIDE: u8 = 4;
    const SMALLEST: u64 = 16;
    let mut bars = Vec::new();
    let mut index = 0;
    while index < BAR_COUNT {
        let [flags, ..] = register::<4>(card, offset::BAR0 + 4 * u16::from(index));
        let wide = flags & (IO | WIDE) == WIDE && index + 1 < BAR_COUNT;
        let bytes = card.bar_bytes(index);
        let expressible = bytes.is_power_of_two() && bytes >= SMALLEST && (wide || bytes < 1 << 32);
        if flags & IO == 0 && expressible {
            bars.push((
                index,
                bytes,
                if wide { BarWidth::Bits64 } else { BarWidth::Bits32 },
            ));
        }
        index += if wide { 2 } else { 1 };
    }
    bars
}
