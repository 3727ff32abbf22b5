//! Names memory that is not its own in every command that takes an address.

use ix_abi::app::{Endpoint, Opcode, SgEntry, Status};
use ixion_guests::{Dataplane, command, foreign_addresses};
use std::net::Ipv4Addr;

fn main() {
    let dataplane = Dataplane::set_up();
    let mut bind = command(Opcode::UdpBind);
    bind.endpoint = Endpoint::any(7);
    let port = dataplane.make(bind);
    let peer = Endpoint::v4(Ipv4Addr::new(10, 0, 2, 2), 9);

    for address in foreign_addresses() {
        let mut send = command(Opcode::UdpSend);
        (send.handle, send.endpoint, send.address, send.len) = (port, peer, address, 64);
        assert_eq!(dataplane.refusal(send), Status::Fault, "send from {address:#x}");

        let mut array = command(Opcode::UdpSendv);
        (array.handle, array.endpoint, array.address, array.len) = (port, peer, address, 2);
        assert_eq!(dataplane.refusal(array), Status::Fault, "array at {address:#x}");

        let entries = Box::new([SgEntry { address, len: 8 }]);
        array.address = entries.as_ptr() as u64;
        array.len = 1;
        assert_eq!(dataplane.refusal(array), Status::Fault, "entry at {address:#x}");

        let mut done = command(Opcode::UdpRecvDone);
        done.address = address;
        assert_eq!(dataplane.refusal(done), Status::Fault, "return of {address:#x}");

        // Zero means "no local endpoint" here.
        if address != 0 {
            let mut connect = command(Opcode::TcpConnect);
            (connect.endpoint, connect.address) = (peer, address);
            assert_eq!(
                dataplane.refusal(connect),
                Status::Fault,
                "endpoint at {address:#x}"
            );
        }
    }

    // In the window, but lent to nobody.
    let mut done = command(Opcode::TcpRecvDone);
    done.address = dataplane.info.rx_window;
    let _ = dataplane.refusal(done);
    println!("every address refused");
}
