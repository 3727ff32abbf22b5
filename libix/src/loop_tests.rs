//! The event loop against a fake kernel.

use crate::fake_kernel::{self, FakeKernel, boot, with};
use crate::{Answer, EventLoop, Flow, FlowMap, Handler, Io, Knock, RecvBuf, SendBuf, Status, UdpPort};
use core::net::SocketAddr;
use core::time::Duration;
use ix_abi::app::{Command, EventKind, Handle, HandleKind, Opcode};
use std::sync::Arc;

/// Echoes, remembers what it was told, and rejects when asked to.
#[derive(Default)]
struct Echo {
    flows: Vec<Flow>,
    said: Vec<String>,
    received: FlowMap<usize>,
    rejects: bool,
}

impl Handler for Echo {
    fn on_knock(&mut self, _: &mut Io, flow: Flow, _: Knock) -> Answer {
        self.flows.push(flow);
        self.received.insert(flow, 0);
        if self.rejects {
            Answer::Reject
        } else {
            Answer::Accept
        }
    }

    fn on_connected(&mut self, _: &mut Io, _: Flow, result: Result<(), Status>) {
        self.said.push(format!("connected {result:?}"));
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        *self.received.get_mut(flow).unwrap() += data.len();
        io.send(flow, data).unwrap();
    }

    fn on_writable(&mut self, io: &mut Io, flow: Flow) {
        assert!(io.is_writable(flow));
        self.said.push(format!("writable at {}", io.backlog(flow)));
    }

    fn on_dead(&mut self, _: &mut Io, _: Flow, reason: Result<(), Status>) {
        self.said.push(format!("dead {reason:?}"));
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        io.udp_send(port, peer, data);
    }

    fn on_udp_sent(&mut self, _: &mut Io, _: UdpPort, result: Result<(), Status>) {
        self.said.push(format!("udp {result:?}"));
    }

    fn on_udp_refused(&mut self, _: &mut Io, _: UdpPort, peer: SocketAddr) {
        self.said.push(format!("{peer} refuses"));
    }
}

fn turn(event_loop: &mut EventLoop, echo: &mut Echo) {
    event_loop.turn(echo, Some(Duration::ZERO)).unwrap();
}

/// A loop with one accepted flow: the loop, the app, the kernel's handle and the cookie of the flow.
fn with_flow(commands: usize, events: usize) -> (EventLoop, Echo, Handle, u64) {
    boot(commands, events);
    let mut event_loop = fake_kernel::event_loop();
    let mut echo = Echo::default();
    event_loop.io().listen(7).unwrap();
    let handle = knock(&mut event_loop, &mut echo);
    let cookie = with(|k| k.done.last().unwrap().cookie);
    with(|k| assert_eq!(k.take_opcodes(), [Opcode::TcpListen, Opcode::TcpAccept]));
    (event_loop, echo, handle, cookie)
}

fn knock(event_loop: &mut EventLoop, echo: &mut Echo) -> Handle {
    let handle = with(|k| {
        let listen = *k
            .done
            .iter()
            .find(|c| c.opcode == Opcode::TcpListen as u16)
            .unwrap();
        let handle = k.new_handle(HandleKind::Flow);
        k.event(EventKind::Knock, listen.cookie, |event| event.handle = handle);
        handle
    });
    turn(event_loop, echo);
    turn(event_loop, echo);
    handle
}

fn sent(kernel: &mut FakeKernel, cookie: u64, len: u32) {
    kernel.event(EventKind::Sent, cookie, |event| event.len = len);
}

#[test]
fn an_echo_is_sent_from_where_it_was_received_and_returned_once_acknowledged() {
    let (mut event_loop, mut echo, handle, cookie) = with_flow(16, 16);
    let address = with(|k| k.receive(EventKind::Recv, cookie, b"hello"));
    turn(&mut event_loop, &mut echo);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        let [send] = k.done[..] else { panic!("one command") };
        assert_eq!(
            (send.opcode, send.handle, send.address),
            (Opcode::TcpSend as u16, handle, address)
        );
        assert_eq!(k.sent, b"hello");
        k.done.clear();
        sent(k, cookie, 4);
    });
    assert_eq!(event_loop.io().backlog(echo.flows[0]), 5);
    turn(&mut event_loop, &mut echo);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.take_opcodes(), []);
        sent(k, cookie, 1);
    });
    turn(&mut event_loop, &mut echo);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.done.last().unwrap().address, address);
        assert_eq!(k.take_opcodes(), [Opcode::TcpRecvDone]);
    });
    assert_eq!(echo.received.get(echo.flows[0]), Some(&5));
}

