//! Tags that the card inserts and takes off.

use super::super::fake_device::FakeDevice;
use super::super::regs::{Queue, Register, ctrl};
use super::{Bench, JUMBO};
use crate::nic::{Nic, Offloads, Wanted};
use netstack::wire::vlan::VlanId;
use netstack::{Span, TxOffload};

/// On VLAN 7.
fn bench(offloads: Offloads) -> Bench {
    let mut bench = Bench::wanting(&Wanted {
        offloads,
        vlan: VlanId::new(7),
        ..JUMBO
    });
    bench.post();
    bench
}

/// VP, besides DD, EOP and a good checksum.
const TAGGED: u8 = 0x2b;

fn receive(device: &FakeDevice, tag: u16, status: u8, frame: &[u8]) {
    assert!(device.with(|state| state.receive_at(Queue::RX, tag, status, 0, frame)));
}

#[test]
fn all_of_a_frame_says_that_it_gets_a_tag() {
    let mut bench = bench(Offloads::all());
    assert_ne!(bench.device.register(Register::CTRL) & ctrl::VME, 0);
    assert!(bench.nic.offloads().contains(Offloads::VLAN) && !bench.nic.offloads().contains(Offloads::TSO));
    let payload = crate::hw::dma::testing::memory(100, 64).phys(0).0;
    for span in [
        &[][..],
        &[Span {
            address: payload,
            len: 100,
        }],
    ] {
        bench.nic.begin_tx().unwrap()[..60].fill(1);
        bench.nic.commit_tx(60, span, TxOffload::Complete);
        bench.nic.kick();
        let sent = bench.device.send().unwrap();
        assert_eq!((sent.tag, sent.parts.len()), (Some(7), 1 + span.len()));
    }
}

#[test]
fn only_frames_of_the_vlan_come_up() {
    let mut bench = bench(Offloads::all());
    let ours: [(u16, u8); 2] = [(7, TAGGED), (0xe007, TAGGED)];
    let others: [(u16, u8); 3] = [(8, TAGGED), (0xe000, TAGGED), (7, 0x23)];
    for (tag, status) in ours.into_iter().chain(others) {
        receive(&bench.device, tag, status, &[9; 80]);
    }
    let frames = bench.poll(16);
    assert_eq!(frames.len(), ours.len());
    bench.free(frames);
    // The last part says it for all.
    for (tag, status) in [(7, TAGGED), (8, TAGGED)] {
        receive(&bench.device, 0, 0x01, &[9; 2048]);
        receive(&bench.device, tag, status, &[9; 100]);
    }
    let parts = bench.poll(16);
    assert_eq!(parts.len(), 2);
    bench.free(parts);
    assert_eq!(bench.counter("nic.rx_vlan_not_ours"), 4);
    bench.post();
    assert_eq!(bench.pool.available(), super::BUFFERS - super::QUEUE);
}

#[test]
fn tags_are_left_to_others_if_that_is_wanted() {
    let mut bench = bench(Offloads::all() - Offloads::VLAN);
    assert_eq!(bench.device.register(Register::CTRL) & ctrl::VME, 0);
    assert!(!bench.nic.offloads().contains(Offloads::VLAN));
    bench.nic.begin_tx().unwrap();
    bench.nic.commit_tx(60, &[], TxOffload::Complete);
    bench.nic.kick();
    assert_eq!(bench.device.send().unwrap().tag, None);
    receive(&bench.device, 0, 0x23, &[9; 80]);
    let frames = bench.poll(8);
    assert_eq!(frames.len(), 1);
    bench.free(frames);
}
