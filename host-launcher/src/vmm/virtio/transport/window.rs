//! Registers through configuration space, for drivers that cannot reach the BAR yet: the capability names a place in it, and
//! its data field stands for that place (virtio 1.2, section 4.1.4.9).

use super::{Transport, layout};
use crate::vmm::virtio::Device;

/// Offsets in the capability.
const PLACE_BAR: u16 = 4;
const PLACE_OFFSET: u16 = 8;
const PLACE_LEN: u16 = 12;
const DATA: u16 = 16;
const END: u16 = 20;

impl<D: Device> Transport<D> {
    /// Before the guest reads at `offset` of configuration space: fetches what the data field stands for.
    pub(super) fn fetch_window(&mut self, offset: u16, len: usize) {
        if let Some((at, width)) = self.window_place(offset, len) {
            let mut data = [0xff; 4];
            self.registers_read(at, &mut data[..width]);
            self.config.set(self.window + DATA, &data);
        }
    }

    /// After the guest has written at `offset` of configuration space: passes the data field on.
    pub(super) fn flush_window(&mut self, offset: u16, len: usize) {
        if let Some((at, width)) = self.window_place(offset, len) {
            let data: [u8; 4] = self.config.get(self.window + DATA);
            self.registers_write(at, &data[..width]);
        }
    }

    /// Offset and width in the BAR that the data field stands for, if an access touches it and they make sense.
    fn window_place(&self, offset: u16, len: usize) -> Option<(u64, usize)> {
        let (start, end) = (self.window + DATA, self.window + END);
        let touched = offset < end && usize::from(offset) + len > usize::from(start);
        let [bar] = self.config.get(self.window + PLACE_BAR);
        let at = u64::from(u32::from_le_bytes(self.config.get(self.window + PLACE_OFFSET)));
        let width = u32::from_le_bytes(self.config.get(self.window + PLACE_LEN));
        let legal = matches!(width, 1 | 2 | 4) && at.is_multiple_of(width.into()) && at < layout::BAR_BYTES;
        (touched && bar == layout::BAR && legal).then_some((at, usize::try_from(width).ok()?))
    }
}
