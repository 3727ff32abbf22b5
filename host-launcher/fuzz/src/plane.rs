//! The card's data plane without its thread, and a network that is a list of frames.

use host_launcher::vmm::virtio::net::{Counters, DataPlane, Link, Queues};
use host_launcher::vmm::virtio::{DeviceError, Memory};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};
use virtio_queue::Queue;
use vm_memory::{Bytes, VolatileSlice};

/// What the guest has sent, and what waits for it.
#[derive(Default)]
struct Network {
    to_guest: RefCell<VecDeque<Vec<u8>>>,
    from_guest: RefCell<Vec<Vec<u8>>>,
}

impl AsRawFd for Network {
    fn as_raw_fd(&self) -> RawFd {
        -1
    }
}

impl Link for Network {
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
        let frame = self.to_guest.borrow_mut().pop_front();
        let frame = frame.ok_or(io::ErrorKind::WouldBlock)?;
        let mut rest = &frame[..];
        for place in into {
            let written = place.write(rest, 0).unwrap_or(0);
            rest = &rest[written..];
        }
        assert_eq!(
            rest.len(),
            frame.len().saturating_sub(room),
            "the places have the room they say"
        );
        Ok(frame.len())
    }

    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()> {
        let mut frame = Vec::new();
        for place in from {
            let mut bytes = vec![0; place.len()];
            place.read_slice(&mut bytes, 0).map_err(io::Error::other)?;
            frame.extend(bytes);
        }
        self.from_guest.borrow_mut().push(frame);
        Ok(())
    }

    fn follow(&self, _features: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}

struct State {
    memory: Memory,
    queues: Option<Queues>,
    failed: bool,
    network: Network,
    counters: Counters,
}

/// A handle to it.
#[derive(Clone)]
pub(crate) struct Plane(Arc<Mutex<State>>);

impl Plane {
    pub(crate) fn new(memory: Memory) -> Self {
        Self(Arc::new(Mutex::new(State {
            memory,
            queues: None,
            failed: false,
            network: Network::default(),
            counters: Counters::default(),
        })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn send(&self, frame: Vec<u8>) {
        self.with(|state| state.network.to_guest.borrow_mut().push_back(frame));
    }

    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        self.with(|state| state.network.from_guest.take())
    }

    /// Lets go of all frames under way.
    pub(crate) fn clear(&self) {
        self.with(|state| state.network = Network::default());
    }

    /// What the thread does between two looks at its signals; `rung` says that the receive queue was.
    pub(crate) fn turn(&self, rung: bool, sleepy: bool) {
        self.with(|state| {
            let Some(queues) = &mut state.queues else { return };
            let memory = &*state.memory;
            queues.link_readable();
            let mut went = if rung {
                queues.buffers_posted(memory)
            } else {
                Ok(())
            };
            went = went.and_then(|()| queues.turn(memory, &state.network, &state.counters).map(drop));
            if sleepy {
                went = went.and_then(|()| queues.rest(memory).map(drop));
            }
            if went.is_err() {
                state.queues = None;
                state.failed = true;
            }
        });
    }
}

impl DataPlane for Plane {
    fn features(&self) -> u64 {
        1 << 29 | 1 << 15
    }

    fn start(&mut self, features: u64, receive: Queue, transmit: Queue) -> Result<(), DeviceError> {
        self.with(|state| {
            assert!(state.queues.is_none(), "started twice");
            let queues = Queues::new(receive, transmit, &state.memory, features);
            state.queues = Some(queues.map_err(|error| DeviceError(error.into()))?);
            state.failed = false;
            Ok(())
        })
    }

    fn stop(&mut self) {
        self.with(|state| state.queues = None);
    }

    fn failed(&self) -> bool {
        self.with(|state| state.failed)
    }
}
