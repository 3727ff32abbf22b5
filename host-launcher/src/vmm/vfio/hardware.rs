//! What passthrough needs of a card: VFIO's side of it, or in tests a few lines of make-believe.

use std::io;
use std::ops::Range;

/// A card that was lent to us. Its registers are no memory: reads may have effects, writes may be ignored.
pub(super) trait Hardware: Send {
    /// Reads the host's view of configuration space.
    fn config_read(&self, offset: u16, data: &mut [u8]);

    /// Writes it. What VFIO does not allow it ignores.
    fn config_write(&self, offset: u16, data: &[u8]);

    /// The bytes behind a memory BAR; 0 if there is no such BAR, or it is one of I/O ports.
    fn bar_bytes(&self, bar: u8) -> u64;

    /// The parts of a BAR that can be mapped, whole pages each.
    fn mappable(&self, bar: u8) -> Vec<Range<u64>>;

    /// Reads in a BAR, by a system call.
    fn read(&self, bar: u8, offset: u64, data: &mut [u8]);

    /// Writes in a BAR, by a system call.
    fn write(&self, bar: u8, offset: u64, data: &[u8]);

    /// Maps `part`, of those that can be, so that it can be shown.
    fn map(&mut self, bar: u8, part: Range<u64>) -> io::Result<()>;

    /// Lets the guest have `part`, of those that are mapped, at this address, without us.
    fn show(&mut self, bar: u8, part: Range<u64>, at: u64) -> io::Result<()>;

    /// No longer.
    fn hide(&mut self, bar: u8, part: Range<u64>) -> io::Result<()>;
}

/// A register of configuration space.
pub(super) fn register<const N: usize>(hardware: &impl Hardware, offset: u16) -> [u8; N] {
    let mut data = [0xff; N];
    hardware.config_read(offset, &mut data);
    data
}
