mod fake;

use super::passthrough::Passthrough;
use crate::vmm::pci::{DecodedBar, Function, Root, Windows};
use fake::{Deed, FakeCard};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

type Deeds = Arc<Mutex<Vec<Deed>>>;

fn passthrough(card: FakeCard) -> (Passthrough<FakeCard>, Deeds) {
    let deeds = Arc::clone(&card.deeds);
    let passthrough = Passthrough::new(card).unwrap();
    deeds.lock().unwrap().clear();
    (passthrough, deeds)
}

fn read<const N: usize>(function: &mut impl Function, offset: u16) -> [u8; N] {
    let mut data = [0; N];
    function.config_read(offset, &mut data);
    data
}

fn command(bits: u16) -> Deed {
    Deed::Config(4, bits.to_le_bytes().to_vec())
}

#[test]
fn a_card_starts_with_memory_on_and_without_the_right_to_touch_memory() {
    let mut card = FakeCard::virtio();
    card.set(4, &[0x47, 0x01]);
    let deeds = Arc::clone(&card.deeds);
    drop(Passthrough::new(card).unwrap());
    let expected = [Deed::Map(4, 0..0x4000), command(0x0542)];
    assert_eq!(*deeds.lock().unwrap(), expected);
}

#[test]
fn the_guest_sees_the_card_without_what_it_does_not_need() {
    let (mut card, _) = passthrough(FakeCard::virtio());
    assert_eq!(read(&mut card, 0), [0xf4, 0x1a, 0x41, 0x10]);
    assert_eq!(read(&mut card, 8), [1, 0, 0, 2]);
    assert_eq!(read(&mut card, 0x2c), [0xf4, 0x1a, 0, 0x11]);
    let mut kinds = Vec::new();
    let [mut at] = read(&mut card, 0x34);
    while at != 0 {
        let [id, next, len, kind] = read(&mut card, at.into());
        let mut body = vec![0; usize::from(len)];
        (0..len).for_each(|i| body[usize::from(i)] = read::<1>(&mut card, u16::from(at + i))[0]);
        kinds.push((id, kind, body[4], body[9], len));
        at = next;
    }
    assert_eq!(
        kinds,
        [
            (9, 1, 4, 0x10, 16),
            (9, 2, 4, 0x20, 20),
            (9, 3, 4, 0x30, 16),
            (9, 4, 4, 0x40, 16)
        ]
    );
}

#[test]
fn a_card_of_another_vendor_shows_no_capability() {
    let mut card = FakeCard::virtio();
    card.set(0, &0x8086_u16.to_le_bytes());
    let (mut card, _) = passthrough(card);
    assert_eq!(read(&mut card, 0x34), [0]);
    assert_eq!(read::<2>(&mut card, 6)[0] & 0x10, 0);
}

#[test]
fn a_list_that_bites_its_tail_ends() {
    let mut card = FakeCard::virtio();
    card.set(0x99, &[0x54]);
    passthrough(card.clone());
    card.set(0x34, &[0xff]);
    passthrough(card.clone());
    card.set(0x34, &[0xfc]);
    card.set(0xfc, &[9, 0xfc, 255, 1]);
    passthrough(card);
}

#[test]
fn only_memory_bars_are_there() {
    let (mut card, _) = passthrough(FakeCard::virtio());
    let stuck: Vec<u32> = (0..6)
        .map(|index| {
            card.config_write(0x10 + 4 * index, &[0xff; 4]);
            u32::from_le_bytes(read(&mut card, 0x10 + 4 * index))
        })
        .collect();
    assert_eq!(stuck, [0, 0xffff_f000, 0, 0, 0xffff_c004, 0xffff_ffff]);
}

#[test]
fn a_bar_that_no_register_can_express_is_left_out() {
    let mut card = FakeCard::virtio();
    card.bars = [0x20, 0x1800, 0, 0, 0x4001, 0];
    let (mut card, _) = passthrough(card);
    card.config_write(4, &[0xff, 0xff]);
    assert_eq!(card.decoded(), []);
}

#[test]
fn the_guest_decides_when_the_card_may_touch_memory() {
    let (mut card, deeds) = passthrough(FakeCard::virtio());
    card.config_write(4, &[0x02, 0x00]);
    card.config_write(4, &[0xff, 0xff]);
    card.config_write(4, &[0x06, 0x00]);
    card.config_write(4, &[0x00, 0x00]);
    assert_eq!(*deeds.lock().unwrap(), [command(0x0506), command(0x0502)]);
}

