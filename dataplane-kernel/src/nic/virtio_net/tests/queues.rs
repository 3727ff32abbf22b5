//! Several pairs of queues.

use super::super::VirtioNet;
use super::super::fake_device::FakeDevice;
use super::{CTRL_VQ, MQ, RSS, memory};
use crate::mem::mbuf::{Pool, testing};
use crate::nic::{Nic, Offloads, Wanted};
use netstack::rss::ENTRIES;
use std::vec::Vec;

const KEY: [u8; 40] = [0x6d; 40];

/// As many pairs as are wanted, and their device.
pub(super) fn pairs(features: &[u32], queues: u16) -> (Vec<VirtioNet<FakeDevice>>, FakeDevice, Pool) {
    let device = FakeDevice::offering(features);
    let (pairs, pool) = pairs_of(&device, queues);
    (pairs, device, pool)
}

/// The same of this device.
pub(super) fn pairs_of(device: &FakeDevice, queues: u16) -> (Vec<VirtioNet<FakeDevice>>, Pool) {
    let pool = testing::pool(64 * u32::from(queues));
    let wanted = Wanted {
        queues,
        ..Wanted::default()
    };
    let take = |bytes, align| Some(memory(bytes, align));
    let pairs = VirtioNet::new(device.clone(), pool.region(), take, 7, &wanted).unwrap();
    (pairs, pool)
}

fn commands(device: &FakeDevice) -> Vec<Vec<u8>> {
    device.with(|state| core::mem::take(&mut state.commands))
}

#[test]
fn each_pair_has_queues_of_its_own() {
    let (mut pairs, device, mut pool) = pairs(&[CTRL_VQ, MQ], 3);
    assert_eq!(pairs.len(), 3);
    assert_eq!(commands(&device), [[4, 0, 3, 0]], "VQ_PAIRS_SET");
    for (number, pair) in (0..).zip(&mut pairs) {
        pair.refill(&mut pool);
        pair.kick();
        let frame = [number; 60];
        assert!(device.queue(2 * u16::from(number), |queue| queue.receive(0, &frame)));
        let mut found = Vec::new();
        pair.poll_rx(8, &mut |part| found.push(part));
        let [part] = &found[..] else { panic!("{found:?}") };
        assert_eq!(pool.region().bytes(part.buf.0, part.offset, part.len), frame);
        pair.begin_tx().unwrap()[..60].fill(number);
        pair.commit_tx(60, &[], Default::default());
        pair.kick();
        let sent = device
            .queue(2 * u16::from(number) + 1, |queue| queue.take())
            .unwrap();
        assert_eq!(sent.bytes()[12..], frame);
    }
    assert!(!pairs[0].set_table(&KEY, &[0; ENTRIES]), "it chooses as it likes");
}

#[test]
fn key_and_table_are_told_as_the_specification_wants() {
    let (mut pairs, device, _) = pairs(&[CTRL_VQ, MQ, RSS], 2);
    commands(&device);
    let table = core::array::from_fn(|group| u8::try_from(group % 2).unwrap());
    assert!(pairs[0].set_table(&KEY, &table));
    let told = commands(&device).remove(0);
    assert_eq!(told[..2], [4, 1], "RSS_CONFIG");
    assert_eq!(
        told[2..10],
        [0x36, 0, 0, 0, 127, 0, 0, 0],
        "hashes, mask, unclassified"
    );
    assert!(told[10..10 + 256].chunks(4).all(|two| two == [0, 0, 1, 0]));
    assert_eq!(told[266..269], [2, 0, 40]);
    assert_eq!(told[269..], KEY);
    assert!(!pairs[1].set_table(&KEY, &table), "the first pair speaks for all");
}

#[test]
fn who_has_buffers_again_rings_for_all_where_the_device_chooses() {
    for (features, rung) in [(&[CTRL_VQ, MQ][..], 1), (&[CTRL_VQ, MQ, RSS], 3)] {
        let (mut pairs, device, mut pool) = pairs(features, 3);
        pairs[1].refill(&mut pool);
        pairs[1].kick();
        assert_eq!(device.with(|state| state.rx_doorbells), rung, "{features:?}");
        assert!(
            pairs[1]
                .counters()
                .any(|counter| counter == ("nic.rx_doorbells", 1))
        );
    }
}

#[test]
fn a_device_that_lacks_something_has_fewer_pairs_or_leaves_the_choice_to_us() {
    for (features, count) in [
        (&[][..], 1),
        (&[MQ], 1),
        (&[CTRL_VQ], 1),
        (&[CTRL_VQ, RSS], 1),
        (&[CTRL_VQ, MQ], 8),
    ] {
        let (pairs, device, _) = pairs(features, 12);
        assert_eq!(pairs.len(), count, "{features:?}");
        assert_eq!(commands(&device).is_empty(), count == 1);
    }
    for (at, value) in [(17, 39), (18, 127), (20, 0x9)] {
        let device = FakeDevice::offering(&[CTRL_VQ, MQ, RSS]);
        device.with(|state| state.config[at] = value);
        let (pool, wanted) = (
            testing::pool(4),
            Wanted {
                queues: 2,
                ..Wanted::default()
            },
        );
        let take = |bytes, align| Some(memory(bytes, align));
        let mut pairs = VirtioNet::new(device, pool.region(), take, 7, &wanted).unwrap();
        assert!(
            pairs.len() == 2 && !pairs[0].set_table(&KEY, &[0; ENTRIES]),
            "{at}: {value}"
        );
    }
}

#[test]
fn the_choice_is_ours_if_it_is_wanted_so() {
    let (device, pool) = (FakeDevice::offering(&[CTRL_VQ, MQ, RSS]), testing::pool(4));
    let wanted = Wanted {
        queues: 2,
        offloads: Offloads::all() - Offloads::RSS,
        ..Wanted::default()
    };
    let take = |bytes, align| Some(memory(bytes, align));
    let mut pairs = VirtioNet::new(device, pool.region(), take, 7, &wanted).unwrap();
    assert!(!pairs[0].set_table(&KEY, &[0; ENTRIES]));
    assert!(pairs[1].offloads().is_empty());
}

#[test]
fn a_device_that_refuses_or_never_answers_is_not_believed_to_follow() {
    for answer in [Some(1), None] {
        let (mut pairs, device, _) = pairs(&[CTRL_VQ, MQ, RSS], 2);
        device.with(|state| state.answer = answer);
        commands(&device);
        assert!(!pairs[0].set_table(&KEY, &[0; ENTRIES]));
        assert!(!pairs[0].set_table(&KEY, &[0; ENTRIES]));
        let asked = if answer.is_some() { 2 } else { 1 };
        assert_eq!(
            commands(&device).len(),
            asked,
            "one who never answered is not asked again"
        );
    }
}
