//! Where things lie in a ring-3 address space. Kernel addresses are the upper half.

/// Linear window of app memory: image (if position-independent), heap, mappings and stacks. Virtual address =
/// `ARENA` + (guest-physical address - start of the arena's RAM), so checking a pointer is a comparison.
pub const ARENA: u64 = 0x1000_0000_0000;

/// A program that is not position-independent is loaded at its own addresses, which must lie in this range. It too is
/// one linear window.
pub const FIXED_IMAGE: core::ops::Range<u64> = 0x1_0000..0x4000_0000;

/// Packet buffers, mapped read-only.
pub const RX_WINDOW: u64 = 0x2000_0000_0000;

/// `IoInfo` (read-only), command array (writable) and event array (read-only) of each core.
pub const IO_AREA: u64 = 0x3000_0000_0000;

/// First address beyond ring 3's half.
pub const USER_END: u64 = 0x8000_0000_0000;