#[test]
fn the_guest_has_registers_where_it_put_them_and_while_they_are_on() {
    let (mut card, deeds) = passthrough(FakeCard::virtio());
    let bar = |base| DecodedBar {
        index: 4,
        base,
        len: 0x4000,
    };
    card.on_decode(&[bar(0xe000_0000)]).unwrap();
    card.on_decode(&[bar(0xe000_0000)]).unwrap();
    card.on_decode(&[bar(0xe000_4000)]).unwrap();
    card.on_decode(&[]).unwrap();
    let expected = [
        Deed::Show(4, 0..0x4000, 0xe000_0000),
        Deed::Hide(4, 0..0x4000),
        Deed::Show(4, 0..0x4000, 0xe000_4000),
        Deed::Hide(4, 0..0x4000),
    ];
    assert_eq!(*deeds.lock().unwrap(), expected);
}

#[test]
fn the_msix_table_is_out_of_reach() {
    let mut card = FakeCard::virtio();
    // In the registers' BAR, three entries at 0x1000 and their pending bits at 0x1800.
    card.set(0x48, &[0x11, 0x54, 2, 0, 4, 0x10, 0, 0, 4, 0x18, 0, 0]);
    let (mut card, deeds) = passthrough(card);
    let bar = DecodedBar {
        index: 4,
        base: 0xe000_0000,
        len: 0x4000,
    };
    card.on_decode(&[bar]).unwrap();
    let around = [
        Deed::Show(4, 0..0x1000, 0xe000_0000),
        Deed::Show(4, 0x2000..0x4000, 0xe000_2000),
    ];
    assert_eq!(*deeds.lock().unwrap(), around);
    deeds.lock().unwrap().clear();

    let mut data = [0xff; 8];
    for (at, len) in [
        (0x1000, 4),
        (0x102c, 4),
        (0x0ffc, 8),
        (0x1800, 8),
        (0x1807, 1),
        (0x3ffc, 8),
        (u64::MAX, 8),
    ] {
        card.read(4, at, &mut data[..len]);
        card.write(4, at, &[0; 8][..len]);
    }
    card.read(2, 0, &mut data);
    card.write(6, 0, &data);
    assert_eq!((data, deeds.lock().unwrap().len()), ([0xff; 8], 0));

    card.read(4, 0x1030, &mut data);
    card.write(4, 0x1040, &[1, 2]);
    let reached = [Deed::Read(4, 0x1030, 8), Deed::Write(4, 0x1040, vec![1, 2])];
    assert_eq!(
        (data, deeds.lock().unwrap().as_slice()),
        ([0x5a; 8], &reached[..])
    );
}

#[test]
fn the_bus_places_it() {
    let card = FakeCard::virtio();
    let deeds = Arc::clone(&card.deeds);
    let mut root = Root::new(Windows::above(1 << 28, 40));
    let at = root.add(Box::new(Passthrough::new(card).unwrap())).unwrap();
    root.place_bars().unwrap();
    deeds.lock().unwrap().clear();
    root.config_write(at, 4, &[6, 0]).unwrap();
    let expected = [command(0x0506), Deed::Show(4, 0..0x4000, 0xe000_0000)];
    assert_eq!(*deeds.lock().unwrap(), expected);
}

proptest! {
    /// Whatever a guest writes to configuration space, all the card hears of is whether it may be bus master.
    #[test]
    fn configuration_stays_with_us(writes in prop::collection::vec((any::<u16>(), any::<[u8; 4]>(), 1..=4_usize), 1..50)) {
        let (mut card, deeds) = passthrough(FakeCard::virtio());
        for (offset, data, len) in writes {
            card.config_write(offset & 0xfff, &data[..len]);
            card.on_decode(&card.decoded()).unwrap();
        }
        for deed in deeds.lock().unwrap().iter() {
            match deed {
                Deed::Config(4, bits) => prop_assert!(bits == &[0x02, 0x05] || bits == &[0x06, 0x05]),
                Deed::Show(4, ..) | Deed::Hide(4, ..) => {}
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
