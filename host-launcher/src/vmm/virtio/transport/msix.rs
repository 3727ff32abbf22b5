//! Interrupts (MSI-X; PCI Local Bus 3.0, section 6.8.2, and virtio 1.2, section 4.1.5.1.2): a table of messages, and for each queue
//! the entry by which it interrupts. A queue's signal is connected to its message while the guest lets it through; while not, it
//! waits where it is, as the bits of the pending array want it.

use super::layout;
use crate::vmm::pci::config_space::ConfigSpace;
use crate::vmm::virtio::{Interrupts, Message};
use vmm_sys_util::eventfd::EventFd;

/// `VIRTIO_MSI_NO_VECTOR`.
pub(super) const NO_VECTOR: u16 = 0xffff;

/// Of Message Control.
const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
const CONTROL: u16 = 2;

/// The bit of Vector Control.
const MASKED: u32 = 1;

/// Address, its upper half, data, Vector Control.
type Entry = [u32; 4];

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: u32 = 16;

pub(super) struct Msix {
    /// Offset of the capability.
    capability: u16,
    table: Vec<Entry>,
    /// By queue: the entry, as its driver has said.
    vectors: Vec<u16>,
    /// By queue: what its signal is connected to.
    connected: Vec<Option<Message>>,
    interrupts: Box<dyn Interrupts>,
}

impl Msix {
    /// For the first `queues` queues, with as many entries.
    pub(super) fn new(capability: u16, queues: usize, interrupts: Box<dyn Interrupts>) -> Self {
        Self {
            capability,
            table: vec![[0, 0, 0, MASKED]; queues],
            vectors: vec![NO_VECTOR; queues],
            connected: vec![None; queues],
            interrupts,
        }
    }

    /// The entry of a queue.
    pub(super) fn vector(&self, queue: u16) -> u16 {
        self.vectors.get(usize::from(queue)).copied().unwrap_or(NO_VECTOR)
    }

    /// What is no entry is none.
    pub(super) fn set_vector(&mut self, queue: u16, vector: u16) {
        if let Some(place) = self.vectors.get_mut(usize::from(queue)) {
            let exists = usize::from(vector) < self.table.len();
            *place = if exists { vector } else { NO_VECTOR };
        }
    }

    /// As virtio's reset leaves it, which does not concern the table.
    pub(super) fn forget_vectors(&mut self) {
        self.vectors.fill(NO_VECTOR);
    }

    /// Reads a word of the table.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        if let (Some((entry, word)), 4) = (self.place(offset), data.len()) {
            data.copy_from_slice(&self.table[entry][word].to_le_bytes());
        }
    }

    /// Writes one.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if let (Some((entry, word)), Ok(bytes)) = (self.place(offset), data.try_into()) {
            self.table[entry][word] = u32::from_le_bytes(bytes);
        }
    }

    fn place(&self, offset: u64) -> Option<(usize, usize)> {
        let entry = usize::try_from(offset / u64::from(ENTRY_BYTES)).ok()?;
        let word = usize::try_from(offset % u64::from(ENTRY_BYTES) / 4).ok()?;
        (entry < self.table.len() && offset.is_multiple_of(4)).then_some((entry, word))
    }

    /// Connects the queues' `calls` as the guest has it now. A message that KVM does not take is not sent.
    pub(super) fn follow(&mut self, config: &ConfigSpace, calls: &[EventFd]) {
        let control = u16::from_le_bytes(config.get(self.capability + CONTROL));
        let is_on = control & (ENABLE | MASK_ALL) == ENABLE;
        for (line, call) in (0..).zip(calls) {
            let wanted = self.message(line).filter(|_| is_on);
            let Some(now) = self.connected.get_mut(usize::from(line)) else {
                return;
            };
            if *now == wanted {
                continue;
            }
            if now.take().is_some() && self.interrupts.disconnect(line, call).is_err() {
                continue;
            }
            *now = wanted.filter(|&message| self.interrupts.connect(line, call, message).is_ok());
        }
    }

    fn message(&self, queue: u16) -> Option<Message> {
        let &[low, high, data, control] = self.table.get(usize::from(self.vector(queue)))?;
        let message = Message {
            address: [low, high],
            data,
        };
        (control & MASKED == 0).then_some(message)
    }
}

/// Adds the capability, for so many entries; gives its offset.
pub(super) fn add_capability(space: &mut ConfigSpace, entries: usize) -> u16 {
    const ID: u8 = 0x11;
    let last = u16::try_from(entries.saturating_sub(1)).unwrap_or_default();
    let bar = u32::from(layout::BAR);
    let offset = |at: u64| u32::try_from(at).unwrap_or_default() | bar;
    let mut body = last.to_le_bytes().to_vec();
    body.extend(offset(layout::MSIX_TABLE).to_le_bytes());
    body.extend(offset(layout::MSIX_PENDING).to_le_bytes());
    space.add_capability(ID, &body, &(ENABLE | MASK_ALL).to_le_bytes())
}
