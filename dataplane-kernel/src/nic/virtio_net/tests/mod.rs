//! The driver against [`FakeDevice`]: in order of the packet's way.

mod alarm;
mod bring_up;
mod hostile;
mod notification;
mod queues;
mod receive;
mod recovery;
mod transmit;

use super::VirtioNet;
use super::fake_device::FakeDevice;
use crate::hw::dma::testing::memory;
use crate::mem::mbuf::{Pool, testing};
use crate::nic::{Nic, RxFrame, Wanted};
use std::vec::Vec;

const CSUM: u32 = 0;
const GUEST_CSUM: u32 = 1;
const MTU: u32 = 3;
const MAC: u32 = 5;
const GUEST_TSO: [u32; 2] = [7, 8];
const HOST_TSO: [u32; 2] = [11, 12];
const MRG_RXBUF: u32 = 15;
const STATUS: u32 = 16;
const CTRL_VQ: u32 = 17;
const MQ: u32 = 22;
const EVENT_IDX: u32 = 29;
const RSS: u32 = 60;

/// A working driver, its device, and a pool of 64 buffers.
struct Bench {
    nic: VirtioNet<FakeDevice>,
    device: FakeDevice,
    pool: Pool,
}

impl Bench {
    fn new(features: &[u32]) -> Self {
        Bench::of(FakeDevice::offering(features))
    }

    fn of(device: FakeDevice) -> Self {
        Bench::wanting(device, &Wanted::default())
    }

    fn wanting(device: FakeDevice, wanted: &Wanted) -> Self {
        let pool = testing::pool(64);
        let take = |bytes, align| Some(memory(bytes, align));
        let mut pairs = VirtioNet::new(device.clone(), pool.region(), take, 7, wanted).unwrap();
        let nic = pairs.remove(0);
        Bench { nic, device, pool }
    }

    /// A driver whose receive queue is full.
    fn receiving(features: &[u32]) -> Self {
        let mut bench = Bench::new(features);
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
