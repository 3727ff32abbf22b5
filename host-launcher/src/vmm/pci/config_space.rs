//! Configuration space of an emulated function: bytes, and which of their bits the guest may write (PCI Local Bus 3.0,
//! section 6.1; header type 0).
//!
//! There is nothing more to a BAR than that: the bits below its size cannot be written, so a guest that writes ones and
//! reads them back has measured it.

use super::{BAR_COUNT, DecodedBar};

/// Offsets of registers.
pub mod register {
    /// Vendor and device.
    pub const VENDOR: u16 = 0x00;
    /// Command.
    pub const COMMAND: u16 = 0x04;
    /// Status.
    pub const STATUS: u16 = 0x06;
    /// Revision, programming interface, subclass, class.
    pub const REVISION: u16 = 0x08;
    /// Header type.
    pub const HEADER_TYPE: u16 = 0x0e;
    /// The first BAR.
    pub const BAR0: u16 = 0x10;
    /// Subsystem vendor and subsystem.
    pub const SUBSYSTEM_VENDOR: u16 = 0x2c;
    /// Offset of the first capability.
    pub const CAPABILITIES: u16 = 0x34;
    /// A byte for firmware and driver to leave notes in.
    pub const INTERRUPT_LINE: u16 = 0x3c;
}

/// Bits of the command register.
pub mod command {
    /// The function answers in its I/O BARs.
    pub const IO: u16 = 1 << 0;
    /// The function answers in its memory BARs.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may read and write memory.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// The function asserts no INTx.
    pub const INTX_DISABLE: u16 = 1 << 10;
}

/// The status register's bit that says there are capabilities.
const HAS_CAPABILITIES: u8 = 1 << 4;

/// Flags of a memory BAR: its register is 64 bits wide.
pub(super) const BAR_64: u32 = 1 << 2;

/// Bytes of conventional configuration space. An emulated function has no more; what lies behind reads as all ones.
const BYTES: usize = 256;

/// Where capabilities start.
const FIRST_CAPABILITY: usize = 0x40;

/// Who a function says it is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
    /// Subsystem vendor and subsystem.
    pub subsystem: (u16, u16),
    /// Class, subclass and programming interface.
    pub class: [u8; 3],
    /// Revision.
    pub revision: u8,
}

/// How wide the register of a memory BAR is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarWidth {
    /// It can lie below 4 GiB only.
    Bits32,
    /// It can lie anywhere, and takes two registers.
    Bits64,
}

/// Configuration space of an emulated function.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: [u8; BYTES],
    /// The bits the guest may change.
    writable: [u8; BYTES],
    bars: Vec<Shape>,
    /// Where the next capability goes, and the byte that is to lead to it.
    free: usize,
    link: usize,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    index: u8,
    len: u64,
    width: BarWidth,
}

