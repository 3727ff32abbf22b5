//! The common configuration: `struct virtio_pci_common_cfg` (virtio 1.2, section 4.1.4.3). Fields are read and written
//! whole; 64-bit ones in halves of 32. Any other access is as if nothing were there.

use super::Transport;
use super::layout::COMMON_BYTES;
use super::msix::NO_VECTOR;
use crate::vmm::virtio::Device;
use crate::vmm::virtio::queue::QueueRegisters;

/// Offsets of the fields.
mod field {
    pub(super) const DEVICE_FEATURE_SELECT: u64 = 0x00;
    pub(super) const DEVICE_FEATURE: u64 = 0x04;
    pub(super) const DRIVER_FEATURE_SELECT: u64 = 0x08;
    pub(super) const DRIVER_FEATURE: u64 = 0x0c;
    pub(super) const CONFIG_MSIX_VECTOR: u64 = 0x10;
    pub(super) const NUM_QUEUES: u64 = 0x12;
    pub(super) const DEVICE_STATUS: u64 = 0x14;
    pub(super) const CONFIG_GENERATION: u64 = 0x15;
    pub(super) const QUEUE_SELECT: u64 = 0x16;
    pub(super) const QUEUE_SIZE: u64 = 0x18;
    pub(super) const QUEUE_MSIX_VECTOR: u64 = 0x1a;
    pub(super) const QUEUE_ENABLE: u64 = 0x1c;
    pub(super) const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    /// Three addresses of 64 bits.
    pub(super) const QUEUE_PARTS: u64 = 0x20;
}

impl<D: Device> Transport<D> {
    pub(super) fn common_read(&self, offset: u64, data: &mut [u8]) {
        match data.len() {
            1 => {
                let value = match offset {
                    field::DEVICE_STATUS => self.status(),
                    // The configuration never changes.
                    field::CONFIG_GENERATION => 0,
                    _ => return,
                };
                data.copy_from_slice(&[value]);
            }
            2 => {
                if let Some(value) = self.common_read_u16(offset) {
                    data.copy_from_slice(&value.to_le_bytes());
                }
            }
            4 => {
                if let Some(value) = self.common_read_u32(offset) {
                    data.copy_from_slice(&value.to_le_bytes());
                }
            }
            _ => {}
        }
    }

    fn common_read_u16(&self, offset: u64) -> Option<u16> {
        let queue = self.selected_queue();
        Some(match offset {
            field::CONFIG_MSIX_VECTOR => NO_VECTOR,
            field::QUEUE_MSIX_VECTOR => self.msix.vector(self.queue_select),
            field::NUM_QUEUES => u16::try_from(self.queues.len()).unwrap_or(u16::MAX),
            field::QUEUE_SELECT => self.queue_select,
            field::QUEUE_SIZE => queue.map_or(0, |queue| queue.size),
            field::QUEUE_ENABLE => queue.map_or(0, |queue| queue.enabled.into()),
            field::QUEUE_NOTIFY_OFF => queue.map_or(0, |_| self.queue_select),
            _ => return None,
        })
    }

    fn common_read_u32(&self, offset: u64) -> Option<u32> {
        Some(match offset {
            field::DEVICE_FEATURE_SELECT => self.device_feature_select,
            field::DEVICE_FEATURE => half(self.device.features(), self.device_feature_select),
            field::DRIVER_FEATURE_SELECT => self.driver_feature_select,
            field::DRIVER_FEATURE => half(self.driver_features, self.driver_feature_select),
            _ => {
                let (part, which) = queue_part(offset)?;
                half(self.selected_queue().map_or(0, |queue| queue.parts[part]), which)
            }
        })
    }

    pub(super) fn common_write(&mut self, offset: u64, data: &[u8]) {
        match *data {
            [value] if offset == field::DEVICE_STATUS => self.set_status(value),
            [a, b] => self.common_write_u16(offset, u16::from_le_bytes([a, b])),
            [a, b, c, d] => self.common_write_u32(offset, u32::from_le_bytes([a, b, c, d])),
            _ => {}
        }
    }

    fn common_write_u16(&mut self, offset: u64, value: u16) {
        if offset == field::QUEUE_SELECT {
            self.queue_select = value;
        } else if offset == field::QUEUE_MSIX_VECTOR {
            self.msix.set_vector(self.queue_select, value);
            self.follow_interrupts();
        } else if let Some(queue) = self.queue_in_setup() {
            match offset {
                field::QUEUE_SIZE => queue.size = value,
                // Section 4.1.4.3.2: a driver enables, and never disables but by a reset.
                field::QUEUE_ENABLE if value == 1 => queue.enabled = true,
                _ => {}
            }
        }
    }

    fn common_write_u32(&mut self, offset: u64, value: u32) {
        match offset {
            field::DEVICE_FEATURE_SELECT => self.device_feature_select = value,
            field::DRIVER_FEATURE_SELECT => self.driver_feature_select = value,
            field::DRIVER_FEATURE if !self.features_are_final() => {
                set_half(&mut self.driver_features, self.driver_feature_select, value);
            }
            _ => {
                if let (Some((part, which)), Some(queue)) = (queue_part(offset), self.queue_in_setup()) {
                    set_half(&mut queue.parts[part], which, value);
                }
            }
        }
    }

    fn selected_queue(&self) -> Option<&QueueRegisters> {
        self.queues.get(usize::from(self.queue_select))
    }

    /// The selected queue, as long as it may be changed (section 4.1.4.3.2): until it is enabled, or the device runs.
    fn queue_in_setup(&mut self) -> Option<&mut QueueRegisters> {
        let open = !self.driver_is_ready();
        let queue = self.queues.get_mut(usize::from(self.queue_select))?;
        (open && !queue.enabled).then_some(queue)
    }
}

/// Which address of a queue lies at `offset`, and which half of it.
fn queue_part(offset: u64) -> Option<(usize, u32)> {
    let within = offset.checked_sub(field::QUEUE_PARTS)?;
    if offset >= COMMON_BYTES.into() || !within.is_multiple_of(4) {
        return None;
    }
    let part = usize::try_from(within / 8).ok()?;
    Some((part, u32::from(!within.is_multiple_of(8))))
}

/// The low (0) or high (1) half; there are no others.
fn half(value: u64, which: u32) -> u32 {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    match which {
        0 => u32::from_le_bytes([a, b, c, d]),
        1 => u32::from_le_bytes([e, f, g, h]),
        _ => 0,
    }
}

fn set_half(value: &mut u64, which: u32, to: u32) {
    if which <= 1 {
        let shift = 32 * which;
        *value = *value & !(u64::from(u32::MAX) << shift) | u64::from(to) << shift;
    }
}
