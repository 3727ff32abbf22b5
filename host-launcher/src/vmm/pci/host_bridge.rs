//! Function 00:00.0: what a bus starts with. It has neither registers nor memory of its own.

use super::config_space::{ConfigSpace, Identity};
use super::{DecodeError, DecodedBar, Function};

/// The identity that stands for a virtual PCI Express host bridge without a chipset. A real chipset's would promise registers
/// that are not here.
const IDENTITY: Identity = Identity {
    vendor: 0x1b36,
    device: 0x0008,
    subsystem: (0, 0),
    class: [0x06, 0x00, 0x00],
    revision: 0,
};

/// The host bridge's own function.
pub(super) struct HostBridge(ConfigSpace);

impl HostBridge {
    pub(super) fn new() -> Self {
        Self(ConfigSpace::new(IDENTITY))
    }
}

impl Function for HostBridge {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.0.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.0.write(offset, data);
    }

    fn decoded(&self) -> Vec<DecodedBar> {
        self.0.decoded()
    }

    fn on_decode(&mut self, _now: &[DecodedBar]) -> Result<(), DecodeError> {
        Ok(())
    }

    fn read(&mut self, _bar: u8, _offset: u64, _data: &mut [u8]) {}

    fn write(&mut self, _bar: u8, _offset: u64, _data: &[u8]) {}
}
