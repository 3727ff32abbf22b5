//! What a function on the guest's bus is to the host bridge: configuration space, and memory behind its BARs.

use std::error::Error;
use std::fmt;

/// Bytes of a function's configuration space (PCI Express 5.0, section 7.2.2); the first 256 are reached through ports too.
pub const CONFIG_BYTES: u16 = 4096;

/// BARs of an ordinary function.
pub const BAR_COUNT: u8 = 6;

/// Where a function sits on the guest's only bus, bus 0: a device number below 32. Each has function 0 and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf(u8);

impl Bdf {
    /// Device numbers on a bus.
    pub const DEVICES: u8 = 32;

    /// The host bridge.
    pub const HOST_BRIDGE: Bdf = Bdf(0);

    /// Function 0 of a device; `None` if there can be no such device.
    #[must_use]
    pub fn new(device: u8) -> Option<Self> {
        (device < Self::DEVICES).then_some(Self(device))
    }

    /// The device number.
    #[must_use]
    pub fn device(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00:{:02x}.0", self.0)
    }
}

/// A memory BAR in which a function answers, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodedBar {
    /// Its number; one of 64 bits takes the next number too.
    pub index: u8,
    /// Where the guest put it: a guest-physical address.
    pub base: u64,
    /// Its size in bytes, a power of two.
    pub len: u64,
}

/// Why the machine cannot follow where the guest moved a BAR. It ends the machine: nothing the guest does can be at fault.
#[derive(Debug, thiserror::Error)]
#[error("cannot put BAR {index} of a PCI function at {base:#x}")]
pub struct DecodeError {
    /// The BAR's number.
    pub index: u8,
    /// Where it should go.
    pub base: u64,
    /// What KVM said.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// A function on the guest's bus. All that reaches it comes from the guest and is to be trusted in nothing.
pub trait Function: Send {
    /// Reads configuration space. `data` is 1, 2 or 4 bytes, aligned, within [`CONFIG_BYTES`].
    fn config_read(&mut self, offset: u16, data: &mut [u8]);

    /// Writes configuration space, under the same conditions.
    fn config_write(&mut self, offset: u16, data: &[u8]);

    /// The memory BARs that registers say are placed and switched on. The host bridge asks after each write to configuration
    /// space; where they lie is the guest's word, not yet checked.
    fn decoded(&self) -> Vec<DecodedBar>;

    /// From now on the function answers in these BARs: those of [`Function::decoded`] that lie wholly in a window for BARs
    /// and do not touch another function's. Called when they change, for example to move memory that KVM maps, or
    /// the doorbells it knows.
    ///
    /// # Errors
    /// [`DecodeError`], which ends the machine.
    fn on_decode(&mut self, now: &[DecodedBar]) -> Result<(), DecodeError>;

    /// Reads in a BAR, where KVM has mapped nothing. `data` is at most 8 bytes and lies in the BAR. What is
    /// left alone reads as all ones.
    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8]);

    /// Writes in a BAR, under the same conditions.
    fn write(&mut self, bar: u8, offset: u64, data: &[u8]);
}
