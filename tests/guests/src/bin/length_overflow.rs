//! Counts and lengths that wrap, or reach beyond what is the app's.

use ix_abi::app::{Endpoint, MAX_SG_ENTRIES, Opcode, SgEntry, Status, trap};
use ixion_guests::{Dataplane, call, command};
use std::net::Ipv4Addr;

fn main() {
    let dataplane = Dataplane::set_up();
    let mut bind = command(Opcode::UdpBind);
    bind.endpoint = Endpoint::any(7);
    let port = dataplane.make(bind);

    let bytes = [0u8; 64];
    let mut send = command(Opcode::UdpSend);
    (send.handle, send.endpoint) = (port, Endpoint::v4(Ipv4Addr::new(10, 0, 2, 2), 9));
    send.address = bytes.as_ptr() as u64;
    for len in [
        u64::MAX,
        u64::MAX - send.address + 1,
        1 << 63,
        1 << 47,
        1 << 33,
        (1 << 32) + 1,
        1 << 31,
    ] {
        send.len = len;
        println!("{len:#x}: {:?}", dataplane.refusal(send));
    }
    send.len = 65_536;
    println!("more than a datagram: {:?}", dataplane.refusal(send));

    let entries = vec![
        SgEntry {
            address: bytes.as_ptr() as u64,
            len: 1
        };
        MAX_SG_ENTRIES + 1
    ];
    let mut array = send;
    array.opcode = Opcode::UdpSendv as u16;
    array.address = entries.as_ptr() as u64;
    for count in [MAX_SG_ENTRIES as u64 + 1, u64::MAX, 1 << 60, (1 << 60) + 1] {
        array.len = count;
        assert_eq!(dataplane.refusal(array), Status::Invalid, "{count} entries");
    }
    let wrapping = [
        SgEntry {
            address: bytes.as_ptr() as u64,
            len: u64::MAX,
        },
        SgEntry {
            address: bytes.as_ptr() as u64,
            len: 2,
        },
    ];
    (array.address, array.len) = (wrapping.as_ptr() as u64, 2);
    let _ = dataplane.refusal(array);

    let capacity = u64::from(dataplane.info.commands_capacity);
    let events = u64::from(dataplane.info.events_capacity);
    for (commands, max_events) in [
        (capacity + 1, 1),
        (u64::MAX, 1),
        (1 << 32, 1),
        (0, events + 1),
        (0, u64::MAX),
        (0, 1 << 32),
    ] {
        let result = call(trap::RUN_IO, [commands, max_events, 0, 0, 0, 0]);
        assert!(result < 0, "run_io({commands}, {max_events}) gave {result}");
    }
    println!("every length refused");
}
