//! The transport as a driver meets it, with a device that only remembers what it was told.

use crate::vmm::virtio::testing::{EVENT_IDX, Guest, Ring, VERSION_1, ram};
use crate::vmm::virtio::{Device, DeviceError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use virtio_queue::{Queue, QueueT};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

pub(super) const FEATURES: u64 = VERSION_1 | EVENT_IDX | 1 << 5;

/// What happened to the device: the features and queue sizes it was started with, or a stop.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Started(u64, Vec<u16>),
    Stopped,
}

#[derive(Clone, Default)]
pub(super) struct Told {
    events: Arc<Mutex<Vec<Event>>>,
    failed: Arc<AtomicBool>,
    refuses: Arc<AtomicBool>,
}

impl Told {
    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

struct FakeDevice {
    told: Told,
    kicks: Vec<EventFd>,
    calls: Vec<EventFd>,
}

impl Device for FakeDevice {
    fn id(&self) -> u16 {
        1
    }

    fn class(&self) -> [u8; 3] {
        [2, 0, 0]
    }

    fn features(&self) -> u64 {
        FEATURES
    }

    fn queue_max(&self) -> u16 {
        256
    }

    fn kicks(&self) -> &[EventFd] {
        &self.kicks
    }

    fn calls(&self) -> &[EventFd] {
        &self.calls
    }

    fn config(&self) -> &[u8] {
        &[1, 2, 3, 4, 5, 6]
    }

    fn start(&mut self, features: u64, queues: Vec<Option<Queue>>) -> Result<(), DeviceError> {
        let queues: Option<Vec<_>> = queues.into_iter().collect();
        let queues = queues.filter(|_| !self.told.refuses.load(Ordering::Relaxed));
        let queues = queues.ok_or_else(|| DeviceError("it refuses".into()))?;
        let sizes = queues.iter().map(QueueT::size).collect();
        self.told
            .events
            .lock()
            .unwrap()
            .push(Event::Started(features, sizes));
        Ok(())
    }

    fn stop(&mut self) {
        self.told.events.lock().unwrap().push(Event::Stopped);
    }

