//! The driver against [`FakeDevice`]: in order of the packet's way.

mod alarm;
mod bring_up;
mod hostile;
mod queues;
mod receive;
mod recovery;
mod transmit;
mod vlan;

use super::fake_device::FakeDevice;
use super::{E1000e, Model};
use crate::hw::dma::testing::memory;
use crate::mem::mbuf::{Pool, testing};
use crate::nic::{Nic, Offloads, RxFrame, Wanted};
use std::vec::Vec;

/// Buffers of the pool, more than the receive queue takes.
const BUFFERS: u32 = 600;

/// Buffers the receive queue takes: one less than its descriptors.
const QUEUE: u32 = 511;

/// What a user wants of a card who wants long frames.
const JUMBO: Wanted = Wanted {
    offloads: Offloads::all(),
    mtu: Some(9000),
    queues: 1,
    vlan: None,
    alarm: false,
};

/// A working driver, its card, and a pool.
struct Bench {
    nic: E1000e<FakeDevice>,
    device: FakeDevice,
    pool: Pool,
}

impl Bench {
    fn new() -> Self {
        Bench::wanting(&Wanted::default())
    }

    fn wanting(wanted: &Wanted) -> Self {
        let (device, pool) = (FakeDevice::default(), testing::pool(BUFFERS));
        let take = |bytes, align| Some(memory(bytes, align));
        let mut pairs = E1000e::new(device.clone(), Model::I82574l, pool.region(), take, wanted).unwrap();
        let nic = pairs.remove(0);
        Bench { nic, device, pool }
    }

    /// A driver whose receive queue is full.
    fn receiving() -> Self {
        let mut bench = Bench::new();
        bench.post();
        bench
    }

    fn post(&mut self) {
        self.nic.refill(&mut self.pool);
        self.nic.kick();
    }

    fn poll(&mut self, budget: usize) -> Vec<RxFrame> {
        let mut frames = Vec::new();
        let count = self.nic.poll_rx(budget, &mut |frame| frames.push(frame));
        assert_eq!(count, frames.len());
        frames
    }

    fn data(&self, frame: &RxFrame) -> Vec<u8> {
        self.pool
            .region()
            .bytes(frame.buf.0, frame.offset, frame.len)
            .to_vec()
    }

    fn free(&mut self, frames: Vec<RxFrame>) {
        for frame in frames {
            self.pool.free(frame.buf);
        }
    }

    fn counter(&self, name: &str) -> u64 {
        self.nic.counters().find(|counter| counter.0 == name).unwrap().1
    }
}
