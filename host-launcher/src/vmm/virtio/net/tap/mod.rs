//! Our own data plane: a thread that carries frames between a pair of queues and a queue of a tap.
//!
//! The thread works in *turns*, each of which moves a bounded number of frames each way. While there was work lately it looks again
//! at once, and the driver need not ring: that is what makes doorbells, each an exit of the guest, rare. Then it asks
//! for them and sleeps.

/// A descriptor chain as places in our memory.
mod chain;

/// Host to guest.
mod receive;

/// Guest to host.
mod transmit;

/// The two queues while they are ours.
mod queues;
pub use queues::Queues;

/// Who wants to be told of what was used.
mod interrupt;

/// What is counted.
mod counters;
pub use counters::Counters;

/// The thread.
mod worker;

#[cfg(test)]
mod tests;

use super::link::{Link, Rank, Tap};
use super::model::{DataPlane, PairSignals};
use crate::vmm::virtio::{DeviceError, Memory};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use virtio_bindings::virtio_net::VIRTIO_NET_F_MRG_RXBUF;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::Queue;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use worker::Worker;

/// What the thread is told.
enum Order {
    /// Work on these queues, for a driver that has agreed to these features.
    Start {
        features: u64,
        receive: Queue,
        transmit: Queue,
    },
    /// Give the queues up, and say when that is done.
    Stop(SyncSender<()>),
    /// End.
    Quit,
}

/// Frames between the queues and a tap, by a thread of ours.
pub struct TapPlane {
    orders: Sender<Order>,
    /// Wakes the thread, to look for orders.
    wake: EventFd,
    failed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TapPlane {
    /// Starts the thread, which first calls `confine`. From then on it waits (epoll, futex), reads and writes the tap
    /// (`readv`, `writev`, TUNSETOFFLOAD, TUNSETQUEUE), reads the clock, signals, and frees memory.
    ///
    /// # Errors
    /// The host's: descriptors or threads have run out, or `tap` is not attached to a tap.
    pub fn new(
        (tap, rank): (OwnedFd, Rank),
        memory: Memory,
        signals: PairSignals,
        counters: Arc<Counters>,
        confine: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        Self::on(Tap::new(tap, rank)?, memory, signals, counters, confine)
    }

    fn on(
        link: impl Link + Send + 'static,
        memory: Memory,
        signals: PairSignals,
        counters: Arc<Counters>,
        confine: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, inbox) = channel();
        let wake = EventFd::new(EFD_CLOEXEC | EFD_NONBLOCK)?;
        let failed = Arc::new(AtomicBool::new(false));
        let mut worker = Worker::new(link, memory, signals, wake.try_clone()?, inbox)?;
        worker.report_to(Arc::clone(&failed), counters);
        let thread = thread::Builder::new().name("ix-tap".to_owned()).spawn(move || {
            confine();
            worker.run();
        })?;
        Ok(Self {
            orders,
            wake,
            failed,
            thread: Some(thread),
        })
    }

    fn order(&self, order: Order) {
        // It fails if the thread is gone, which it is only when told so.
        if self.orders.send(order).is_ok() {
            let _ = self.wake.write(1);
        }
    }
}

impl DataPlane for TapPlane {
    fn features(&self) -> u64 {
        1 << VIRTIO_RING_F_EVENT_IDX | 1 << VIRTIO_NET_F_MRG_RXBUF
    }

    fn start(&mut self, features: u64, receive: Queue, transmit: Queue) -> Result<(), DeviceError> {
        self.failed.store(false, Ordering::Relaxed);
        self.order(Order::Start {
            features,
            receive,
            transmit,
        });
        Ok(())
    }

    fn stop(&mut self) {
        let (done, wait) = sync_channel(1);
        self.order(Order::Stop(done));
        // A turn is short, so this wait is.
        let _ = wait.recv();
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Drop for TapPlane {
    fn drop(&mut self) {
        self.order(Order::Quit);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