    fn failed(&self) -> bool {
        self.told.failed.load(Ordering::Relaxed)
    }
}

pub(super) fn bench() -> (Guest, Told, Vec<EventFd>) {
    let kicks: Vec<_> = (0..2).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect();
    let heard = kicks.iter().map(|kick| kick.try_clone().unwrap()).collect();
    let told = Told::default();
    let device = FakeDevice {
        told: told.clone(),
        calls: (0..2).map(|_| EventFd::new(EFD_NONBLOCK).unwrap()).collect(),
        kicks,
    };
    (Guest::boot(device, ram()), told, heard)
}

#[test]
fn a_driver_brings_the_device_up_and_resets_it() {
    let (mut guest, told, _) = bench();
    assert_eq!(guest.pci::<4>(0), [0xf4, 0x1a, 0x41, 0x10]);
    assert_eq!(guest.pci::<4>(8), [1, 0, 0, 2]);
    assert_eq!(guest.offered(), FEATURES);
    assert_eq!(u16::from_le_bytes(guest.read(guest.common + 0x12)), 2);
    assert_eq!(u16::from_le_bytes(guest.read(guest.common + 0x18)), 256);
    guest.bring_up(VERSION_1 | EVENT_IDX, 128);
    assert_eq!(guest.status(), 0xf);
    assert_eq!(
        told.take(),
        [Event::Started(VERSION_1 | EVENT_IDX, vec![128, 128])]
    );
    assert_eq!(u16::from_le_bytes(guest.read(guest.common + 0x1c)), 1);

    guest.set_status(0);
    assert_eq!((guest.status(), told.take()), (0, vec![Event::Stopped]));
    assert_eq!(u16::from_le_bytes(guest.read(guest.common + 0x1c)), 0);
    assert_eq!(u16::from_le_bytes(guest.read(guest.common + 0x18)), 256);
    guest.bring_up(VERSION_1, 256);
    assert_eq!(told.take(), [Event::Started(VERSION_1, vec![256, 256])]);
}

#[test]
fn features_that_are_not_offered_or_not_modern_are_refused() {
    let (mut guest, told, _) = bench();
    for wrong in [0, EVENT_IDX, VERSION_1 | 1, VERSION_1 | 1 << 33, u64::MAX] {
        guest.set_status(0);
        guest.set_status(3);
        guest.accept(wrong);
        guest.set_status(0xb);
        assert_eq!(guest.status(), 3, "{wrong:#x}");
        guest.set_status(0xf);
        assert_eq!(guest.status(), 3, "{wrong:#x}: it does not start either");
    }
    assert_eq!(told.take(), []);
}

#[test]
fn what_was_agreed_on_stays() {
    let (mut guest, told, _) = bench();
    guest.negotiate(VERSION_1);
    guest.accept(VERSION_1 | EVENT_IDX);
    let ring = Ring::new(&guest.memory, 0x1_0000, 64);
    guest.enable(0, &ring);
    guest.enable(0, &Ring::new(&guest.memory, 0x2_0000, 32));
    guest.enable(1, &ring);
    guest.write(guest.common + 0x1c, &0_u16.to_le_bytes());
    guest.set_status(0xf);
    guest.enable(0, &Ring::new(&guest.memory, 0x2_0000, 32));
    assert_eq!(told.take(), [Event::Started(VERSION_1, vec![64, 64])]);
    guest.set_status(1);
    assert_eq!(guest.status(), 0xf, "bits do not go but by a reset");
    assert_eq!(told.take(), []);
}

#[test]
fn queues_that_are_none_need_a_reset() {
    let (mut guest, told, _) = bench();
    let good = Ring::new(&guest.memory, 0x1_0000, 64);
    let size = |size| Ring { size, ..good.clone() };
    let wrong = [
        size(0),
        size(100),
        size(512),
        Ring {
            descriptors: good.descriptors + 8,
            ..good.clone()
        },
        Ring {
            available: 0xe000_0000,
            ..good.clone()
        },
        Ring {
            used: u64::MAX - 3,
            ..good.clone()
        },
    ];
    for wrong in &wrong {
        guest.negotiate(VERSION_1);
        guest.enable(0, &good);
        guest.enable(1, wrong);
        guest.set_status(0xf);
        assert_eq!(guest.status(), 0x4f);
        assert_eq!(guest.read::<1>(guest.isr), [2]);
        assert_eq!(guest.read::<1>(guest.isr), [0], "reading clears");
    }
    guest.negotiate(VERSION_1);
    guest.enable(0, &good);
    guest.set_status(0xf);
    assert_eq!(guest.status(), 0x4f, "one is not enabled");
    assert_eq!(told.take(), []);
    guest.bring_up(VERSION_1, 64);
    assert_eq!(guest.status(), 0xf);
}

#[test]
fn a_device_that_fails_or_does_not_start_needs_a_reset() {
    let (mut guest, told, _) = bench();
    guest.bring_up(VERSION_1, 64);
    told.failed.store(true, Ordering::Relaxed);
    assert_eq!(guest.status(), 0x4f);
    told.failed.store(false, Ordering::Relaxed);
    told.refuses.store(true, Ordering::Relaxed);
    guest.bring_up(VERSION_1, 64);
    assert_eq!(guest.status(), 0x4f);
}

#[test]
fn without_the_right_to_memory_the_device_does_not_run() {
    let (mut guest, told, _) = bench();
    guest.bring_up(VERSION_1, 64);
    told.take();
    guest.switch(2);
    assert_eq!((guest.status(), told.take()), (0x4f, vec![Event::Stopped]));
    guest.bring_up(VERSION_1, 64);
    assert_eq!((guest.status(), told.take()), (0x4f, vec![]));
    guest.switch(6);
    guest.bring_up(VERSION_1, 64);
    assert_eq!(guest.status(), 0xf);
}

#[test]
fn a_driver_that_gives_up_has_its_memory_to_itself() {
    let (mut guest, told, _) = bench();
    guest.bring_up(VERSION_1, 64);
    guest.set_status(0x80);
    assert_eq!(guest.status(), 0x8f);
    assert_eq!(told.take().last(), Some(&Event::Stopped));
}

#[test]
fn doorbells_follow_the_bar_and_writes_that_reach_us_are_heard_too() {
    let (mut guest, _, heard) = bench();
    let bar = guest.bar();
    let bells = |guest: &Guest| guest.doorbells.0.lock().unwrap().clone();
    assert_eq!(bells(&guest), [bar + 0x3000, bar + 0x3004]);
    guest.ring_doorbell(1);
    assert!(heard[0].read().is_err() && heard[1].read().is_ok());
    guest.ring_doorbell(2);
    assert!(heard.iter().all(|kick| kick.read().is_err()));

    guest.pci_write(0x10, &0xe800_0000_u32.to_le_bytes());
    guest.pci_write(0x14, &0_u32.to_le_bytes());
    assert_eq!(bells(&guest), [0xe800_3000, 0xe800_3004]);
    guest.switch(4);
    assert_eq!(bells(&guest), [0; 0]);
}

#[test]
fn registers_can_be_reached_through_configuration_space() {
    let (mut guest, told, heard) = bench();
    guest.bring_up(VERSION_1, 64);
    told.take();
    guest.switch(4);
    assert_eq!(
        guest.read::<1>(guest.common + 0x14),
        [0xff],
        "memory is switched off"
    );
    let window = guest.window;
    let place = |guest: &mut Guest, bar: u8, offset: u32, len: u32| {
        guest.pci_write(window + 4, &[bar]);
        guest.pci_write(window + 8, &offset.to_le_bytes());
        guest.pci_write(window + 12, &len.to_le_bytes());
    };
    place(&mut guest, 0, 0x14, 1);
    assert_eq!(guest.pci::<1>(window + 16), [0xf]);
    place(&mut guest, 0, 0x2000, 4);
    assert_eq!(guest.pci::<4>(window + 16), [1, 2, 3, 4]);
    place(&mut guest, 0, 0x2004, 2);
    assert_eq!(guest.pci::<2>(window + 16), [5, 6]);
    place(&mut guest, 0, 0x3004, 2);
    guest.pci_write(window + 16, &[1, 0]);
    assert!(heard[1].read().is_ok());
    for (bar, offset, len) in [
        (1, 0x14, 1),
        (0, 0x14, 3),
        (0, 0x4000, 4),
        (0, 0x3fff, 2),
        (0, u32::MAX, 1),
        (0, 0x14, 0),
    ] {
        place(&mut guest, bar, offset, len);
        guest.pci_write(window + 16, &[0; 4]);
        guest.pci::<4>(window + 16);
    }
    assert_eq!(told.take(), [], "none of these was a write to the status");
    place(&mut guest, 0, 0x14, 1);
    guest.pci_write(window + 16, &[0]);
    assert_eq!(told.take(), [Event::Stopped]);
}

#[test]
fn fields_are_there_only_as_a_whole() {
    let (mut guest, _, _) = bench();
    assert_eq!(guest.read::<4>(guest.common + 0x14), [0xff; 4]);
    assert_eq!(guest.read::<2>(guest.common + 4), [0xff; 2]);
    assert_eq!(guest.read::<8>(guest.common + 0x20), [0xff; 8]);
    assert_eq!(guest.read::<4>(guest.common + 0x38), [0xff; 4]);
    assert_eq!(guest.read::<4>(guest.config + 4), [5, 6, 0xff, 0xff]);
    guest.write(guest.common + 0x20, &[0xff; 8]);
    guest.write(guest.common + 0x14, &[1, 0]);
    assert_eq!(guest.read::<4>(guest.common + 0x20), [0; 4]);
    assert_eq!(guest.status(), 0);
    guest.select(7);
    assert_eq!(guest.read::<2>(guest.common + 0x18), [0; 2]);
    guest.write(guest.common + 0x18, &[1, 0]);
    for select in [2_u32, u32::MAX] {
        guest.write(guest.common, &select.to_le_bytes());
        guest.write(guest.common + 8, &select.to_le_bytes());
        guest.write(guest.common + 12, &[0xff; 4]);
        assert_eq!(guest.read::<4>(guest.common + 4), [0; 4]);
        assert_eq!(guest.read::<4>(guest.common + 12), [0; 4]);
    }
}
