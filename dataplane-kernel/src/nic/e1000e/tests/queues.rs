//! Two pairs of queues.

use super::super::fake_device::FakeDevice;
use super::super::regs::{self, Queue, Register};
use super::super::{E1000e, Model};
use super::memory;
use crate::mem::mbuf::{Pool, testing};
use crate::nic::{Nic, Offloads, Wanted};
use std::vec::Vec;

const KEY: [u8; 40] = [0x5a; 40];

/// The pairs that a card makes for four cores.
pub(super) fn pairs(model: Model, offloads: Offloads) -> (Vec<E1000e<FakeDevice>>, FakeDevice, Pool) {
    let device = FakeDevice::default();
    let (pairs, pool) = pairs_of(&device, model, offloads);
    (pairs, device, pool)
}

/// The same of this card.
pub(super) fn pairs_of(
    device: &FakeDevice,
    model: Model,
    offloads: Offloads,
) -> (Vec<E1000e<FakeDevice>>, Pool) {
    let pool = testing::pool(1200);
    let wanted = Wanted {
        offloads,
        queues: 4,
        ..Wanted::default()
    };
    let take = |bytes, align| Some(memory(bytes, align));
    let pairs = E1000e::new(device.clone(), model, pool.region(), take, &wanted).unwrap();
    (pairs, pool)
}

#[test]
fn each_pair_has_queues_of_its_own() {
    let (mut pairs, device, mut pool) = pairs(Model::I82574l, Offloads::all());
    assert_eq!(pairs.len(), 2);
    for (number, pair) in (0..).zip(&mut pairs) {
        pair.refill(&mut pool);
        pair.kick();
        let (rx, tx) = (Queue::RX.number(number), Queue::TX.number(number));
        let frame = [u8::try_from(number).unwrap(); 60];
        assert!(device.with(|state| state.receive_at(rx, 0, 0x23, 0, &frame)));
        let mut found = Vec::new();
        pair.poll_rx(8, &mut |part| found.push(part));
        let [part] = &found[..] else { panic!("{found:?}") };
        assert_eq!(pool.region().bytes(part.buf.0, part.offset, part.len), frame);
        assert_eq!(part.checksum, netstack::RxChecksum::Good);
        pair.begin_tx().unwrap()[..60].copy_from_slice(&frame);
        pair.commit_tx(60, &[], Default::default());
        pair.kick();
        assert_eq!(device.with(|state| state.send_at(tx)).unwrap().bytes, frame);
    }
}

#[test]
fn key_and_table_are_what_the_card_reads_them_as() {
    let (mut pairs, device, _) = pairs(Model::I82574l, Offloads::all());
    assert_eq!(
        device.register(Register::MRQC),
        0,
        "all in the first queue, until there is a table"
    );
    assert_eq!(device.register(Register::RFCTL), regs::EXTENDED);
    assert_eq!(
        device.register(Register::RXCSUM) & regs::REPORT_HASH,
        regs::REPORT_HASH
    );
    let table = core::array::from_fn(|group| u8::from(group % 3 == 0));
    assert!(pairs[0].set_table(&KEY, &table));
    assert_eq!(device.register(Register::MRQC), 0x0005_0001);
    for word in 0..10 {
        assert_eq!(device.register(Register::key(word)), 0x5a5a_5a5a);
    }
    assert_eq!(device.register(Register::table(0)), 0x8000_0080);
    assert_eq!(device.register(Register::table(1)), 0x0080_0000);
    assert!(!pairs[1].set_table(&KEY, &table), "the first pair speaks for all");
    device.with(|state| state.gone = true);
    assert!(
        !pairs[0].set_table(&KEY, &table),
        "what is read back is not what was written"
    );
}

#[test]
fn one_pair_is_what_the_other_card_has_and_what_is_left_without_rss() {
    for (model, offloads) in [
        (Model::I82540em, Offloads::all()),
        (Model::I82574l, Offloads::all() - Offloads::RSS),
    ] {
        let (mut pairs, device, _) = pairs(model, offloads);
        assert_eq!(pairs.len(), 1);
        assert!(!pairs[0].set_table(&KEY, &[1; 128]));
        assert_eq!(device.register(Register::MRQC), 0);
    }
}
