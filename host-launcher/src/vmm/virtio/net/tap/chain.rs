//! A descriptor chain as places in our memory, if it is one a network driver may post (virtio 1.2, sections 2.7.5 and
//! 5.1.6).

use virtio_queue::DescriptorChain;
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};

// Most places a chain may consist of, or the chains that a frame is received into. Ours takes up to 31 to send a frame.
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

/// Appends the places of the chain to `places`, and returns their bytes.
pub(super) fn collect<'m>(
    chain: DescriptorChain<&'m GuestMemoryMmap>,
    direction: Direction,
    memory: &'m GuestMemoryMmap,
    places: &mut Vec<VolatileSlice<'m>>,
) -> Result<usize, BadChain> {
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

#[cfg(test)]
mod tests {
    use super::{Direction, MAX_BYTES, MAX_PLACES, collect};
    use crate::vmm::virtio::queue::QueueRegisters;
    use crate::vmm::virtio::testing::{NEXT, RAM_BYTES, Ring, WRITE, ram};
    use proptest::prelude::*;
    use virtio_queue::QueueOwnedT;

    const SIZE: u16 = 16;

    /// A descriptor: address, length, flags, next.
    type Descriptor = (u64, u32, u16, u16);

    fn descriptor() -> impl Strategy<Value = Descriptor> {
        let ram = RAM_BYTES as u64;
        let address = prop_oneof![8 => 0..ram, 1 => ram - 64..ram + 64, 1 => any::<u64>()];
        let len = prop_oneof![8 => 0..3000_u32, 1 => any::<u32>()];
        // Mostly without the flag that leads to an indirect table.
        let flags = prop_oneof![8 => 0..4_u16, 1 => 0..8_u16];
        (address, len, flags, prop_oneof![9 => 0..SIZE, 1 => any::<u16>()])
    }

    /// What the specification says of the chain at `head` (sections 2.7.5 and 2.7.5.3): its bytes, if it is one.
    fn model(table: &[Descriptor], mut head: u16, direction: Direction) -> Option<usize> {
        let mut bytes = 0;
        for _ in 0..table.len() {
            let &(address, len, flags, next) = table.get(usize::from(head))?;
            let end = address.checked_add(len.into())?;
            let in_ram = end <= RAM_BYTES as u64 || len == 0;
            let fits = (flags & WRITE != 0) == (direction == Direction::ToDriver);
            bytes += usize::try_from(len).unwrap();
            if !in_ram || !fits || bytes > MAX_BYTES {
                return None;
            }
            if flags & NEXT == 0 {
                return Some(bytes);
            }
            head = next;
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_chain_is_taken_if_it_is_one(
            table in prop::collection::vec(descriptor(), usize::from(SIZE)),
            head in 0..SIZE,
            to_driver: bool,
        ) {
            let memory = ram();
            let mut ring = Ring::new(&memory, 0x1_0000, SIZE);
            for (i, &(address, len, flags, next)) in (0..).zip(&table) {
                ring.describe(i, address, len, flags, next);
            }
            ring.post(head);
            let registers = QueueRegisters {
                size: SIZE,
                enabled: true,
                parts: [ring.descriptors, ring.available, ring.used],
            };
            let mut queue = registers.check(SIZE, true, &memory).unwrap().unwrap();
            let chain = queue.iter(&*memory).unwrap().next().unwrap();
            let direction = if to_driver { Direction::ToDriver } else { Direction::ToDevice };
            let mut places = Vec::new();
            let taken = collect(chain, direction, &memory, &mut places);
            prop_assert!(places.len() <= MAX_PLACES);
            if let Ok(bytes) = taken {
                prop_assert_eq!(places.iter().map(vm_memory::VolatileSlice::len).sum::<usize>(), bytes);
            }
            // Where an indirect table is involved, whatever lies there counts.
            if table.iter().all(|&(_, _, flags, _)| flags & 4 == 0) {
                prop_assert_eq!(taken.ok(), model(&table, head, direction));
            }
        }
    }
}