#[test]
fn a_full_flow_is_writable_again_when_half_is_acknowledged_and_says_so_once() {
    let (mut event_loop, mut echo, _, cookie) = with_flow(16, 16);
    let flow = echo.flows[0];
    let io = event_loop.io();
    assert_eq!(io.set_high_water(flow, 10), Ok(()));
    assert_eq!(io.send(flow, "nine byte"), Ok(9));
    assert!(io.is_writable(flow));
    assert_eq!(io.send(flow, "s"), Ok(10));
    assert!(!io.is_writable(flow));
    // Nothing is refused: it is the app that should stop.
    assert_eq!(io.send(flow, "!!"), Ok(12));
    turn(&mut event_loop, &mut echo);
    for (acknowledged, writable) in [(6, false), (1, true), (5, true)] {
        with(|k| sent(k, cookie, acknowledged));
        turn(&mut event_loop, &mut echo);
        assert_eq!(event_loop.io().is_writable(flow), writable);
    }
    assert_eq!(echo.said, ["writable at 5"]);
    // A lower mark fills it, a higher one makes room.
    let io = event_loop.io();
    assert_eq!(io.send(flow, "four"), Ok(4));
    assert_eq!(io.set_high_water(flow, 3), Ok(()));
    assert!(!io.is_writable(flow));
    assert_eq!(io.set_high_water(flow, 100), Ok(()));
    turn(&mut event_loop, &mut echo);
    assert_eq!(echo.said, ["writable at 5", "writable at 4"]);
    assert_eq!(event_loop.io().close(flow), Ok(()));
    assert!(!event_loop.io().is_writable(flow));
}

#[test]
fn what_the_kernel_does_not_take_goes_out_in_order_and_the_close_waits_for_it() {
    let (mut event_loop, mut echo, _, cookie) = with_flow(16, 16);
    let flow = echo.flows[0];
    with(|k| k.room = 4);
    let io = event_loop.io();
    assert_eq!(io.send(flow, "abc"), Ok(3));
    assert_eq!(io.send(flow, b"defg".to_vec()), Ok(7));
    assert_eq!(io.send(flow, Arc::<[u8]>::from(*b"hi")), Ok(9));
    assert_eq!(io.close(flow), Ok(()));
    assert_eq!(io.send(flow, "late"), Err(Status::Closed));
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.take_opcodes(), [Opcode::TcpSendv]);
        assert_eq!(k.sent, b"abcd");
        k.room = 100;
        sent(k, cookie, 4);
    });
    turn(&mut event_loop, &mut echo);
    assert_eq!(event_loop.io().backlog(flow), 5);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.take_opcodes(), [Opcode::TcpSendv, Opcode::TcpClose]);
        assert_eq!(k.sent, b"abcdefghi");
        k.event(EventKind::Dead, cookie, |_| {});
    });
    turn(&mut event_loop, &mut echo);
    assert_eq!(echo.said, ["dead Ok(())"]);
    assert_eq!(event_loop.io().send(flow, "x"), Err(Status::BadHandle));
    assert_eq!(event_loop.io().close(flow), Err(Status::BadHandle));
}

#[test]
fn more_pieces_than_one_command_holds_all_go_out_in_one_turn() {
    let (mut event_loop, mut echo, ..) = with_flow(16, 16);
    let mut expected = Vec::new();
    for piece in 0..100u8 {
        expected.extend([piece; 3]);
        event_loop.io().send(echo.flows[0], vec![piece; 3]).unwrap();
    }
    event_loop.io().shutdown(echo.flows[0]).unwrap();
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.sent, expected);
        assert_eq!(k.take_opcodes().last(), Some(&Opcode::TcpShutdown));
    });
}

