//! The host kernel's data plane: vhost-net carries the frames between the queues and the tap, and no thread of ours does.

use super::link::{Link, Rank, Tap};
use super::model::{DataPlane, PAIR, PairSignals};
use crate::vmm::virtio::{DeviceError, Memory};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use vhost::net::VhostNet;
use vhost::vhost_kern::net::Net as VhostNetDevice;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_net::VIRTIO_NET_F_MRG_RXBUF;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryBackend;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Why vhost-net cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VhostError {
    /// There is none, or not for us.
    #[error("cannot use /dev/vhost-net; load it with: modprobe vhost_net (in a container: allow the device)")]
    Open(#[source] vhost::Error),
    /// It does not know modern devices.
    #[error("this host's vhost-net is too old for modern virtio devices")]
    TooOld,
    /// It does not take our guest's memory.
    #[error("vhost-net does not take the guest's memory")]
    Memory(#[source] vhost::Error),
    /// Descriptors have run out, or there is no tap.
    #[error("cannot prepare the tap for vhost-net")]
    Tap(#[source] io::Error),
}

/// Frames between a pair of queues and a queue of a tap, by vhost-net.
pub struct VhostPlane {
    device: VhostNetDevice<Memory>,
    tap: Tap,
    /// The same, as the `vhost` crate wants it.
    backend: File,
    signals: PairSignals,
    errors: [EventFd; PAIR],
    /// An error was seen since the start.
    failed: AtomicBool,
    features: u64,
}

impl VhostPlane {
    /// Opens vhost-net for the guest's memory.
    ///
    /// # Errors
    /// [`VhostError`].
    pub fn new(
        (tap, rank): (OwnedFd, Rank),
        memory: &Memory,
        signals: PairSignals,
    ) -> Result<Self, VhostError> {
        let device = VhostNetDevice::new(Memory::clone(memory)).map_err(VhostError::Open)?;
        device.set_owner().map_err(VhostError::Open)?;
        let known = device.get_features().map_err(VhostError::Open)?;
        if known & (1 << VIRTIO_F_VERSION_1) == 0 {
            return Err(VhostError::TooOld);
        }
        let regions: Result<Vec<_>, _> = memory
            .iter()
            .map(VhostUserMemoryRegionInfo::from_guest_region)
            .collect();
        regions
            .and_then(|regions| device.set_mem_table(&regions))
            .map_err(VhostError::Memory)?;
        let error = || EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK).map_err(VhostError::Tap);
        let backend = tap.try_clone().map_err(VhostError::Tap)?;
        let tap = Tap::new(tap, rank).map_err(VhostError::Tap)?;
        tap.leave();
        Ok(Self {
            device,
            tap,
            backend: File::from(backend),
            signals,
            errors: [error()?, error()?],
            failed: AtomicBool::new(false),
            features: known
                & (1 << VIRTIO_RING_F_EVENT_IDX | 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_NET_F_MRG_RXBUF),
        })
    }

    fn start_queue(&self, index: usize, queue: &Queue) -> Result<(), vhost::Error> {
        let device = &self.device;
        device.set_vring_num(index, queue.size())?;
        device.set_vring_base(index, 0)?;
        device.set_vring_addr(
            index,
            &VringConfigData {
                queue_max_size: queue.max_size(),
                queue_size: queue.size(),
                flags: 0,
                desc_table_addr: queue.desc_table(),
                used_ring_addr: queue.used_ring(),
                avail_ring_addr: queue.avail_ring(),
                log_addr: None,
            },
        )?;
        device.set_vring_kick(index, &self.signals.kicks[index])?;
        device.set_vring_call(index, &self.signals.calls[index])?;
        device.set_vring_err(index, &self.errors[index])?;
        device.set_backend(index, Some(&self.backend))
    }
}

impl DataPlane for VhostPlane {
    fn features(&self) -> u64 {
        self.features
    }

    fn start(&mut self, features: u64, receive: Queue, transmit: Queue) -> Result<(), DeviceError> {
        self.tap.join()?;
        self.tap.follow(features)?;
        // What is left from before the last reset says nothing about these queues.
        for error in &self.errors {
            let _ = error.read();
        }
        self.failed.store(false, Ordering::Relaxed);
        let started = self
            .device
            .set_features(features & self.features)
            .and_then(|()| self.start_queue(0, &receive))
            .and_then(|()| self.start_queue(1, &transmit));
        started.map_err(|error| {
            self.stop();
            DeviceError(error.into())
        })
    }

    fn stop(&mut self) {
        for index in 0..PAIR {
            // It fails only if there never was a backend.
            let _ = self.device.set_backend(index, None);
        }
        self.tap.leave();
    }

    fn failed(&self) -> bool {
        let now = self.errors.iter().any(|error| error.read().is_ok());
        self.failed.fetch_or(now, Ordering::Relaxed) || now
    }
}
