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
use crate::mem::mbuf::testing;
use crate::nic::Wanted;

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
type Bench = crate::nic::bench::Bench<VirtioNet<FakeDevice>, FakeDevice>;

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
}
