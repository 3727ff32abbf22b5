//! The local interrupt controller: periodic ticks, which are taken in ring 3 only.

use super::port::outb;

/// The two 8259 controllers of the PC: everything masked, vectors moved off the processor's own should one be spurious.
pub fn mask_legacy_controllers() {
    let words = [
        (0x20, 0x11),
        (0xa0, 0x11),
        (0x21, 0x20),
        (0xa1, 0x28),
        (0x21, 0x04),
        (0xa1, 0x02),
        (0x21, 0x01),
        (0xa1, 0x01),
        (0x21, 0xff),
        (0xa1, 0xff),
    ];
    for (port, word) in words {
        // SAFETY: the controllers do not touch memory.
        unsafe { outb(port, word) };
    }
}