#[test]
fn a_full_command_array_is_flushed_without_touching_unread_events() {
    let (mut event_loop, mut echo, _, cookie) = with_flow(4, 64);
    let payloads: Vec<Vec<u8>> = (0..50u8).map(|i| vec![i; 8]).collect();
    with(|k| {
        for payload in &payloads {
            k.receive(EventKind::UdpRecv, 0, payload);
            k.receive(EventKind::Recv, cookie, payload);
        }
    });
    for _ in 0..3 {
        turn(&mut event_loop, &mut echo);
    }
    let udp_sends = |k: &FakeKernel| {
        k.done
            .iter()
            .filter(|c| c.opcode == Opcode::UdpSend as u16)
            .count()
    };
    with(|k| {
        assert_eq!(udp_sends(k), 50);
        assert_eq!(k.sent, payloads.concat());
    });
    assert_eq!(echo.received.get(echo.flows[0]), Some(&400));
}

#[test]
fn a_refused_send_is_tried_again_when_no_event_will_ask_for_it() {
    let (mut event_loop, mut echo, ..) = with_flow(16, 16);
    with(|k| k.fail = Some((Opcode::TcpSend, Status::NoMemory)));
    event_loop.io().send(echo.flows[0], "again").unwrap();
    event_loop.turn(&mut echo, None).unwrap();
    with(|k| {
        assert!(k.sent.is_empty());
        assert!(
            k.waits.last().unwrap() <= &1_000_000,
            "it must not sleep on a failure"
        );
    });
    event_loop.turn(&mut echo, None).unwrap();
    event_loop.turn(&mut echo, None).unwrap();
    with(|k| {
        assert_eq!(k.sent, b"again");
        assert_eq!(k.waits.last(), Some(&u64::MAX));
    });
}

#[test]
fn a_send_from_memory_the_kernel_refuses_aborts_the_flow() {
    let (mut event_loop, mut echo, ..) = with_flow(16, 16);
    with(|k| k.fail = Some((Opcode::TcpSend, Status::Fault)));
    event_loop.io().send(echo.flows[0], "x").unwrap();
    turn(&mut event_loop, &mut echo);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.done.last().unwrap().flags, Command::ABORT);
        assert_eq!(k.take_opcodes(), [Opcode::TcpSend, Opcode::TcpClose]);
    });
}

#[test]
fn a_rejected_flow_is_stale_at_once() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut echo = Echo {
        rejects: true,
        ..Echo::default()
    };
    event_loop.io().listen(7).unwrap();
    knock(&mut event_loop, &mut echo);
    with(|k| assert_eq!(k.take_opcodes(), [Opcode::TcpListen, Opcode::TcpReject]));
    assert_eq!(event_loop.io().send(echo.flows[0], "x"), Err(Status::BadHandle));
    assert_eq!(event_loop.io().flow_count(), 0);
}

#[test]
fn a_connection_that_dies_before_it_is_accepted_is_reported_once() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut echo = Echo::default();
    event_loop.io().listen(7).unwrap();
    with(|k| k.fail = Some((Opcode::TcpAccept, Status::BadHandle)));
    knock(&mut event_loop, &mut echo);
    assert_eq!(echo.said, ["dead Err(BadHandle)"]);
    let cookie = with(|k| k.done.last().unwrap().cookie);
    with(|k| k.event(EventKind::Dead, cookie, |_| {}));
    turn(&mut event_loop, &mut echo);
    assert_eq!(echo.said.len(), 1);
}

#[test]
fn a_connect_sends_what_waited_for_it() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut echo = Echo::default();
    let remote: SocketAddr = "10.0.2.2:80".parse().unwrap();
    let flow = event_loop.io().connect(remote).unwrap();
    event_loop.io().send(flow, "GET /").unwrap();
    turn(&mut event_loop, &mut echo);
    let cookie = with(|k| {
        assert!(k.sent.is_empty());
        let cookie = k.done[0].cookie;
        k.event(EventKind::Connected, cookie, |_| {});
        cookie
    });
    turn(&mut event_loop, &mut echo);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.sent, b"GET /");
        k.fail = Some((Opcode::TcpConnect, Status::Unreachable));
    });
    assert_eq!(event_loop.io().connect(remote), Err(Status::Unreachable));
    let local = "10.0.2.15:0".parse().unwrap();
    event_loop.io().connect_from(local, remote).unwrap();
    with(|k| {
        let refused = k.done.last().unwrap().cookie;
        assert_ne!(refused, cookie);
        let result = Status::ConnectionRefused.negated();
        k.event(EventKind::Connected, refused, |event| event.result = result);
    });
    turn(&mut event_loop, &mut echo);
    assert_eq!(
        echo.said,
        ["connected Ok(())", "connected Err(ConnectionRefused)"]
    );
    assert_eq!(event_loop.io().flow_count(), 1);
}

