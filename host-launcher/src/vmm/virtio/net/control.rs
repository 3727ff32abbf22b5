//! The queue for commands (virtio 1.2, section 5.1.6.5), of which there is one: how many pairs of queues are used. It is served at
//! once, by the thread whose guest has notified.

use crate::vmm::virtio::Memory;
use std::io::{Read, Write};
use virtio_bindings::virtio_net::{
    VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_ERR, VIRTIO_NET_OK,
};
use virtio_queue::{DescriptorChain, Error, Queue, QueueOwnedT, QueueT};
use vm_memory::GuestMemoryMmap;

/// Bytes of the longest command: class, command, a number.
const LONGEST: usize = 4;

/// The queue, while it is ours.
pub(super) struct Control(Queue);

impl Control {
    pub(super) fn new(queue: Queue) -> Self {
        Self(queue)
    }

    /// Carries out what has been posted, at most as much as the queue holds; `use_pairs` says whether so many pairs are used from
    /// now on. One without room for an answer is carried out all the same.
    ///
    /// # Errors
    /// The queue's, if it cannot be used any more.
    pub(super) fn serve(
        &mut self,
        memory: &Memory,
        mut use_pairs: impl FnMut(u16) -> bool,
    ) -> Result<(), Error> {
        for _ in 0..self.0.size() {
            let Some(chain) = self.0.iter(&**memory)?.next() else {
                break;
            };
            let head = chain.head_index();
            let done = pairs(chain.clone(), memory).is_some_and(&mut use_pairs);
            let written = answer(chain, memory, done);
            self.0.add_used(&**memory, head, u32::from(written))?;
        }
        self.0.enable_notification(&**memory).map(drop)
    }
}

/// The pairs that a command wants; `None`: it is another, or none.
fn pairs(chain: DescriptorChain<&GuestMemoryMmap>, memory: &Memory) -> Option<u16> {
    let mut command = [0; LONGEST];
    let mut reader = chain.reader(memory).ok()?;
    reader.read_exact(&mut command).ok()?;
    let [class, number, low, high] = command;
    let is_ours = u32::from(class) == VIRTIO_NET_CTRL_MQ
        && u32::from(number) == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET
        && reader.available_bytes() == 0;
    is_ours.then_some(u16::from_le_bytes([low, high]))
}

/// Bytes written.
fn answer(chain: DescriptorChain<&GuestMemoryMmap>, memory: &Memory, done: bool) -> u8 {
    let answer = if done { VIRTIO_NET_OK } else { VIRTIO_NET_ERR };
    let byte = u8::try_from(answer).unwrap_or(u8::MAX);
    let written = chain.writer(memory).map(|mut writer| writer.write_all(&[byte]));
    u8::from(matches!(written, Ok(Ok(()))))
}
