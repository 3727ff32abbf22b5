//! A virtio device on PCI, modern only (virtio 1.2, section 4.1): registers in a BAR, described by capabilities.
//!
//! Queues interrupt by MSI-X, for a guest that sleeps (docs/adr/0025-card-as-alarm.md). A change of the configuration does not, and
//! there is no INTx.

/// Where things lie.
mod layout;

/// The common configuration.
mod common;

/// Registers through configuration space.
mod window;

/// Interrupts.
mod msix;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;

#[cfg(test)]
mod interrupts;

use super::queue::QueueRegisters;
use super::{Device, Doorbells, Interrupts, Memory, QueueError};
use crate::vmm::pci::config_space::{ConfigSpace, command};
use crate::vmm::pci::{DecodeError, DecodedBar, Function};
use layout::Capabilities;
use msix::Msix;
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::Queue;

/// Device status (section 2.1).
pub(super) mod status {
    pub(in super::super) const DRIVER_OK: u8 = 4;
    pub(in super::super) const FEATURES_OK: u8 = 8;
    pub(in super::super) const NEEDS_RESET: u8 = 64;
    pub(in super::super) const FAILED: u8 = 128;
}

/// Bit of the ISR register: the configuration changed, which includes the status (section 4.1.4.5).
const ISR_CONFIG: u8 = 2;

/// A device on the guest's PCI bus.
pub struct Transport<D> {
    config: ConfigSpace,
    /// Offset of the capability that gives access to registers.
    window: u16,
    device: D,
    memory: Memory,
    doorbells: Box<dyn Doorbells>,
    msix: Msix,
    /// Where the BAR was last honoured, with doorbells on it.
    decoded_at: Option<u64>,
    status: u8,
    isr: u8,
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    queue_select: u16,
    queues: Vec<QueueRegisters>,
    running: bool,
}

impl<D: Device> Transport<D> {
    /// Puts a device on PCI. Its queues will lie in `memory`, the guest will ring `doorbells`, and the device will interrupt by
    /// `interrupts`.
    #[must_use]
    pub fn new(
        device: D,
        memory: Memory,
        doorbells: Box<dyn Doorbells>,
        interrupts: Box<dyn Interrupts>,
    ) -> Self {
        let (config, Capabilities { window, msix }) = layout::config_space(&device);
        let queues = vec![QueueRegisters::new(device.queue_max()); device.queues()];
        Self {
            msix: Msix::new(msix, device.calls().len(), interrupts),
            config,
            window,
            device,
            memory,
            doorbells,
            decoded_at: None,
            status: 0,
            isr: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            queue_select: 0,
            queues,
            running: false,
        }
    }

    fn status(&self) -> u8 {
        let failed = self.running && self.device.failed();
        self.status | if failed { status::NEEDS_RESET } else { 0 }
    }

    fn driver_is_ready(&self) -> bool {
        self.status & status::DRIVER_OK != 0
    }

    fn features_are_final(&self) -> bool {
        self.status & status::FEATURES_OK != 0
    }

    /// The driver writes the status (sections 2.1 and 3.1.1). Zero resets; bits can only be added.
    fn set_status(&mut self, value: u8) {
        if value == 0 {
            return self.reset();
        }
        if value & status::FAILED != 0 {
            // It has given up: it does not want its memory written to any more.
            self.stop();
            self.status |= status::FAILED;
            return;
        }
        let mut added = value & !self.status & !status::NEEDS_RESET;
        if added & status::FEATURES_OK != 0 && !self.accepts_features() {
            added &= !status::FEATURES_OK;
        }
        let ready = (self.status | added) & status::FEATURES_OK != 0;
        if added & status::DRIVER_OK != 0 && !ready {
            added &= !status::DRIVER_OK;
        }
        self.status |= added;
        if added & status::DRIVER_OK != 0 {
            self.start();
        }
    }

    fn accepts_features(&self) -> bool {
        let version_1 = 1 << VIRTIO_F_VERSION_1;
        self.driver_features & !self.device.features() == 0
            && self.driver_features & version_1 != 0
            && self.device.accepts(self.driver_features)
    }

    fn start(&mut self) {
        let may_master = self.config.command() & command::BUS_MASTER != 0;
        let started = match self.checked_queues() {
            Ok(queues) if may_master => self.device.start(self.driver_features, queues).is_ok(),
            _ => false,
        };
        if started {
            self.running = true;
        } else {
            self.needs_reset();
        }
    }

    fn checked_queues(&self) -> Result<Vec<Option<Queue>>, QueueError> {
        let event_idx = self.driver_features & (1 << VIRTIO_RING_F_EVENT_IDX) != 0;
        let max = self.device.queue_max();
        let queues = self.queues.iter();
        queues
            .map(|queue| queue.check(max, event_idx, &self.memory))
            .collect()
    }

