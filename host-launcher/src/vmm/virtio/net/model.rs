//! What the driver sees of the network device.

use super::control::Control;
use crate::vmm::virtio::{Device, DeviceError, Memory};
use std::io;
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ids::VIRTIO_ID_NET;
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_MAC,
    VIRTIO_NET_F_MQ, VIRTIO_NET_F_MTU, VIRTIO_NET_F_STATUS, VIRTIO_NET_S_LINK_UP,
};
use virtio_queue::Queue;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Receive and transmit (section 5.1.2).
pub(super) const PAIR: usize = 2;

/// Descriptors in a queue, at most: as many frames as a tap queues.
const QUEUE_MAX: u16 = 1024;

/// What a driver has to agree to, both or neither, to use several pairs.
const SEVERAL: u64 = 1 << VIRTIO_NET_F_MQ | 1 << VIRTIO_NET_F_CTRL_VQ;

/// What a network device is told about itself.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Its address.
    pub mac: [u8; 6],
    /// The largest IP packet its link carries.
    pub mtu: u16,
}

/// Moves frames between a pair of queues and the host.
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

/// What is signalled when queues are notified (*kicks*), and when they are to interrupt (*calls*): of each pair, those of the receive
/// queue, then of the transmit queue.
pub struct Signals {
    kicks: Vec<EventFd>,
    calls: Vec<EventFd>,
}

/// Of one pair.
pub struct PairSignals {
    /// Notifications.
    pub kicks: [EventFd; PAIR],
    /// Interrupts.
    pub calls: [EventFd; PAIR],
}

impl Signals {
    /// New ones, for so many pairs.
    ///
    /// # Errors
    /// The host's, if there are too many descriptors.
    pub fn new(pairs: usize) -> io::Result<Self> {
        let all = || -> io::Result<Vec<_>> {
            let one = |_| EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK);
            (0..PAIR * pairs).map(one).collect()
        };
        Ok(Self {
            kicks: all()?,
            calls: all()?,
        })
    }

    /// The same ones once more, a pair at a time, for the data planes.
    pub fn share(&self) -> impl Iterator<Item = io::Result<PairSignals>> {
        let (kicks, _) = self.kicks.as_chunks();
        let (calls, _) = self.calls.as_chunks();
        let copy = |[receive, transmit]: &[EventFd; PAIR]| -> io::Result<_> {
            Ok([receive.try_clone()?, transmit.try_clone()?])
        };
        kicks.iter().zip(calls).map(move |(kicks, calls)| {
            Ok(PairSignals {
                kicks: copy(kicks)?,
                calls: copy(calls)?,
            })
        })
    }
}

/// A pair of queues as its driver has enabled it.
type Pair = Option<(Queue, Queue)>;

/// The network device.
pub struct Net {
    features: u64,
    /// `struct virtio_net_config` up to the MTU (section 5.1.4).
    config: [u8; 12],
    signals: Signals,
    /// One for each pair of queues.
    planes: Vec<Box<dyn DataPlane>>,
    /// Of these, the first that have their queues.
    running: usize,
    /// What the driver has agreed to.
    agreed: u64,
    /// Pairs that do not run yet, the last one first.
    waiting: Vec<Pair>,
    control: Option<Control>,
    /// The queue for commands cannot be used.
    control_failed: bool,
}

impl Net {
    /// A device whose frames `planes` move, one for each pair of queues, with these `signals`.
    #[must_use]
    pub fn new(settings: Settings, signals: Signals, planes: Vec<Box<dyn DataPlane>>) -> Self {
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
        let of_planes = planes.first().map_or(0, |plane| plane.features());
        let several = if planes.len() > 1 { SEVERAL } else { 0 };
        let pairs = u16::try_from(planes.len()).unwrap_or(u16::MAX);
        let mut config = [0; 12];
        config[..6].copy_from_slice(&settings.mac);
        config[6..8].copy_from_slice(&u16::try_from(VIRTIO_NET_S_LINK_UP).unwrap_or(1).to_le_bytes());
        config[8..10].copy_from_slice(&pairs.to_le_bytes());
        config[10..].copy_from_slice(&settings.mtu.to_le_bytes());
        Self {
            features: own | of_planes | several,
            config,
            signals,
            planes,
            running: 0,
            agreed: 0,
            waiting: Vec::new(),
            control: None,
            control_failed: false,
        }
    }

    /// Lets the first `pairs` run, as far as they do not. Pairs that run do so until the device is reset, since the driver may
    /// have posted there: a command for fewer is refused, as is one for more than were enabled.
    fn use_pairs(&mut self, pairs: usize) -> bool {
        let (total, more) = (self.planes.len(), pairs.saturating_sub(self.running));
        let ready = self.waiting.iter().rev().take(more).flatten().count();
        if !(self.running..=total).contains(&pairs) || ready < more {
            return false;
        }
        while self.running < pairs {
            let (Some(Some((receive, transmit))), Some(plane)) =
                (self.waiting.pop(), self.planes.get_mut(self.running))
            else {
                return false;
            };
            if plane.start(self.agreed, receive, transmit).is_err() {
                return false;
            }
            self.running += 1;
        }
        true
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

    /// Section 5.1.3.1, and the other way round: without several pairs there are no commands.
    fn accepts(&self, features: u64) -> bool {
        matches!(features & SEVERAL, 0 | SEVERAL)
    }

    fn queue_max(&self) -> u16 {
        QUEUE_MAX
    }

    /// Of each pair, and one for commands behind them if there are several (section 5.1.2).
    fn queues(&self) -> usize {
        let pairs = self.planes.len();
        PAIR * pairs + usize::from(pairs > 1)
    }

    fn kicks(&self) -> &[EventFd] {
        &self.signals.kicks
    }

    fn calls(&self) -> &[EventFd] {
        &self.signals.calls
    }

    fn config(&self) -> &[u8] {
        &self.config
    }

    fn start(&mut self, features: u64, mut queues: Vec<Option<Queue>>) -> Result<(), DeviceError> {
        let several = features & SEVERAL != 0;
        let control = queues.drain(PAIR * self.planes.len()..).next().flatten();
        let pairs = if several { self.planes.len() } else { 1 };
        let mut queues = queues.into_iter();
        let pair = || Some(queues.next()??).zip(queues.next()?);
        self.waiting = std::iter::repeat_with(pair).take(pairs).collect();
        self.waiting.reverse();
        self.agreed = features;
        self.control = control.filter(|_| several).map(Control::new);
        self.control_failed = false;
        // Section 5.1.6.5.5: until it is told otherwise.
        if self.use_pairs(1) {
            return Ok(());
        }
        self.stop();
        Err(DeviceError("the first pair of queues does not start".into()))
    }

    fn notified(&mut self, memory: &Memory) {
        let Some(mut control) = self.control.take() else {
            return;
        };
        let served = control.serve(memory, |pairs| self.use_pairs(pairs.into()));
        self.control_failed |= served.is_err();
        self.control = Some(control);
    }

    fn stop(&mut self) {
        self.control = None;
        self.waiting.clear();
        let running = std::mem::take(&mut self.running);
        self.planes
            .iter_mut()
            .take(running)
            .for_each(|plane| plane.stop());
    }

    fn failed(&self) -> bool {
        self.control_failed || self.planes.iter().take(self.running).any(|plane| plane.failed())
    }
}
