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
use crate::mem::mbuf::testing;
use crate::nic::{Offloads, Wanted};

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
type Bench = crate::nic::bench::Bench<E1000e<FakeDevice>, FakeDevice>;

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
}
