//! The registers of a queue (virtio 1.2, section 4.1.4.3), which hold whatever the driver writes, and the check that all of
//! it makes sense, once the driver says so.

use super::Memory;
use virtio_queue::{Queue, QueueT};
use vm_memory::{GuestAddress, GuestMemoryBackend};

/// What is wrong with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// Its size is no power of two, or more than is offered.
    #[error("{0} is no size for the queue")]
    Size(u16),
    /// A part of it is not aligned, or not in RAM from end to end.
    #[error("there is no room for a part of the queue at {0:#x}")]
    Place(u64),
}

/// The registers of one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueRegisters {
    pub(super) size: u16,
    pub(super) enabled: bool,
    /// Descriptor table, available ring, used ring.
    pub(super) parts: [u64; 3],
}

impl QueueRegisters {
    pub(super) fn new(max: u16) -> Self {
        Self {
            size: max,
            enabled: false,
            parts: [0; 3],
        }
    }

    /// The queue, if it is one; `None` if the driver has not enabled it.
    pub(super) fn check(
        self,
        max: u16,
        event_idx: bool,
        memory: &Memory,
    ) -> Result<Option<Queue>, QueueError> {
        if !self.enabled {
            return Ok(None);
        }
        let mut queue = Queue::new(max).map_err(|_| QueueError::Size(max))?;
        queue
            .try_set_size(self.size)
            .map_err(|_| QueueError::Size(self.size))?;
        let [descriptors, available, used] = self.parts;
        let entries = usize::from(self.size);
        // Section 2.7: alignments, and lengths with the event index behind each ring.
        for (at, align, len) in [
            (descriptors, 16, 16 * entries),
            (available, 2, 6 + 2 * entries),
            (used, 4, 6 + 8 * entries),
        ] {
            // One stretch of our memory too, as vhost sees no other.
            let whole = || memory.get_slice(GuestAddress(at), len).is_ok();
            if !at.is_multiple_of(align) || at == 0 || !whole() {
                return Err(QueueError::Place(at));
            }
        }
        let at = GuestAddress;
        queue
            .try_set_desc_table_address(at(descriptors))
            .and_then(|()| queue.try_set_avail_ring_address(at(available)))
            .and_then(|()| queue.try_set_used_ring_address(at(used)))
            .map_err(|_| QueueError::Place(descriptors))?;
        queue.set_event_idx(event_idx);
        queue.set_ready(true);
        Ok(Some(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::{QueueError, QueueRegisters};
    use crate::vmm::virtio::Memory;
    use std::sync::Arc;
    use virtio_queue::QueueT;
    use vm_memory::{GuestAddress, GuestMemoryMmap};

    fn memory() -> Memory {
        let ranges = [(GuestAddress(0), 0x1_0000), (GuestAddress(0x10_0000), 0x1_0000)];
        Arc::new(GuestMemoryMmap::from_ranges(&ranges).unwrap())
    }

    const GOOD: QueueRegisters = QueueRegisters {
        size: 256,
        enabled: true,
        parts: [0x1000, 0x2000, 0x10_0000],
    };

    #[test]
    fn a_queue_is_taken_over_as_the_registers_say() {
        let queue = GOOD.check(256, true, &memory()).unwrap().unwrap();
        assert!(queue.is_valid(&*memory()) && queue.event_idx_enabled());
        assert_eq!(
            (
                queue.size(),
                queue.desc_table(),
                queue.avail_ring(),
                queue.used_ring()
            ),
            (256, 0x1000, 0x2000, 0x10_0000)
        );
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        for size in [0, 3, 255, 512, 0x8000, u16::MAX] {
            let registers = QueueRegisters { size, ..GOOD };
            assert_eq!(registers.check(256, true, &memory()), Err(QueueError::Size(size)));
        }
        let disabled = QueueRegisters {
            enabled: false,
            ..GOOD
        };
        assert_eq!(disabled.check(256, true, &memory()), Ok(None));
    }

    #[test]
    fn parts_outside_ram_or_misaligned_are_refused() {
        for (part, at) in [
            (0, 0),
            (0, 0x1008),
            (1, 0x2001),
            (2, 0x2002),
            (0, 0xfff0),
            (1, 0xfe00),
            (2, 0x10_fffc),
            (2, 0xe000_0000),
            (0, !0xf),
        ] {
            let mut registers = GOOD;
            registers.parts[part] = at;
            assert_eq!(
                registers.check(256, true, &memory()),
                Err(QueueError::Place(at)),
                "{at:#x}"
            );
        }
    }
}
