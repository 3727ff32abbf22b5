//! The thread: orders, a turn on each queue, then a look at what else has happened, or sleep.

use super::Order;
use super::counters::{Counters, add};
use super::queues::Queues;
use crate::vmm::virtio::Memory;
use crate::vmm::virtio::net::link::Link;
use crate::vmm::virtio::net::model::{PAIR, PairSignals};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use virtio_queue::Error;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

/// How long the thread goes on looking after the last frame. A peer on the same host answers within this time, so that
/// a conversation costs no doorbells.
const LOOK: Duration = Duration::from_micros(50);

/// What the thread can be woken by.
mod token {
    pub(super) const LINK: u64 = 0;
    pub(super) const RECEIVE: u64 = 1;
    pub(super) const TRANSMIT: u64 = 2;
    pub(super) const ORDERS: u64 = 3;
    pub(super) const COUNT: usize = 4;
}

/// The thread's own.
pub(super) struct Worker<L> {
    link: L,
    memory: Memory,
    epoll: Epoll,
    /// Kept open for `epoll`.
    _watched: [EventFd; PAIR + 1],
    /// Signalled to interrupt.
    calls: [EventFd; PAIR],
    inbox: Receiver<Order>,
    active: Option<Queues>,
    failed: Arc<AtomicBool>,
    counters: Arc<Counters>,
    look_until: Instant,
}

impl<L: Link> Worker<L> {
    pub(super) fn new(
        link: L,
        memory: Memory,
        signals: PairSignals,
        wake: EventFd,
        inbox: Receiver<Order>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let [receive, transmit] = signals.kicks;
        // Edge-triggered: a signal wakes once, and need not be read to be gone.
        let watch = |fd: RawFd, token| {
            let events = EventSet::IN | EventSet::EDGE_TRIGGERED;
            epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(events, token))
        };
        watch(link.as_raw_fd(), token::LINK)?;
        watch(receive.as_raw_fd(), token::RECEIVE)?;
        watch(transmit.as_raw_fd(), token::TRANSMIT)?;
        watch(wake.as_raw_fd(), token::ORDERS)?;
        // Not before it is watched: a queue that is not attached cannot be.
        link.leave();
        Ok(Self {
            link,
            memory,
            epoll,
            _watched: [receive, transmit, wake],
            calls: signals.calls,
            inbox,
            active: None,
            failed: Arc::default(),
            counters: Arc::default(),
            look_until: Instant::now(),
        })
    }

    /// Where failures and counts go.
    pub(super) fn report_to(&mut self, failed: Arc<AtomicBool>, counters: Arc<Counters>) {
        self.failed = failed;
        self.counters = counters;
    }

    pub(super) fn run(mut self) {
        while self.obey() {
            let went = self.turn_and_look();
            if went.is_err() {
                self.fail();
            }
        }
    }

    /// Lets go of queues that cannot be used.
    fn fail(&mut self) {
        self.active = None;
        add(&self.counters.failures, 1);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Follows all orders that have come. `false` if it is over.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Order::Start {
                    features,
                    receive,
                    transmit,
                }) => {
                    let active = Queues::new(receive, transmit, &self.memory, features);
                    let followed = self.link.join().and_then(|()| self.link.follow(features));
                    self.active = followed.ok().and(active.ok());
                    if self.active.is_none() {
                        self.fail();
                    }
                }
                Ok(Order::Stop(done)) => {
                    self.active = None;
                    self.link.leave();
                    let _ = done.send(());
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Order::Quit) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn turn_and_look(&mut self) -> Result<(), Error> {
        let timeout = match &mut self.active {
            Some(active) => {
                if active.turn(&self.memory, &self.link, &self.counters)? {
                    self.look_until = Instant::now() + LOOK;
                }
                for (call, is_due) in self.calls.iter().zip(active.interrupts(&self.memory)?) {
                    if is_due {
                        // It fails only when full, and then it is signalled anyway.
                        let _ = call.write(1);
                    }
                }
                let rest = Instant::now() >= self.look_until && active.rest(&self.memory)?;
                if rest { -1 } else { 0 }
            }
            None => -1,
        };
        add(&self.counters.sleeps, u64::from(timeout < 0));
        let mut events = [EpollEvent::default(); token::COUNT];
        // Only a signal can interrupt it, and then there are no events.
        let count = self.epoll.wait(timeout, &mut events).unwrap_or(0);
        for event in &events[..count] {
            self.note(event.data())?;
        }
        Ok(())
    }

    fn note(&mut self, token: u64) -> Result<(), Error> {
        match token {
            token::RECEIVE => add(&self.counters.rx_doorbells, 1),
            token::TRANSMIT => add(&self.counters.tx_doorbells, 1),
            _ => {}
        }
        match (&mut self.active, token) {
            (Some(active), token::LINK) => active.link_readable(),
            (Some(active), token::RECEIVE) => active.buffers_posted(&self.memory)?,
            _ => {}
        }
        Ok(())
    }
}