#[test]
fn datagrams_are_held_until_they_have_left() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut echo = Echo::default();
    let port = event_loop.io().udp_bind(7).unwrap();
    let bytes: Arc<[u8]> = Arc::from(*b"datagram");
    let peer = "10.0.2.2:9".parse().unwrap();
    event_loop.io().udp_send(port, peer, Arc::clone(&bytes));
    turn(&mut event_loop, &mut echo);
    assert_eq!(Arc::strong_count(&bytes), 2);
    with(|k| {
        let cookie = k.done.last().unwrap().cookie;
        k.event(EventKind::UdpSent, cookie, |_| {});
        k.event(EventKind::UdpSent, cookie, |_| {});
    });
    turn(&mut event_loop, &mut echo);
    assert_eq!(Arc::strong_count(&bytes), 1);
    with(|k| k.fail = Some((Opcode::UdpSend, Status::MessageTooLong)));
    event_loop.io().udp_send(port, peer, Arc::clone(&bytes));
    turn(&mut event_loop, &mut echo);
    assert_eq!(Arc::strong_count(&bytes), 1);
    assert_eq!(echo.said, ["udp Ok(())", "udp Err(MessageTooLong)"]);
    with(|k| k.event(EventKind::UdpRefused, 0, |event| event.endpoint = peer.into()));
    turn(&mut event_loop, &mut echo);
    assert_eq!(echo.said.last().unwrap(), "10.0.2.2:9 refuses");
}

#[test]
fn stop_closes_everything_and_ends_the_loop() {
    let (mut event_loop, mut echo, _, cookie) = with_flow(16, 16);
    with(|k| k.event(EventKind::Stop, 0, |_| {}));
    turn(&mut event_loop, &mut echo);
    turn(&mut event_loop, &mut echo);
    with(|k| {
        assert_eq!(k.take_opcodes(), [Opcode::TcpUnlisten, Opcode::TcpClose]);
        k.event(EventKind::Dead, cookie, |_| {});
    });
    event_loop.run(&mut echo).unwrap();
    assert_eq!(echo.said, ["dead Ok(())"]);
}

#[test]
fn nonsense_events_are_harmless() {
    let (mut event_loop, mut echo, _, cookie) = with_flow(16, 16);
    with(|k| {
        for kind in 0..=u16::from(u8::MAX) {
            let Some(kind) = EventKind::from_u16(kind).filter(|kind| *kind != EventKind::Stop) else {
                continue;
            };
            for cookie in [0, cookie ^ 1, u64::MAX] {
                k.event(kind, cookie, |event| {
                    event.address = 0xffff_8000_0000_0000;
                    event.len = u32::MAX;
                    event.result = i32::MIN;
                });
            }
        }
        sent(k, cookie, u32::MAX);
    });
    for _ in 0..4 {
        turn(&mut event_loop, &mut echo);
    }
    assert_eq!(event_loop.io().flow_count(), 1);
}

#[test]
fn a_failure_found_before_the_end_of_the_turn_is_told_without_waiting() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut echo = Echo::default();
    let port = event_loop.io().udp_bind(7).unwrap();
    with(|k| k.fail = Some((Opcode::UdpSend, Status::Unreachable)));
    event_loop
        .io()
        .udp_send(port, "10.0.2.2:9".parse().unwrap(), "datagram");
    // This carries out what is batched before it.
    event_loop.io().start_timer(Duration::from_secs(1)).unwrap();
    event_loop.turn(&mut echo, None).unwrap();
    assert_eq!(echo.said, ["udp Err(Unreachable)"]);
    with(|k| assert_eq!(k.waits, [0]));
}

#[test]
fn what_must_be_tried_again_in_the_middle_of_a_turn_is_not_left_to_an_event() {
    let (mut event_loop, mut echo, _, _) = with_flow(16, 16);
    let flow = echo.flows[0];
    with(|k| (k.room, k.waits) = (0, Vec::new()));
    // More pieces than one command takes, so the turn goes on after the first is refused.
    for _ in 0..40 {
        event_loop.io().send(flow, "x").unwrap();
    }
    event_loop.turn(&mut echo, None).unwrap();
    with(|k| {
        assert!(k.sent.is_empty() && k.waits[0] < u64::MAX);
        k.room = usize::MAX;
    });
    event_loop.turn(&mut echo, None).unwrap();
    with(|k| assert_eq!(k.sent, [b'x'; 40]));
}

