//! A descriptor chain as places in our memory, if it is one a network driver may post (virtio 1.2, sections 2.7.5 and
//! 5.1.6).

use virtio_queue::DescriptorChain;
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};

// Most places a chain may consist of. A driver that does not know segmentation needs two; ours takes up to nine.
pub(super) use crate::sys::MAX_PLACES;

/// Most bytes in a chain: any frame, with room to spare.
const MAX_BYTES: usize = 1 << 20;

/// Who writes to the memory of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// The driver: a frame to transmit.
    ToDevice,
    /// The device: room for a frame.
    ToDriver,
}

/// It loops or breaks off, leads out of RAM, mixes directions, or is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadChain;

/// Fills `places` with those of the chain, and returns their bytes.
pub(super) fn collect<'m>(
    chain: DescriptorChain<&'m GuestMemoryMmap>,
    direction: Direction,
    memory: &'m GuestMemoryMmap,
    places: &mut Vec<VolatileSlice<'m>>,
) -> Result<usize, BadChain> {
    places.clear();
    let mut bytes = 0;
    let mut ended = false;
    for descriptor in chain {
        if descriptor.is_write_only() != (direction == Direction::ToDriver) {
            return Err(BadChain);
        }
        let len = usize::try_from(descriptor.len()).map_err(|_| BadChain)?;
        bytes += len;
        if bytes > MAX_BYTES {
            return Err(BadChain);
        }
        for place in GuestMemoryBackend::get_slices(memory, descriptor.addr(), len) {
            if places.len() == MAX_PLACES {
                return Err(BadChain);
            }
            places.push(place.map_err(|_| BadChain)?);
        }
        ended = !descriptor.has_next();
    }
    // An iterator over a chain that loops or breaks off ends at a descriptor that has a successor.
    if ended { Ok(bytes) } else { Err(BadChain) }
}
