//! Reset, revision, address, shared area, link, health.

use super::super::Vmxnet3;
use super::super::fake_device::FakeDevice;
use super::super::init::InitError;
use super::super::regs::Register;
use super::{Bench, JUMBO, ORDINARY, memory};
use crate::hw::dma::testing::device_read;
use crate::mem::mbuf::testing;
use crate::nic::{Health, Nic, Offloads, Wanted};

fn fails(device: &FakeDevice) -> InitError {
    let take = |bytes, align| Some(memory(bytes, align));
    let region = testing::pool(4).region();
    let failed = Vmxnet3::new(device.clone(), region, take, &ORDINARY).unwrap_err();
    assert!(device.with(|state| state.active.is_none()));
    failed
}

/// What the shared area says at this offset.
fn area<const N: usize>(bench: &Bench, offset: u64) -> [u8; N] {
    let at = bench.device.with(|state| state.area());
    device_read(at + offset, N).try_into().unwrap()
}

#[test]
fn a_working_device_has_an_address_a_filter_and_two_empty_queues() {
    let bench = Bench::new();
    assert_eq!(bench.nic.mac(), [0x52, 0x54, 0, 1, 2, 3]);
    assert!(bench.nic.link_up());
    assert_eq!(area(&bench, 108), 1_u32.to_le_bytes(), "all interrupts masked");
    assert_eq!(area(&bench, 81), [1], "but there is one");
    let rx_mode = bench.device.with(|state| state.rx_mode);
    assert_eq!(rx_mode, 0b1101, "ours, to all, to groups");
    assert_eq!(area(&bench, 136), [0xff; 512], "of all VLANs");
    assert_eq!(bench.device.pending(), [0; 3]);
    bench.device.with(|state| {
        let active = state.active.as_ref().unwrap();
        let sizes = [&active.tx, &active.tx_done, &active.rx[0], &active.rx[1]].map(|ring| ring.size);
        assert_eq!((sizes, active.rx_done.size), ([512, 512, 512, 32], 1024));
        assert_eq!(state.registers[&Register::MACH], 0x0302);
    });
}

#[test]
fn offloads_and_long_frames_are_used_as_wanted() {
    let all = Offloads::RX_CHECKSUM | Offloads::TX_CHECKSUM | Offloads::TSO | Offloads::LRO;
    for (offloads, agreed, features) in [
        (Offloads::all(), all, 0b1001),
        (Offloads::all() - Offloads::TSO, all - Offloads::TSO, 0b1001),
        (
            Offloads::all() - Offloads::TX_CHECKSUM,
            Offloads::RX_CHECKSUM | Offloads::LRO,
            0b1001,
        ),
        (
            Offloads::all() - Offloads::RX_CHECKSUM,
            Offloads::TX_CHECKSUM | Offloads::TSO,
            0,
        ),
        (Offloads::all() - Offloads::LRO, all - Offloads::LRO, 1),
        (Offloads::empty(), Offloads::empty(), 0_u64),
    ] {
        let wanted = Wanted {
            offloads,
            ..Wanted::default()
        };
        let bench = Bench::wanting(&wanted);
        assert_eq!(bench.nic.offloads(), agreed);
        assert_eq!(bench.device.with(|state| state.features), features);
    }
    for (wanted, mtu, parts) in [
        (ORDINARY, 1500_u32, 1_u16),
        (JUMBO, 9000, 5),
        (Wanted::default(), 1500, 34),
    ] {
        let bench = Bench::wanting(&wanted);
        assert_eq!(u32::from(bench.nic.mtu()), mtu);
        assert_eq!(area(&bench, 56), mtu.to_le_bytes());
        assert_eq!(area(&bench, 60), parts.to_le_bytes());
    }
}

#[test]
fn a_device_that_cannot_be_used_is_named_and_left_idle() {
    let gone = FakeDevice::default();
    gone.with(|state| state.gone = true);
    assert_eq!(fails(&gone), InitError::Gone);

    for register in [Register::VRRS, Register::UVRS] {
        let other = FakeDevice::default();
        other.with(|state| state.registers.insert(register, 2));
        assert_eq!(fails(&other), InitError::Revision);
    }
    for mac in [[0; 6], [1, 0, 0, 0, 0, 1], [0xff; 6]] {
        let device = FakeDevice::default();
        device.with(|state| state.mac = mac);
        assert_eq!(fails(&device), InitError::NoAddress);
    }
    let refusing = FakeDevice::default();
    refusing.with(|state| state.refusal = 0x8000_0001);
    assert_eq!(fails(&refusing), InitError::Refused(0x8000_0001));
}

#[test]
fn memory_that_runs_out_is_an_error() {
    for enough_for in 0..7 {
        let mut left = enough_for;
        let take = |bytes, align| {
            left -= 1;
            (left >= 0).then(|| memory(bytes, align))
        };
        let device = FakeDevice::default();
        let region = testing::pool(4).region();
        let made = Vmxnet3::new(device.clone(), region, take, &ORDINARY);
        assert_eq!(made.unwrap_err(), InitError::NoMemory);
        assert!(device.with(|state| state.active.is_none()));
    }
}

#[test]
fn the_link_is_followed_and_what_the_device_counts_is_shown() {
    let mut bench = Bench::new();
    bench.device.with(|state| {
        state.link_up = false;
        state.failures = [1, 2, 3, 4];
        state.raise(4);
    });
    assert_eq!(bench.nic.check(), Health::LinkDown);
    assert!(!bench.nic.link_up());
    assert_eq!(area(&bench, 696), [0; 4], "the event of the link is acknowledged");
    bench.device.with(|state| state.link_up = true);
    assert_eq!(bench.nic.check(), Health::LinkUp);
    assert_eq!(bench.nic.check(), Health::LinkUp);
    assert_eq!(bench.counter("nic.link_changes"), 2);
    let names = [
        "nic.tx_errors",
        "nic.tx_discarded",
        "nic.rx_missed",
        "nic.rx_errors",
    ];
    assert_eq!(names.map(|name| bench.counter(name)), [1, 2, 3, 4]);
}

#[test]
fn what_a_forwarder_wants_is_changed_while_it_works_and_holds_over_a_reset() {
    let mut bench = Bench::wanting(&Wanted::default());
    assert!(bench.nic.stop_merging() && bench.nic.hear_all_stations());
    assert!(!bench.nic.offloads().contains(Offloads::LRO));
    for resets in 0..2 {
        let said = bench.device.with(|state| (state.features, state.rx_mode));
        assert_eq!(said, (1, 0b1_1101));
        assert_eq!(bench.counter("nic.resets"), resets);
        bench.device.with(|state| {
            state.active = None;
            (state.features, state.rx_mode) = (0, 0);
        });
        assert_eq!(bench.nic.check(), Health::LinkUp);
    }
}