#[test]
fn an_emptied_buffer_goes_back_by_one_of_its_own_bytes() {
    struct Empty;
    impl Handler for Empty {
        fn on_recv(&mut self, _: &mut Io, _: Flow, mut data: RecvBuf) {
            data.advance(data.len());
            assert!(data.is_empty());
        }
    }
    let (mut event_loop, _, _, cookie) = with_flow(16, 16);
    let address = with(|k| k.receive(EventKind::Recv, cookie, b"abcdefg"));
    event_loop.turn(&mut Empty, None).unwrap();
    event_loop.turn(&mut Empty, None).unwrap();
    with(|k| assert_eq!(k.done.last().unwrap().address, address));
}

#[test]
fn a_received_buffer_can_be_narrowed_and_still_goes_back() {
    struct Trim(Vec<SendBuf>);
    impl Handler for Trim {
        fn on_recv(&mut self, _: &mut Io, _: Flow, mut data: RecvBuf) {
            data.advance(2);
            data.truncate(3);
            assert_eq!(&*data, b"cde");
            self.0.push(data.into());
        }
    }
    let (mut event_loop, _, _, cookie) = with_flow(16, 16);
    let address = with(|k| k.receive(EventKind::Recv, cookie, b"abcdefg"));
    let mut trim = Trim(Vec::new());
    event_loop.turn(&mut trim, None).unwrap();
    trim.0.clear();
    event_loop.turn(&mut trim, None).unwrap();
    with(|k| {
        let command = k.done.last().unwrap();
        assert_eq!(
            (command.opcode, command.address),
            (Opcode::TcpRecvDone as u16, address + 2)
        );
    });
}

/// Sends frames on, each in the way that its first byte says.
#[derive(Default)]
struct Bridge {
    kept: Vec<crate::Frame>,
}

impl Handler for Bridge {
    fn on_frame(&mut self, io: &mut Io, frame: crate::Frame) {
        match frame[0] {
            b'r' => io.forward(frame),
            b'b' => io.forward_to(frame, 1),
            b'f' => {
                io.forward_copy_to(&frame, 1);
                io.forward_copy_to(&frame, 2);
            }
            b'k' => self.kept.push(frame),
            _ => {}
        }
    }
}

#[test]
fn a_frame_is_forwarded_from_where_it_was_received_or_given_back_once() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut bridge = Bridge::default();
    let mut turn = |bridge: &mut Bridge| event_loop.turn(bridge, Some(Duration::ZERO)).unwrap();
    let addresses = with(|k| {
        [b"route", b"bridg", b"flood", b"keep.", b"drop."]
            .map(|bytes| k.receive(EventKind::FrameRecv, 0, bytes))
    });
    turn(&mut bridge);
    turn(&mut bridge);
    let [route, one, flood, kept, dropped] = addresses;
    let forward = Opcode::FrameForward as u16;
    with(|k| {
        let commands: Vec<_> = k.done.drain(..).map(|c| (c.opcode, c.address, c.flags)).collect();
        let done = Opcode::FrameDone as u16;
        let mut expected = vec![
            (forward, route, 0),
            (forward, one, 0),
            (forward, flood, Command::KEEP),
            (forward, flood, Command::KEEP),
            (done, flood, 0),
            (done, dropped, 0),
        ];
        expected.sort_unstable();
        let mut got = commands;
        got.sort_unstable();
        assert_eq!(got, expected);
    });
    bridge.kept.clear();
    turn(&mut bridge);
    with(|k| assert_eq!(k.done.last().unwrap().address, kept));
    assert_eq!(event_loop.io().frames_dropped(), 0);
}

#[test]
fn a_frame_that_is_refused_is_given_back() {
    boot(16, 16);
    let mut event_loop = fake_kernel::event_loop();
    let mut bridge = Bridge::default();
    let address = with(|k| {
        k.fail = Some((Opcode::FrameForward, Status::BadHandle));
        k.receive(EventKind::FrameRecv, 0, b"route")
    });
    for _ in 0..3 {
        event_loop.turn(&mut bridge, Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(event_loop.io().frames_dropped(), 1);
    with(|k| {
        assert_eq!(k.done.last().map(|command| command.address), Some(address));
        let opcodes = k.take_opcodes();
        assert_eq!(opcodes.last(), Some(&Opcode::FrameDone));
    });
}
