//! Handles that were never given out, are of another kind, or have gone stale.

use ix_abi::app::{Endpoint, FlowOption, Handle, HandleKind, Opcode, Status};
use ixion_guests::{Dataplane, command};

const ON_HANDLES: [Opcode; 13] = [
    Opcode::TcpAccept,
    Opcode::TcpReject,
    Opcode::TcpSend,
    Opcode::TcpSendv,
    Opcode::TcpClose,
    Opcode::TcpShutdown,
    Opcode::TcpUnlisten,
    Opcode::UdpUnbind,
    Opcode::UdpSend,
    Opcode::UdpSendv,
    Opcode::TimerCancel,
    Opcode::TcpKeepalive,
    Opcode::TcpSetOption,
];

fn main() {
    let dataplane = Dataplane::set_up();
    let bytes = [0u8; 8];
    let mut forged = vec![Handle::NONE, Handle(u64::MAX), Handle(1), Handle(5 << 60)];
    for kind in [
        HandleKind::Flow,
        HandleKind::Listener,
        HandleKind::Udp,
        HandleKind::Timer,
    ] {
        for index in [0, 1, 1_000_000, u32::MAX] {
            forged.push(Handle::new(kind, index, 0x0abc_def0));
        }
    }
    for opcode in ON_HANDLES {
        for &handle in &forged {
            let mut using = command(opcode);
            using.handle = handle;
            using.endpoint = Endpoint::v4(std::net::Ipv4Addr::new(10, 0, 2, 2), 9);
            let array = matches!(opcode, Opcode::TcpSendv | Opcode::UdpSendv);
            using.address = bytes.as_ptr() as u64;
            using.len = if array { 0 } else { 8 };
            if opcode == Opcode::TcpSetOption {
                using.address = FlowOption::UserTimeout as u64;
            }
            assert_eq!(
                dataplane.refusal(using),
                Status::BadHandle,
                "{opcode:?} of {handle:?}"
            );
        }
    }

    let mut start = command(Opcode::TimerStart);
    start.len = 1_000_000_000_000;
    let timer = dataplane.make(start);
    let mut cancel = command(Opcode::TimerCancel);
    cancel.handle = Handle::new(HandleKind::Timer, timer.index(), timer.generation() + 1);
    assert_eq!(dataplane.refusal(cancel), Status::BadHandle);
    cancel.handle = timer;
    assert_eq!(dataplane.answer(cancel).result, 0);
    assert_eq!(dataplane.refusal(cancel), Status::BadHandle, "twice");

    let mut listen = command(Opcode::TcpListen);
    listen.endpoint = Endpoint::any(7);
    let listener = dataplane.make(listen);
    let mut as_flow = command(Opcode::TcpClose);
    as_flow.handle = listener;
    assert_eq!(
        dataplane.refusal(as_flow),
        Status::BadHandle,
        "a listener for a flow"
    );
    let mut unlisten = command(Opcode::TcpUnlisten);
    unlisten.handle = listener;
    assert_eq!(dataplane.answer(unlisten).result, 0);
    assert_eq!(dataplane.refusal(unlisten), Status::BadHandle, "stale");

    for opcode in 19..=u16::MAX {
        let mut unknown = command(Opcode::Nop);
        unknown.opcode = opcode;
        let _ = dataplane.refusal(unknown);
    }
    let mut flags = command(Opcode::Nop);
    flags.flags = 0xfffe;
    let _ = dataplane.refusal(flags);
    println!("every handle refused");
}
