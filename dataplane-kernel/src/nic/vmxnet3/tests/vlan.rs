//! Tags that the device inserts and takes off.

use super::super::fake_device::GOOD;
use super::{BODIES, BUFFERS, Bench, HEADS, JUMBO};
use crate::nic::{Nic, Offloads, Wanted};
use netstack::TxOffload;
use netstack::wire::vlan::VlanId;

/// On VLAN 7.
fn bench(offloads: Offloads) -> Bench {
    Bench::receiving(&Wanted {
        offloads,
        vlan: VlanId::new(7),
        ..JUMBO
    })
}

fn tag(control: u64) -> u64 {
    1 << 15 | control << 16 | GOOD
}

#[test]
fn a_frame_says_once_that_it_gets_a_tag() {
    let mut bench = bench(JUMBO.offloads);
    assert!(bench.nic.offloads().contains(Offloads::VLAN) && !bench.nic.offloads().contains(Offloads::TSO));
    for len in [60, 5000] {
        bench.nic.begin_tx().unwrap()[..len].fill(1);
        bench.nic.commit_tx(len, &[], TxOffload::Complete);
        bench.nic.kick();
        let sent = bench.device.send().unwrap();
        assert_eq!((sent.tag(), sent.bytes.len()), (Some(7), len));
    }
}

#[test]
fn only_frames_of_the_vlan_come_up() {
    let mut bench = bench(JUMBO.offloads);
    for len in [80, 5000] {
        let (ours, others) = ([tag(7), tag(0xe007)], [tag(8), tag(0xe000), GOOD]);
        for flags in ours.into_iter().chain(others) {
            assert!(
                bench
                    .device
                    .with(|state| state.receive(flags, &std::vec![9; len]))
            );
        }
        let parts = bench.poll(32);
        assert_eq!(parts.iter().filter(|part| !part.continues).count(), ours.len());
        bench.free(parts);
    }
    assert_eq!(bench.counter("nic.rx_vlan_not_ours"), 6);
    bench.post();
    assert_eq!(bench.pool.available(), BUFFERS - HEADS - BODIES);
}

#[test]
fn tags_are_left_to_others_if_that_is_wanted() {
    let mut bench = bench(JUMBO.offloads - Offloads::VLAN);
    assert!(!bench.nic.offloads().contains(Offloads::VLAN));
    bench.nic.begin_tx().unwrap();
    bench.nic.commit_tx(60, &[], TxOffload::Complete);
    bench.nic.kick();
    assert_eq!(bench.device.send().unwrap().tag(), None);
    assert!(bench.device.receive(&[9; 80]));
    assert_eq!(bench.poll(8).len(), 1);
}
