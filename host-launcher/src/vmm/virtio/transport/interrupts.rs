//! Interrupts of the transport: what the guest connects, and what it cannot.

use super::tests::bench;
use crate::vmm::virtio::Message;
use crate::vmm::virtio::testing::{BAD_MESSAGE, Guest, VERSION_1};
use proptest::prelude::*;

const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
const NO_VECTOR: u16 = 0xffff;

fn message(number: u32) -> Message {
    Message {
        address: [0xfee0_0000 | number << 12, 0],
        data: 0x41,
    }
}

/// Writes an entry that sends [`message`].
fn set(guest: &mut Guest, entry: u64, number: u32, control: u32) {
    let Message {
        address: [low, high],
        data,
    } = message(number);
    guest.set_entry(entry, [low, high, data, control]);
}

#[test]
fn there_is_an_entry_for_each_queue_and_all_are_masked() {
    let (mut guest, ..) = bench();
    assert_eq!(
        u16::from_le_bytes(guest.pci(guest.msix + 2)),
        1,
        "two, not enabled"
    );
    for entry in 0..2 {
        assert_eq!(guest.read::<4>(guest.table + 16 * entry + 12), [1, 0, 0, 0]);
    }
    assert_eq!(guest.set_vector(0, 1), 1);
    guest.set_message_control(ENABLE);
    assert_eq!(guest.interrupts.connected(), []);
}

#[test]
fn a_queue_is_connected_while_everything_lets_it_through() {
    let (mut guest, ..) = bench();
    guest.negotiate(VERSION_1);
    guest.set_message_control(ENABLE);
    set(&mut guest, 0, 3, 0);
    assert_eq!(guest.interrupts.connected(), [], "no queue uses it");
    assert_eq!(guest.set_vector(1, 0), 0);
    assert_eq!(guest.interrupts.connected(), [(1, message(3))]);
    assert_eq!(guest.set_vector(0, 0), 0, "two may share one");
    assert_eq!(guest.interrupts.connected(), [(0, message(3)), (1, message(3))]);
    guest.set_message_control(ENABLE | MASK_ALL);
    assert_eq!(guest.interrupts.connected(), []);
    guest.set_message_control(ENABLE);
    set(&mut guest, 0, 5, 0);
    assert_eq!(guest.interrupts.connected(), [(0, message(5)), (1, message(5))]);
    set(&mut guest, 0, 5, 1);
    assert_eq!(guest.interrupts.connected(), []);
    set(&mut guest, 0, 6, 0);
    assert_eq!(guest.set_vector(0, NO_VECTOR), NO_VECTOR);
    assert_eq!(guest.interrupts.connected(), [(1, message(6))]);
    guest.set_status(0);
    assert_eq!(guest.interrupts.connected(), [], "after a reset no queue has one");
    assert_eq!(guest.set_vector(1, 0), 0);
    assert_eq!(
        guest.interrupts.connected(),
        [(1, message(6))],
        "the table is PCI's"
    );
    guest.set_message_control(0);
    assert_eq!(guest.interrupts.connected(), []);
}

#[test]
fn entries_and_queues_that_do_not_exist_have_no_vector() {
    let (mut guest, ..) = bench();
    for (queue, entry) in [(0, 2), (1, 0xfffe), (2, 0), (0xffff, 1)] {
        assert_eq!(guest.set_vector(queue, entry), NO_VECTOR, "{queue} {entry}");
    }
    let config_vector = guest.common + 0x10;
    guest.write(config_vector, &[0, 0]);
    assert_eq!(
        guest.read(config_vector),
        [0xff, 0xff],
        "a change does not interrupt"
    );
    guest.write(guest.table + 32, &[1; 4]);
    assert_eq!(
        guest.read::<4>(guest.table + 32),
        [0xff; 4],
        "behind the table is nothing"
    );
}

#[test]
fn a_message_that_is_refused_is_not_sent_and_the_next_one_is() {
    let (mut guest, ..) = bench();
    guest.set_message_control(ENABLE);
    guest.set_vector(0, 0);
    guest.set_entry(0, [0, 0, BAD_MESSAGE, 0]);
    assert_eq!(guest.interrupts.connected(), []);
    set(&mut guest, 0, 2, 0);
    assert_eq!(guest.interrupts.connected(), [(0, message(2))]);
}

proptest! {
    /// Whatever the guest does, what is connected is what table, queues and Message Control say.
    #[test]
    fn what_is_connected_follows_the_registers(
        steps in prop::collection::vec((0..4_u8, 0..3_u16, 0..4_u16, any::<bool>()), 1..60)
    ) {
        let (mut guest, ..) = bench();
        let (mut control, mut masked, mut vectors) = (0, [true; 2], [NO_VECTOR; 2]);
        for (what, which, to, flag) in steps {
            let at = usize::from(which);
            match what {
                0 => {
                    control = if flag { ENABLE } else { 0 } | if to == 3 { MASK_ALL } else { 0 };
                    guest.set_message_control(control);
                }
                1 if at < 2 => {
                    masked[at] = flag;
                    set(&mut guest, which.into(), which.into(), flag.into());
                }
                2 => {
                    let vector = guest.set_vector(which, to);
                    if let Some(place) = vectors.get_mut(at) {
                        *place = vector;
                        prop_assert_eq!(vector, if to < 2 { to } else { NO_VECTOR });
                    }
                }
                _ => {
                    guest.set_status(0);
                    vectors = [NO_VECTOR; 2];
                }
            }
            let expected: Vec<_> = (0..)
                .zip(vectors)
                .filter(|&(_, vector)| control == ENABLE && vector != NO_VECTOR && !masked[usize::from(vector)])
                .map(|(line, vector)| (line, message(vector.into())))
                .collect();
            prop_assert_eq!(guest.interrupts.connected(), expected);
        }
    }
}
