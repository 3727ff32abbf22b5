//! The queue for commands (virtio 1.2, section 5.1.6.5): how many pairs of queues are used, and who gets what is received.

use super::regs::Doorbell;
use super::ring::{Part, SplitQueue};
use crate::hw::barrier;
use crate::hw::dma::DmaMemory;
use alloc::vec::Vec;
use netstack::rss::{ENTRIES, KEY_BYTES, Key, Table};

/// Bytes of memory for a command and its answer, which is the last one.
pub(super) const BYTES: usize = 512;
const ANSWER: usize = BYTES - 1;

/// `VIRTIO_NET_OK`, and what is neither that nor an error.
const OK: u8 = 0;
const PENDING: u8 = 0xff;

/// Looks for the answer. A device that takes longer is not asked again.
const TRIES: u32 = 5_000_000;

/// Class `VIRTIO_NET_CTRL_MQ` and its commands (section 5.1.6.5.5).
const MQ: u8 = 4;
const VQ_PAIRS_SET: u8 = 0;
const RSS_CONFIG: u8 = 1;

#[derive(Debug)]
pub(super) struct Control<D> {
    pub(super) ring: SplitQueue,
    memory: DmaMemory,
    doorbell: D,
    /// A command was never answered, and the device may have it still.
    stuck: bool,
}

impl<D: Doorbell> Control<D> {
    /// Over `memory` of [`BYTES`] bytes.
    pub(super) fn new(ring: SplitQueue, memory: DmaMemory, doorbell: D) -> Self {
        Control {
            ring,
            memory,
            doorbell,
            stuck: false,
        }
    }

    /// The device was reset and has no command any more.
    pub(super) fn restart(&mut self) {
        self.ring.restart();
        self.stuck = false;
    }

    /// Has the device use so many pairs, and choose among them as it likes.
    pub(super) fn set_pairs(&mut self, pairs: u16) -> bool {
        self.command(VQ_PAIRS_SET, &pairs.to_le_bytes())
    }

    /// Has it use so many, and choose by table and key for these hashes; for everything else the first (section 5.1.6.5.7).
    pub(super) fn set_rss(&mut self, pairs: u16, hashes: u32, key: &Key, table: &Table) -> bool {
        const MASK: u16 = 127;
        const KEY_LEN: u8 = 40;
        const _: () = assert!(MASK as usize + 1 == ENTRIES && KEY_LEN as usize == KEY_BYTES);
        const UNCLASSIFIED: u16 = 0;
        let mut data = Vec::with_capacity(BYTES);
        data.extend(hashes.to_le_bytes());
        data.extend(MASK.to_le_bytes());
        data.extend(UNCLASSIFIED.to_le_bytes());
        table.iter().for_each(|&queue| data.extend([queue, 0]));
        data.extend(pairs.to_le_bytes());
        data.push(KEY_LEN);
        data.extend(key);
        self.command(RSS_CONFIG, &data)
    }

    /// Gives a command of class [`MQ`], and waits for the answer; `false` if it is not [`OK`].
    fn command(&mut self, command: u8, data: &[u8]) -> bool {
        let bytes = [MQ, command].into_iter().chain(data.iter().copied());
        let mut len = 0;
        for (offset, byte) in (0..ANSWER).zip(bytes) {
            self.put(offset, byte);
            len += 1;
        }
        if self.stuck || usize::try_from(len) != Ok(2 + data.len()) {
            return false;
        }
        self.put(ANSWER, PENDING);
        self.ring
            .describe(0, self.memory.phys(0), Part::to_read(len).chained(1));
        self.ring.describe(1, self.memory.phys(ANSWER), Part::to_write(1));
        self.ring.post(0);
        let shown = self.ring.show();
        barrier::full();
        if shown.is_some_and(|before| self.ring.wants_doorbell(before)) {
            self.doorbell.ring();
        }
        self.stuck = !self.wait();
        let answer = self.memory.cell::<u8>(ANSWER).map(|cell| cell.read());
        !self.stuck && answer == Some(OK)
    }

    fn wait(&mut self) -> bool {
        for _ in 0..TRIES {
            if self.ring.next_used().is_some() {
                self.ring.refuse_interrupts();
                return true;
            }
            core::hint::spin_loop();
        }
        false
    }

    fn put(&self, offset: usize, byte: u8) {
        if let Some(cell) = self.memory.cell(offset) {
            cell.write(byte);
        }
    }
}
