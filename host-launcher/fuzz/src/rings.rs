//! The guest's memory, and the queues in it as a driver would lay them out: two pairs, and one for commands.

use fuzzing::Input;
use host_launcher::vmm::virtio::Memory;
use vm_memory::{Bytes, GuestAddress};

pub(crate) const RAM_BYTES: usize = 1 << 20;

/// Descriptors in each queue.
pub(crate) const SIZE: u16 = 16;

pub(crate) const QUEUES: u8 = 5;

/// The one for commands.
pub(crate) const CONTROL: u8 = 4;

/// Where a queue's three parts lie, for queue 0; the next is `STEP` further.
pub(crate) const PARTS: [u64; 3] = [0x1_0000, 0x1_1000, 0x1_2000];
pub(crate) const STEP: u64 = 0x8000;

/// Where frames and buffers lie.
pub(crate) const BUFFERS: u64 = 0x4_0000;

/// Bits of a descriptor's flags.
pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;

pub(crate) struct Rings {
    memory: Memory,
    posted: [u16; QUEUES as usize],
}

impl Rings {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            posted: [0; QUEUES as usize],
        }
    }

    /// Forgets what was posted, as a driver does that starts over.
    pub(crate) fn clear(&mut self) {
        self.posted = [0; QUEUES as usize];
        self.put(PARTS[0], &[0; QUEUES as usize * 0x8000]);
    }

    pub(crate) fn put(&self, at: u64, bytes: &[u8]) {
        // What does not fit into RAM is not the guest's to write.
        let _ = self.memory.write_slice(bytes, GuestAddress(at));
    }

    pub(crate) fn get<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        let _ = self.memory.read_slice(&mut bytes, GuestAddress(at));
        bytes
    }

    pub(crate) fn describe(&self, queue: u8, index: u16, address: u64, len: u32, flags: u16, next: u16) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes[12..14].copy_from_slice(&flags.to_le_bytes());
        bytes[14..].copy_from_slice(&next.to_le_bytes());
        let table = PARTS[0] + STEP * u64::from(queue);
        self.put(table + 16 * u64::from(index % SIZE), &bytes);
    }

    pub(crate) fn post(&mut self, queue: u8, head: u16) {
        let available = PARTS[1] + STEP * u64::from(queue);
        let posted = &mut self.posted[usize::from(queue)];
        let at = available + 4 + 2 * u64::from(*posted % SIZE);
        *posted = posted.wrapping_add(1);
        let index = *posted;
        self.put(at, &head.to_le_bytes());
        self.put(available + 2, &index.to_le_bytes());
    }

    /// The first element the device has used, and how many there are.
    pub(crate) fn used(&self, queue: u8) -> (u16, u32, u32) {
        let used = PARTS[2] + STEP * u64::from(queue);
        let word = |at| u32::from_le_bytes(self.get(at));
        (
            u16::from_le_bytes(self.get(used + 2)),
            word(used + 4),
            word(used + 8),
        )
    }

    /// A descriptor of the program's.
    pub(crate) fn describe_any(&self, input: &mut Input<'_>) {
        let (queue, index) = (input.byte() % QUEUES, input.half());
        let address = match input.byte() {
            0 => input.long(),
            1 => RAM_BYTES as u64 - u64::from(input.byte()),
            _ => BUFFERS + u64::from(input.half()),
        };
        let len = match input.byte() {
            0 => input.word(),
            _ => input.half().into(),
        };
        let flags = input.one_of(&[0, 1, 2, 3, 4, 5, 6, 7]);
        self.describe(queue, index, address, len, flags, input.half() % (SIZE + 1));
    }
}