impl ConfigSpace {
    /// A function without BARs and capabilities, switched off.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut space = Self {
            bytes: [0; BYTES],
            writable: [0; BYTES],
            bars: Vec::new(),
            free: FIRST_CAPABILITY,
            link: usize::from(register::CAPABILITIES),
        };
        space.set(register::VENDOR, &identity.vendor.to_le_bytes());
        space.set(register::VENDOR + 2, &identity.device.to_le_bytes());
        let [class, subclass, interface] = identity.class;
        space.set(
            register::REVISION,
            &[identity.revision, interface, subclass, class],
        );
        space.set(register::SUBSYSTEM_VENDOR, &identity.subsystem.0.to_le_bytes());
        space.set(
            register::SUBSYSTEM_VENDOR + 2,
            &identity.subsystem.1.to_le_bytes(),
        );
        let command = command::MEMORY | command::BUS_MASTER | command::INTX_DISABLE;
        space.set_writable(register::COMMAND, &command.to_le_bytes());
        space.set_writable(register::INTERRUPT_LINE, &[0xff]);
        space
    }

    /// Gives the function a memory BAR of `len` bytes.
    ///
    /// # Panics
    /// If there is no such BAR, or `len` is no power of two from 16 that its register can express: a mistake of the model.
    pub fn add_bar(&mut self, index: u8, len: u64, width: BarWidth) {
        let registers: u8 = if width == BarWidth::Bits64 { 2 } else { 1 };
        assert!(index + registers <= BAR_COUNT, "no BAR {index}");
        assert!(len.is_power_of_two() && len >= 16, "no length of a BAR: {len}");
        let mask = (!(len - 1)).to_le_bytes();
        let at = register::BAR0 + 4 * u16::from(index);
        match width {
            BarWidth::Bits32 => {
                assert!(len < 1 << 32, "no length of a 32-bit BAR: {len}");
                self.set_writable(at, &mask[..4]);
            }
            BarWidth::Bits64 => {
                self.set(at, &BAR_64.to_le_bytes());
                self.set_writable(at, &mask);
            }
        }
        self.bars.push(Shape { index, len, width });
    }

    /// Adds a capability with this body behind its two-byte head, and returns its offset. The guest may write the bits
    /// set in `writable`, which lies over the body.
    ///
    /// # Panics
    /// If there is no room left: a mistake of the model.
    pub fn add_capability(&mut self, id: u8, body: &[u8], writable: &[u8]) -> u16 {
        let at = self.free;
        self.bytes[self.link] = u8::try_from(at).expect("no room for a capability");
        self.bytes[usize::from(register::STATUS)] |= HAS_CAPABILITIES;
        let offset = u16::try_from(at).expect("as checked");
        self.set(offset, &[id, 0]);
        self.set(offset + 2, body);
        self.set_writable(offset + 2, writable);
        self.link = at + 1;
        self.free = (at + 2 + body.len()).next_multiple_of(4);
        offset
    }

    /// Writes for the function, not for the guest: no bit is protected.
    ///
    /// # Panics
    /// If `bytes` do not lie in the space: a mistake of the model.
    pub fn set(&mut self, offset: u16, bytes: &[u8]) {
        let offset = usize::from(offset);
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn set_writable(&mut self, offset: u16, bits: &[u8]) {
        let offset = usize::from(offset);
        self.writable[offset..offset + bits.len()].copy_from_slice(bits);
    }

    /// The guest reads. Past the end it reads all ones.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        for (at, byte) in (usize::from(offset)..).zip(data) {
            *byte = self.bytes.get(at).copied().unwrap_or(0xff);
        }
    }

    /// The guest writes. Bits that are not its own stay.
    pub fn write(&mut self, offset: u16, data: &[u8]) {
        for (at, &new) in (usize::from(offset)..).zip(data) {
            if let (Some(byte), Some(&mask)) = (self.bytes.get_mut(at), self.writable.get(at)) {
                *byte = (*byte & !mask) | (new & mask);
            }
        }
    }

    /// The command register.
    #[must_use]
    pub fn command(&self) -> u16 {
        let at = usize::from(register::COMMAND);
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// The bytes at `offset`, as they are.
    ///
    /// # Panics
    /// If they do not lie in the space: a mistake of the model.
    #[must_use]
    pub fn get<const N: usize>(&self, offset: u16) -> [u8; N] {
        let offset = usize::from(offset);
        std::array::from_fn(|i| self.bytes[offset + i])
    }

    /// The memory BARs, if the command register has them switched on. See [`super::Function::decoded`].
    #[must_use]
    pub fn decoded(&self) -> Vec<DecodedBar> {
        if self.command() & command::MEMORY == 0 {
            return Vec::new();
        }
        let bars = self.bars.iter();
        bars.map(|&Shape { index, len, width }| {
            let at = register::BAR0 + 4 * u16::from(index);
            let register = match width {
                BarWidth::Bits32 => u64::from(u32::from_le_bytes(self.get(at))),
                BarWidth::Bits64 => u64::from_le_bytes(self.get(at)),
            };
            DecodedBar {
                index,
                base: register & !(len - 1),
                len,
            }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{BarWidth, ConfigSpace, Identity, command, register};
    use crate::vmm::pci::DecodedBar;
    use proptest::prelude::*;

    const IDENTITY: Identity = Identity {
        vendor: 0x1af4,
        device: 0x1041,
        subsystem: (0x1af4, 0x40),
        class: [2, 0, 0],
        revision: 1,
    };

    fn space() -> ConfigSpace {
        let mut space = ConfigSpace::new(IDENTITY);
        space.add_bar(0, 0x4000, BarWidth::Bits64);
        space.add_bar(2, 0x1000, BarWidth::Bits32);
        space.add_bar(3, 1 << 33, BarWidth::Bits64);
        space
    }

    fn read32(space: &ConfigSpace, offset: u16) -> u32 {
        let mut data = [0; 4];
        space.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn a_guest_measures_bars_by_writing_ones() {
        let mut space = space();
        for (register, flags, ones) in [
            (0x10, 4, 0xffff_c004),
            (0x14, 0, 0xffff_ffff),
            (0x18, 0, 0xffff_f000),
            (0x1c, 4, 0x0000_0004),
            (0x20, 0, 0xffff_fffe),
            (0x24, 0, 0),
        ] {
            space.write(register, &[0xff; 4]);
            assert_eq!(read32(&space, register), ones, "{register:#x}");
            space.write(register, &[0; 4]);
            assert_eq!(read32(&space, register), flags, "{register:#x}");
        }
    }

    #[test]
    fn bars_are_decoded_where_they_were_put_and_only_when_switched_on() {
        let mut space = space();
        space.write(0x10, &0xe000_8000_u32.to_le_bytes());
        space.write(0x14, &1_u32.to_le_bytes());
        space.write(0x18, &0xe000_1fff_u32.to_le_bytes());
        assert_eq!(space.decoded(), []);
        space.write(register::COMMAND, &command::MEMORY.to_le_bytes());
        let bar = |index, base, len| DecodedBar { index, base, len };
        let expected = [
            bar(0, 0x1_e000_8000, 0x4000),
            bar(2, 0xe000_1000, 0x1000),
            bar(3, 0, 1 << 33),
        ];
        assert_eq!(space.decoded(), expected);
    }

    #[test]
    fn capabilities_form_a_list() {
        let mut space = space();
        assert_eq!(read32(&space, register::COMMAND) >> 20 & 1, 0);
        let first = space.add_capability(9, &[0x10, 1, 0, 0, 0], &[0, 0, 0xf0]);
        let second = space.add_capability(9, &[0xaa; 2], &[]);
        assert_eq!((first, second), (0x40, 0x48));
        assert_eq!(read32(&space, register::COMMAND) >> 20 & 1, 1);
        assert_eq!(space.get(register::CAPABILITIES), [0x40]);
        assert_eq!(space.get(0x40), [9, 0x48, 0x10, 1, 0, 0, 0]);
        assert_eq!(space.get(0x48), [9, 0, 0xaa, 0xaa]);
        space.write(0x40, &[0xff; 8]);
        assert_eq!(space.get(0x40), [9, 0x48, 0x10, 1, 0xf0, 0, 0, 0]);
    }

    proptest! {
        /// What a guest writes changes the bits that are its own, and no others, wherever it writes.
        #[test]
        fn only_writable_bits_change(writes in prop::collection::vec((any::<u16>(), any::<[u8; 4]>(), 1..=4_usize), 1..50)) {
            let fresh = space();
            let mut written = fresh.clone();
            for (offset, data, len) in writes {
                written.write(offset, &data[..len]);
                let mut back = [0; 4];
                written.read(offset, &mut back[..len]);
            }
            for at in 0..256 {
                let keep = !fresh.writable[at];
                prop_assert_eq!(written.bytes[at] & keep, fresh.bytes[at] & keep, "{:#x}", at);
            }
            for bar in written.decoded() {
                prop_assert_eq!(bar.base % bar.len, 0);
            }
        }
    }
}
