//! What the driver sees of the network device.

use crate::vmm::virtio::{Device, DeviceError};
use std::io;
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
    VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_MAC, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS,
    VIRTIO_NET_S_LINK_UP,
};
use virtio_queue::Queue;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Receive and transmit (section 5.1.2).
pub(super) const QUEUES: usize = 2;

/// Descriptors in a queue, at most: as many frames as a tap queues.
const QUEUE_MAX: u16 = 1024;

/// What a network device is told about itself.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Its address.
    pub mac: [u8; 6],
    /// The largest IP packet its link carries.
    pub mtu: u16,
}

/// Moves frames between the queues and the host.
pub trait DataPlane: Send {
    /// Which features it can serve, of those that concern queues and frames.
    fn features(&self) -> u64;

    /// Begins with these queues. See [`Device::start`].
    ///
    /// # Errors
    /// [`DeviceError`].
    fn start(&mut self, features: u64, receive: Queue, transmit: Queue) -> Result<(), DeviceError>;

    /// Gives the queues up. See [`Device::stop`].
    fn stop(&mut self);

    /// See [`Device::failed`].
    fn failed(&self) -> bool;
}

/// What is signalled when the receive and the transmit queue are notified.
pub struct Kicks([EventFd; QUEUES]);

impl Kicks {
    /// New ones.
    ///
    /// # Errors
    /// The host's, if there are too many descriptors.
    pub fn new() -> io::Result<Self> {
        let kick = || EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK);
        Ok(Self([kick()?, kick()?]))
    }

    /// The same ones once more, for the data plane.
    ///
    /// # Errors
    /// The host's, if there are too many descriptors.
    pub fn share(&self) -> io::Result<[EventFd; QUEUES]> {
        let [receive, transmit] = &self.0;
        Ok([receive.try_clone()?, transmit.try_clone()?])
    }
}

/// The network device.
pub struct Net {
    features: u64,
    /// `struct virtio_net_config` up to the MTU (section 5.1.4).
    config: [u8; 12],
    kicks: Kicks,
    plane: Box<dyn DataPlane>,
}

impl Net {
    /// A device whose frames `plane` moves when it is notified by `kicks`.
    #[must_use]
    pub fn new(settings: Settings, kicks: Kicks, plane: Box<dyn DataPlane>) -> Self {
        let own = [
            VIRTIO_F_VERSION_1,
            VIRTIO_NET_F_CSUM,
            VIRTIO_NET_F_GUEST_CSUM,
            VIRTIO_NET_F_GUEST_TSO4,
            VIRTIO_NET_F_GUEST_TSO6,
            VIRTIO_NET_F_HOST_TSO4,
            VIRTIO_NET_F_HOST_TSO6,
            VIRTIO_NET_F_MAC,
            VIRTIO_NET_F_MTU,
            VIRTIO_NET_F_STATUS,
        ];
        let own = own.iter().fold(0, |bits, bit| bits | 1 << bit);
        let mut config = [0; 12];
        config[..6].copy_from_slice(&settings.mac);
        config[6..8].copy_from_slice(&u16::try_from(VIRTIO_NET_S_LINK_UP).unwrap_or(1).to_le_bytes());
        config[10..].copy_from_slice(&settings.mtu.to_le_bytes());
        Self {
            features: own | plane.features(),
            config,
            kicks,
            plane,
        }
    }
}

impl Device for Net {
    fn id(&self) -> u16 {
        u16::try_from(VIRTIO_ID_NET).unwrap_or(1)
    }

    fn class(&self) -> [u8; 3] {
        // Network, Ethernet.
        [0x02, 0x00, 0x00]
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn queue_max(&self) -> u16 {
        QUEUE_MAX
    }

    fn kicks(&self) -> &[EventFd] {
        &self.kicks.0
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn start(&mut self, features: u64, queues: Vec<Queue>) -> Result<(), DeviceError> {
        let [receive, transmit] =
            <[Queue; QUEUES]>::try_from(queues).map_err(|_| DeviceError("two queues are needed".into()))?;
        self.plane.start(features, receive, transmit)
    }

    fn stop(&mut self) {
        self.plane.stop();
    }

    fn failed(&self) -> bool {
        self.plane.failed()
    }
}
