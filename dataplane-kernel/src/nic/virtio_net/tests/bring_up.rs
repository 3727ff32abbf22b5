//! Reset, features, queues, configuration, health.

use super::super::fake_device::FakeDevice;
use super::super::init::InitError;
use super::super::regs::status;
use super::super::{VirtioNet, init};
use super::{Bench, CSUM, EVENT_IDX, GUEST_CSUM, GUEST_TSO, HOST_TSO, MAC, MRG_RXBUF, MTU, STATUS, memory};
use crate::mem::mbuf::testing;
use crate::nic::{Health, Nic, Offloads, Wanted};

/// What a device with one pair can do.
const ONE_QUEUE: Offloads = Offloads::all().difference(Offloads::RSS.union(Offloads::VLAN));

fn fails(device: FakeDevice) -> InitError {
    let pool = testing::pool(4);
    VirtioNet::new(
        device,
        pool.region(),
        |bytes, align| Some(memory(bytes, align)),
        7,
        &Wanted::default(),
    )
    .unwrap_err()
}

#[test]
fn only_known_features_are_accepted() {
    let unknown = [2, 9, 17, 24, 28, 33, 34, 40];
    let bench = Bench::of(FakeDevice::offering(
        &[&unknown[..], &[CSUM, MAC, STATUS, EVENT_IDX]].concat(),
    ));
    bench.device.with(|state| {
        assert_eq!(
            state.accepted,
            1 << 32 | 1 << 33 | 1 << EVENT_IDX | 1 << STATUS | 1 << MAC | 1 << CSUM
        );
        assert_eq!(state.status, init::WORKING);
    });
    assert_eq!(bench.nic.offloads(), Offloads::TX_CHECKSUM);
}

#[test]
fn a_device_that_cannot_be_used_is_named_and_left_failed() {
    let legacy = FakeDevice::default();
    legacy.with(|state| state.offered = 1 << MAC);
    assert_eq!(fails(legacy.clone()), InitError::NotModern);
    legacy.with(|state| assert_eq!(state.status, status::FAILED));

    let stuck = FakeDevice::default();
    stuck.with(|state| state.stuck = true);
    assert_eq!(fails(stuck), InitError::NoReset);

    let stubborn = FakeDevice::offering(&[MAC]);
    stubborn.with(|state| state.refuse_features = true);
    assert_eq!(fails(stubborn), InitError::FeaturesRefused(1 << 32 | 1 << MAC));

    for (queue, size) in [(0, 0), (1, 0), (0, 8), (1, 100)] {
        let device = FakeDevice::default();
        device.with(|state| state.queue_sizes[usize::from(queue)] = size);
        assert_eq!(fails(device), InitError::Queue { queue, size });
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
        let made = VirtioNet::new(
            FakeDevice::default(),
            testing::pool(4).region(),
            take,
            7,
            &Wanted::default(),
        );
        assert_eq!(made.unwrap_err(), InitError::NoMemory);
    }
}

#[test]
fn the_address_comes_from_the_device_or_is_made_up() {
    assert_eq!(Bench::new(&[MAC]).nic.mac(), [0x52, 0x54, 0, 1, 2, 3]);
    let made_up = Bench::new(&[]).nic.mac();
    assert_eq!(
        made_up[0] & 3,
        2,
        "locally administered, not a group: {made_up:x?}"
    );
}

#[test]
fn the_mtu_is_agreed_on_only_if_it_is_wanted_and_frames_fit() {
    for (merges, wanted, configured, accepted, used) in [
        (false, None, 1500, true, 1500),
        (false, None, 1400, true, 1400),
        (false, None, 9000, false, 1500),
        (false, None, 0, false, 1500),
        (false, Some(9000), 9000, false, 1500),
        (true, None, 9000, false, 1500),
        (true, Some(9000), 9000, true, 9000),
        (true, Some(9000), 1500, true, 1500),
        (true, Some(4000), 9000, false, 4000),
        (true, Some(9000), 65_535, false, 9000),
    ] {
        let features = [MTU, MRG_RXBUF];
        let device = FakeDevice::offering(&features[..1 + usize::from(merges)]);
        device.with(|state| state.config[10..12].copy_from_slice(&u16::to_le_bytes(configured)));
        let bench = Bench::wanting(
            device,
            &Wanted {
                mtu: wanted,
                ..Wanted::default()
            },
        );
        assert_eq!(
            bench.device.with(|state| state.accepted >> MTU & 1 == 1),
            accepted,
            "{wanted:?} of {configured}"
        );
        assert_eq!(bench.nic.mtu(), used, "{wanted:?} of {configured}");
    }
}

#[test]
fn offloads_are_used_if_the_device_has_them_whole_and_they_are_wanted() {
    let both = |[four, six]: [u32; 2]| [four, six];
    let all = [
        &[CSUM, GUEST_CSUM, MRG_RXBUF][..],
        &both(HOST_TSO),
        &both(GUEST_TSO),
    ]
    .concat();
    let agreed = |offered: &[u32], offloads| {
        let wanted = Wanted {
            offloads,
            ..Wanted::default()
        };
        Bench::wanting(FakeDevice::offering(offered), &wanted)
            .nic
            .offloads()
    };
    assert_eq!(agreed(&all, ONE_QUEUE), ONE_QUEUE);
    for one in ONE_QUEUE.iter() {
        let left = agreed(&all, ONE_QUEUE - one);
        let needs_it = match one {
            Offloads::RX_CHECKSUM => Offloads::LRO,
            Offloads::TX_CHECKSUM => Offloads::TSO,
            _ => Offloads::empty(),
        };
        assert_eq!(left, ONE_QUEUE - one - needs_it, "without {one:?}");
    }
    for (missing, gone) in [
        (MRG_RXBUF, Offloads::LRO),
        (HOST_TSO[1], Offloads::TSO),
        (HOST_TSO[0], Offloads::TSO),
        (GUEST_TSO[0], Offloads::LRO),
        (CSUM, Offloads::TX_CHECKSUM | Offloads::TSO),
    ] {
        let offered: std::vec::Vec<_> = all.iter().copied().filter(|bit| *bit != missing).collect();
        assert_eq!(agreed(&offered, ONE_QUEUE), ONE_QUEUE - gone, "{missing}");
    }
}

#[test]
fn the_link_is_followed() {
    let mut bench = Bench::new(&[STATUS]);
    assert!(bench.nic.link_up());
    bench.device.with(|state| state.config[6] = 0);
    assert_eq!(bench.nic.check(), Health::LinkDown);
    assert!(!bench.nic.link_up());
    bench.device.with(|state| state.config[6] = 1);
    assert_eq!(bench.nic.check(), Health::LinkUp);
    assert_eq!(bench.counter("nic.link_changes"), 2);

    let mut silent = Bench::new(&[GUEST_CSUM]);
    silent.device.with(|state| state.config[6] = 0);
    assert_eq!(silent.nic.check(), Health::LinkUp);
}
