//! The driver against [`FakeDevice`]: in order of the packet's way.

mod bring_up;
mod hostile;
mod receive;
mod recovery;
mod transmit;
mod vlan;

use super::Vmxnet3;
use super::fake_device::FakeDevice;
use crate::hw::dma::testing::memory;
use crate::mem::mbuf::{Pool, testing};
use crate::nic::{Nic, Offloads, RxFrame, Wanted};
use std::vec::Vec;

/// Buffers of the pool, more than the rings take.
const BUFFERS: u32 = 2000;

/// Buffers that the rings take: one less than their descriptors, and of the second ring none if all frames are short.
const HEADS: u32 = 511;
const BODIES: u32 = 1023;

/// What a user wants of a device who wants frames of ordinary length only, or long ones.
const ORDINARY: Wanted = Wanted {
    offloads: Offloads::all().difference(Offloads::LRO),
    mtu: None,
    queues: 1,
    vlan: None,
    alarm: false,
};
const JUMBO: Wanted = Wanted {
    mtu: Some(9000),
    ..ORDINARY
};

/// A working driver, its device, and a pool.
struct Bench {
    nic: Vmxnet3<FakeDevice>,
    device: FakeDevice,
    pool: Pool,
}

impl Bench {
    fn new() -> Self {
        Bench::wanting(&ORDINARY)
    }

    fn wanting(wanted: &Wanted) -> Self {
        let (device, pool) = (FakeDevice::default(), testing::pool(BUFFERS));
        let take = |bytes, align| Some(memory(bytes, align));
        let nic = Vmxnet3::new(device.clone(), pool.region(), take, wanted).unwrap();
        Bench { nic, device, pool }
    }

    /// A driver whose rings to receive are full.
    fn receiving(wanted: &Wanted) -> Self {
        let mut bench = Bench::wanting(wanted);
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
