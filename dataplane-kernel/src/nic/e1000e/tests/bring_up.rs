//! Reset, address, queues, link, health.

use super::super::fake_device::FakeDevice;
use super::super::init::InitError;
use super::super::regs::{Queue, Register, rctl, tctl};
use super::super::{E1000e, Model};
use super::{Bench, memory};
use crate::mem::mbuf::testing;
use crate::nic::{Health, Nic, Offloads, Wanted};

fn fails(device: &FakeDevice) -> InitError {
    let take = |bytes, align| Some(memory(bytes, align));
    let wanted = Wanted::default();
    E1000e::new(
        device.clone(),
        Model::I82540em,
        testing::pool(4).region(),
        take,
        &wanted,
    )
    .unwrap_err()
}

#[test]
fn a_working_card_is_masked_addressed_and_has_two_empty_queues() {
    let device = FakeDevice::default();
    device.set(Register::multicast(5), 1);
    device.set(Register::CTRL, 1 << 30 | 1 << 11);
    // What Linux leaves: extended descriptors, several queues. QEMU's card keeps it over a reset.
    device.set(Register::RFCTL, 1 << 15);
    device.set(Register::MRQC, 1);
    let take = |bytes, align| Some(memory(bytes, align));
    let wanted = Wanted::default();
    let region = testing::pool(4).region();
    let mut pairs = E1000e::new(device.clone(), Model::I82574l, region, take, &wanted).unwrap();
    let nic = pairs.remove(0);
    assert_eq!(nic.mac(), [0x52, 0x54, 0, 1, 2, 3]);
    assert!(nic.link_up());
    assert_eq!(device.register(Register::IMC), u32::MAX);
    assert_eq!(device.register(Register::CTRL), 1 << 6, "SLU alone");
    assert_eq!(device.register(Register::multicast(5)), 0);
    assert_eq!(device.register(Register::RFCTL), 0);
    assert_eq!(device.register(Register::MRQC), 0);
    assert_eq!(device.register(Queue::TX.control()), 0x0140_0000);
    assert_eq!(
        device.register(Register::RCTL),
        rctl::EN | rctl::MPE | rctl::BAM | rctl::SECRC
    );
    for queue in [Queue::RX, Queue::TX] {
        device.with(|state| {
            assert_eq!((state.size(queue), state.pending(queue)), (512, 0));
            assert!(state.place(queue, 0).is_multiple_of(4096));
        });
    }
}

#[test]
fn offloads_and_long_frames_are_used_as_wanted() {
    let all = Offloads::RX_CHECKSUM | Offloads::TX_CHECKSUM | Offloads::TSO;
    for (offloads, agreed) in [
        (Offloads::all(), all),
        (Offloads::all() - Offloads::TSO, all - Offloads::TSO),
        (Offloads::all() - Offloads::TX_CHECKSUM, Offloads::RX_CHECKSUM),
        (Offloads::empty(), Offloads::empty()),
    ] {
        let wanted = Wanted {
            offloads,
            ..Wanted::default()
        };
        assert_eq!(Bench::wanting(&wanted).nic.offloads(), agreed);
    }
    for (mtu, carried, long) in [
        (None, 1500, 0),
        (Some(1500), 1500, 0),
        (Some(9000), 9000, rctl::LPE),
    ] {
        let wanted = Wanted {
            mtu,
            ..Wanted::default()
        };
        let bench = Bench::wanting(&wanted);
        assert_eq!(bench.nic.mtu(), carried);
        assert_eq!(bench.device.register(Register::RCTL) & rctl::LPE, long);
    }
}

#[test]
fn a_card_that_cannot_be_used_is_named_and_left_idle() {
    let stuck = FakeDevice::default();
    stuck.with(|state| state.stuck = true);
    assert_eq!(fails(&stuck), InitError::NoReset);

    let gone = FakeDevice::default();
    gone.with(|state| state.gone = true);
    assert_eq!(fails(&gone), InitError::NoReset);

    let empty = FakeDevice::default();
    empty.with(|state| state.eeprom_delay = u32::MAX);
    assert_eq!(fails(&empty), InitError::NoAddress);

    for (low, high) in [(0, 0x8000_0000), (1, 0x8000_0000), (u32::MAX, u32::MAX)] {
        let device = FakeDevice::default();
        device.set(Register::RAL, low);
        device.set(Register::RAH, high);
        assert_eq!(fails(&device), InitError::NoAddress);
        assert_eq!(device.register(Register::RCTL) & rctl::EN, 0);
        assert_eq!(device.register(Register::TCTL) & tctl::EN, 0);
    }
}

#[test]
fn memory_that_runs_out_is_an_error() {
    for enough_for in 0..3 {
        let mut left = enough_for;
        let take = |bytes, align| {
            left -= 1;
            (left >= 0).then(|| memory(bytes, align))
        };
        let device = FakeDevice::default();
        let region = testing::pool(4).region();
        let wanted = Wanted::default();
        let made = E1000e::new(device.clone(), Model::I82574l, region, take, &wanted);
        assert_eq!(made.unwrap_err(), InitError::NoMemory);
        assert_eq!(device.register(Register::RCTL), 0);
    }
}

#[test]
fn the_link_is_followed_and_what_the_card_counts_is_added_up() {
    let mut bench = Bench::new();
    bench.device.set(Register::STATUS, 0x8_0081);
    bench.device.set(Register::MPC, 3);
    assert_eq!(bench.nic.check(), Health::LinkDown);
    assert!(!bench.nic.link_up());
    bench.device.set(Register::STATUS, 0x8_0083);
    bench.device.set(Register::MPC, 4);
    bench.device.set(Register::CRCERRS, 1);
    assert_eq!(bench.nic.check(), Health::LinkUp);
    assert_eq!(bench.nic.check(), Health::LinkUp);
    assert_eq!(bench.counter("nic.link_changes"), 2);
    assert_eq!(bench.counter("nic.rx_missed"), 7);
    assert_eq!(bench.counter("nic.rx_crc_errors"), 1);
}
