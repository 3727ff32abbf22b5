//! Whether a driver wants to be interrupted for what its queue has used (virtio 1.2, section 2.7.10).

use std::sync::atomic::Ordering;
use virtio_queue::{Error, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const NO_INTERRUPT: u16 = 1;

/// What is known of a queue.
#[derive(Debug, Default)]
pub(super) struct Interrupt {
    /// Elements used when it was last asked.
    used: u16,
}

impl Interrupt {
    /// Whether one of the elements used since this was last asked is to interrupt.
    ///
    /// # Errors
    /// The queue's, if it cannot be used any more.
    pub(super) fn is_due(&mut self, queue: &mut Queue, memory: &GuestMemoryMmap) -> Result<bool, Error> {
        if std::mem::replace(&mut self.used, queue.next_used()) == queue.next_used() {
            return Ok(false);
        }
        // With a full barrier between what was used and what the driver says.
        let by_index = queue.needs_notification(memory)?;
        if queue.event_idx_enabled() {
            return Ok(by_index);
        }
        let flags: u16 = memory
            .load(GuestAddress(queue.avail_ring()), Ordering::Relaxed)
            .map_err(Error::GuestMemory)?;
        Ok(u16::from_le(flags) & NO_INTERRUPT == 0)
    }
}