    fn needs_reset(&mut self) {
        self.status |= status::NEEDS_RESET;
        self.isr |= ISR_CONFIG;
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.running) {
            self.device.stop();
        }
    }

    fn reset(&mut self) {
        self.stop();
        self.status = 0;
        self.isr = 0;
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.driver_features = 0;
        self.queue_select = 0;
        self.msix.forget_vectors();
        self.follow_interrupts();
        let max = self.device.queue_max();
        self.queues.fill(QueueRegisters::new(max));
    }

    /// A device that may not reach memory any more while it runs gives its queues up. Only a reset helps.
    fn follow_command(&mut self) {
        if self.running && self.config.command() & command::BUS_MASTER == 0 {
            self.stop();
            self.needs_reset();
        }
    }

    /// The guest may have changed what interrupts.
    fn follow_interrupts(&mut self) {
        self.msix.follow(&self.config, self.device.calls());
    }

    fn registers_read(&mut self, offset: u64, data: &mut [u8]) {
        match offset {
            layout::COMMON..layout::ISR => self.common_read(offset - layout::COMMON, data),
            layout::ISR => {
                // Reading clears.
                if let Some(first) = data.first_mut() {
                    *first = std::mem::take(&mut self.isr);
                }
            }
            layout::CONFIG..layout::NOTIFY => {
                let at = usize::try_from(offset - layout::CONFIG).unwrap_or(usize::MAX);
                let config = self.device.config().get(at..).unwrap_or_default();
                data.iter_mut()
                    .zip(config)
                    .for_each(|(byte, &value)| *byte = value);
            }
            layout::MSIX_TABLE..layout::MSIX_PENDING => self.msix.read(offset - layout::MSIX_TABLE, data),
            _ => {}
        }
    }

    fn registers_write(&mut self, offset: u64, data: &[u8]) {
        match offset {
            layout::COMMON..layout::ISR => self.common_write(offset - layout::COMMON, data),
            layout::NOTIFY..layout::MSIX_TABLE => {
                let queue = (offset - layout::NOTIFY) / u64::from(layout::NOTIFY_MULTIPLIER);
                self.notify(usize::try_from(queue).unwrap_or(usize::MAX));
            }
            layout::MSIX_TABLE..layout::MSIX_PENDING => {
                self.msix.write(offset - layout::MSIX_TABLE, data);
                self.follow_interrupts();
            }
            _ => {}
        }
    }

    /// What has a kick is notified here only where there is no doorbell, through configuration space.
    fn notify(&mut self, queue: usize) {
        if let Some(kick) = self.device.kicks().get(queue) {
            // It fails only when full, and then it is signalled anyway.
            let _ = kick.write(1);
        } else if self.running && queue < self.queues.len() {
            self.device.notified(&self.memory);
        }
    }

    /// Moves the doorbells to where the BAR is now.
    fn move_doorbells(&mut self, to: Option<u64>) -> Result<(), (u64, std::io::Error)> {
        let place =
            |base: u64, queue: u64| base + layout::NOTIFY + queue * u64::from(layout::NOTIFY_MULTIPLIER);
        if let Some(base) = self.decoded_at.take() {
            for (queue, kick) in (0..).zip(self.device.kicks()) {
                let result = self.doorbells.remove(place(base, queue), kick);
                result.map_err(|error| (base, error))?;
            }
        }
        if let Some(base) = to {
            for (queue, kick) in (0..).zip(self.device.kicks()) {
                let result = self.doorbells.add(place(base, queue), kick);
                result.map_err(|error| (base, error))?;
            }
        }
        self.decoded_at = to;
        Ok(())
    }
}

impl<D: Device> Function for Transport<D> {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.fetch_window(offset, data.len());
        self.config.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.config.write(offset, data);
        self.follow_command();
        self.follow_interrupts();
        self.flush_window(offset, data.len());
    }

    fn decoded(&self) -> Vec<DecodedBar> {
        self.config.decoded()
    }

    fn on_decode(&mut self, now: &[DecodedBar]) -> Result<(), DecodeError> {
        let to = now.first().map(|bar| bar.base);
        self.move_doorbells(to).map_err(|(base, error)| DecodeError {
            index: layout::BAR,
            base,
            source: error.into(),
        })
    }

    fn read(&mut self, _bar: u8, offset: u64, data: &mut [u8]) {
        self.registers_read(offset, data);
    }

    fn write(&mut self, _bar: u8, offset: u64, data: &[u8]) {
        self.registers_write(offset, data);
    }
}
