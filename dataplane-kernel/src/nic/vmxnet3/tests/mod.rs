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
use crate::mem::mbuf::testing;
use crate::nic::{Offloads, Wanted};

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
type Bench = crate::nic::bench::Bench<Vmxnet3<FakeDevice>, FakeDevice>;

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
}
