//! Our own data plane between rings in memory and a socket that stands for the tap.

/// The turns alone.
mod turns;

/// With the thread.
mod thread;

/// Several pairs, and commands.
mod pairs;

/// A guest that does everything wrong.
mod hostile;

use super::counters::Counters;
use super::queues::Queues;
use crate::sys::{read_frame, write_frame};
use crate::vmm::virtio::net::link::Link;
use crate::vmm::virtio::queue::QueueRegisters;
use crate::vmm::virtio::testing::{Ring, ram};
use crate::vmm::virtio::{DeviceError, Memory};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use vm_memory::{Bytes, GuestAddress, VolatileSlice};

const HEADER: [u8; 12] = [0; 12];

/// Where the tests keep frames and buffers.
const BUFFERS: u64 = 0x10_0000;

struct Socket(UnixDatagram);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Link for Socket {
    fn receive(&self, into: &[VolatileSlice<'_>], room: usize) -> io::Result<usize> {
        read_frame(self.0.as_fd(), into, room)
    }

    fn transmit(&self, from: &[VolatileSlice<'_>]) -> io::Result<()> {
        write_frame(self.0.as_fd(), from)
    }

    fn follow(&self, _features: u64) -> Result<(), DeviceError> {
        Ok(())
    }
}

fn sockets() -> (Socket, UnixDatagram) {
    let (ours, peer) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    (Socket(ours), peer)
}

fn frame(byte: u8, len: usize) -> Vec<u8> {
    [&HEADER[..], &vec![byte; len]].concat()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The turns, without a thread.
struct Bench {
    memory: Memory,
    receive: Ring,
    transmit: Ring,
    active: Queues,
    link: Socket,
    peer: UnixDatagram,
    counters: Counters,
    event_idx: bool,
}

impl Bench {
    fn new(event_idx: bool, size: u16) -> Self {
        Self::agreed(event_idx, size, 0)
    }

    /// With a driver that has agreed to these features.
    fn agreed(event_idx: bool, size: u16, features: u64) -> Self {
        let memory = ram();
        let [receive, transmit] = [0x1_0000, 0x2_0000].map(|at| Ring::new(&memory, at, size));
        let queue = |ring: &Ring| {
            let registers = QueueRegisters {
                size,
                enabled: true,
                parts: [ring.descriptors, ring.available, ring.used],
            };
            registers.check(size, event_idx, &memory).unwrap().unwrap()
        };
        let active = Queues::new(queue(&receive), queue(&transmit), &memory, features).unwrap();
        let (link, peer) = sockets();
        Self {
            receive,
            transmit,
            active,
            memory,
            link,
            peer,
            counters: Counters::default(),
            event_idx,
        }
    }

    fn turn(&mut self) -> bool {
        self.active
            .turn(&self.memory, &self.link, &self.counters)
            .unwrap()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.peer.send(bytes).unwrap();
        self.active.link_readable();
    }

    fn heard(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let len = self.peer.recv(&mut buffer).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(at)).unwrap();
    }

    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
        bytes
    }
}
