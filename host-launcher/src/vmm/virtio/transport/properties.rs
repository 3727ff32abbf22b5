//! The transport under accesses of any kind, against what the specification promises of it.

use super::tests::{Event, FEATURES, bench};
use crate::vmm::virtio::testing::{Guest, Ring, VERSION_1};
use proptest::prelude::*;

/// What a driver does to the registers.
#[derive(Clone, Debug)]
enum Access {
    Write { offset: u64, data: Vec<u8> },
    Read { offset: u64, len: usize },
    Status(u8),
    Accept(u64),
    Enable { queue: u16, ring: u64, size: u16 },
}

fn access() -> impl Strategy<Value = Access> {
    let data = prop::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 1..=8);
    let status = prop_oneof![Just(0), Just(1), Just(3), Just(0xb), Just(0xf), any::<u8>()];
    let features = prop_oneof![Just(VERSION_1), Just(FEATURES), Just(0), any::<u64>()];
    let ring = prop_oneof![6 => Just(0x1_0000_u64), 1 => any::<u64>()];
    let size = prop_oneof![6 => Just(64_u16), 1 => any::<u16>()];
    prop_oneof![
        3 => (0..0x5000_u64, data).prop_map(|(offset, data)| Access::Write { offset, data }),
        2 => (0..0x5000_u64, 1..=8_usize).prop_map(|(offset, len)| Access::Read { offset, len }),
        4 => status.prop_map(Access::Status),
        2 => features.prop_map(Access::Accept),
        4 => (0..3_u16, ring, size).prop_map(|(queue, ring, size)| Access::Enable { queue, ring, size }),
    ]
}

fn follow(guest: &mut Guest, access: Access) {
    match access {
        Access::Write { offset, data } => guest.write(guest.common + offset, &data),
        Access::Read { offset, len } => {
            let mut data = vec![0; len];
            guest.root.memory_read(guest.common + offset, &mut data);
        }
        Access::Status(status) => guest.set_status(status),
        Access::Accept(features) => guest.accept(features),
        Access::Enable { queue, ring, size } => {
            let mut wanted = Ring::new(&guest.memory, 0x1_0000, 64);
            (wanted.descriptors, wanted.size) = (ring, size);
            guest.enable(queue, &wanted);
        }
    }
}

proptest! {
    #[test]
    fn a_device_runs_only_for_a_driver_that_agreed_and_never_twice(accesses in prop::collection::vec(access(), 1..80)) {
        let (mut guest, told, _) = bench();
        let mut running = false;
        for access in accesses {
            let before = guest.status();
            follow(&mut guest, access.clone());
            let after = guest.status();
            // Section 2.1: bits go by a reset only.
            prop_assert!(after == 0 || after & before == before, "{before:#x} to {after:#x} by {access:?}");
            prop_assert!(after & 4 == 0 || after & 8 != 0, "ready without having agreed: {after:#x}");
            for event in told.take() {
                match event {
                    Event::Started(features, sizes) => {
                        prop_assert!(!running, "started twice");
                        prop_assert!(features & !FEATURES == 0 && features & VERSION_1 != 0);
                        prop_assert!(sizes.iter().all(|size| size.is_power_of_two() && *size <= 256));
                        running = true;
                    }
                    Event::Stopped => {
                        prop_assert!(running, "stopped twice");
                        running = false;
                    }
                }
            }
            prop_assert!(!running || after & 4 != 0, "it runs with status {after:#x}");
            prop_assert!(running || after & 0xc4 != 4, "it does not run with status {after:#x}");
        }
        guest.set_status(0);
        prop_assert_eq!(guest.status(), 0);
        guest.bring_up(VERSION_1, 64);
        prop_assert_eq!(guest.status(), 0xf);
    }
}
