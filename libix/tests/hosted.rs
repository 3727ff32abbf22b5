//! Hosted mode: the event loop over Linux sockets, against peers that are plain Linux programs. Each test has a loopback
//! address of its own. What holds in both worlds is compared by `tests/tests/api.rs`.

use libix::{Answer, Error, EventLoop, Flow, Handler, Io, Knock, RecvBuf, Status, UdpPort};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

const PORT: u16 = 7007;

fn address(host: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(127, 0, 7, host).into(), PORT)
}

/// Echoes, and stops when its last connection is gone.
struct Echo {
    ip: IpAddr,
    reason: Option<Result<(), Status>>,
}

impl Handler for Echo {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        io.listen_at(Some(self.ip), PORT, 0)?;
        io.udp_bind_at(Some(self.ip), PORT)?;
        Ok(())
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        io.send(flow, data).unwrap();
    }

    fn on_dead(&mut self, io: &mut Io, _: Flow, reason: Result<(), Status>) {
        self.reason = Some(reason);
        io.stop();
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        io.udp_send(port, peer, data);
    }
}

fn serve(ip: IpAddr) -> thread::JoinHandle<Option<Result<(), Status>>> {
    thread::spawn(move || {
        let mut echo = Echo { ip, reason: None };
        libix::run(&mut echo).unwrap();
        echo.reason
    })
}

fn connect(to: SocketAddr) -> TcpStream {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(to) {
            Ok(stream) => return stream,
            Err(error) if Instant::now() > until => panic!("{to}: {error}"),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..=250u8).cycle().take(len).collect()
}

#[test]
fn megabytes_come_back_equal_and_both_sides_close_in_order() {
    for ip in [address(1).ip(), "::1".parse().unwrap()] {
        let server = serve(ip);
        let stream = connect(SocketAddr::new(ip, PORT));
        let bytes = pattern(5_000_000);
        let (mut writer, to_send) = (stream.try_clone().unwrap(), bytes.clone());
        let sender = thread::spawn(move || {
            writer.write_all(&to_send).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut echoed = Vec::new();
        (&stream).read_to_end(&mut echoed).unwrap();
        sender.join().unwrap();
        assert!(echoed == bytes);
        drop(stream);
        assert_eq!(server.join().unwrap(), Some(Ok(())));
    }
}

#[test]
fn a_reset_is_told_as_one() {
    let server = serve(address(2).ip());
    let stream = connect(address(2));
    (&stream).write_all(b"echo").unwrap();
    (&stream).read_exact(&mut [0; 4]).unwrap();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    assert_eq!(server.join().unwrap(), Some(Err(Status::ConnectionReset)));
}

#[test]
fn datagrams_come_back_to_where_they_came_from() {
    let server = serve(address(3).ip());
    let tcp = connect(address(3));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in [0, 1, 1_472, 60_000] {
        socket.send_to(&pattern(len), address(3)).unwrap();
        let mut echoed = vec![0; 65_536];
        let (count, from) = socket.recv_from(&mut echoed).unwrap();
        assert_eq!((&echoed[..count], from), (&*pattern(len), address(3)));
    }
    drop(tcp);
    server.join().unwrap();
}

/// Keeps what it receives.
#[derive(Default)]
struct Hoarder {
    hoard: Vec<RecvBuf>,
    bytes: usize,
    sent: usize,
    flow: Option<Flow>,
}

impl Handler for Hoarder {
    fn on_knock(&mut self, _: &mut Io, flow: Flow, _: Knock) -> Answer {
        self.flow = Some(flow);
        Answer::Accept
    }

    fn on_recv(&mut self, _: &mut Io, _: Flow, data: RecvBuf) {
        self.bytes += data.len();
        self.hoard.push(data);
    }

    fn on_sent(&mut self, _: &mut Io, _: Flow, count: usize) {
        self.sent += count;
    }
}

fn turn_for(event_loop: &mut EventLoop, handler: &mut impl Handler, time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        event_loop.turn(handler, Some(left)).unwrap();
    }
}

#[test]
fn buffers_that_are_kept_stop_the_peer_and_outlive_the_loop() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut app = Hoarder::default();
    event_loop.io().listen_at(Some(address(4).ip()), PORT, 0).unwrap();
    let stream = connect(address(4));
    let bytes = pattern(20_000_000);
    let sender = thread::spawn(move || {
        (&stream).write_all(&bytes).unwrap();
        stream
    });
    turn_for(&mut event_loop, &mut app, Duration::from_millis(300));
    assert_eq!(app.bytes, 1 << 18, "the window");
    assert!(!sender.is_finished());
    let mut all: Vec<u8> = Vec::new();
    while all.len() + app.hoard.iter().map(|b| b.len()).sum::<usize>() < 20_000_000 {
        app.hoard.drain(..).for_each(|data| all.extend_from_slice(&data));
        event_loop.turn(&mut app, Some(Duration::from_secs(5))).unwrap();
    }
    drop(event_loop);
    app.hoard.drain(..).for_each(|data| all.extend_from_slice(&data));
    assert!(all == pattern(20_000_000));
    drop(sender.join().unwrap());
}

#[test]
fn sent_is_told_when_the_peer_has_acknowledged() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut app = Hoarder::default();
    event_loop.io().listen_at(Some(address(5).ip()), PORT, 0).unwrap();
    let stream = connect(address(5));
    turn_for(&mut event_loop, &mut app, Duration::from_millis(50));
    let flow = app.flow.unwrap();
    // More than the peer's window, which it does not open.
    event_loop.io().send(flow, vec![7; 4 << 20]).unwrap();
    turn_for(&mut event_loop, &mut app, Duration::from_millis(300));
    let acknowledged = app.sent;
    assert!(
        acknowledged < 2 << 20,
        "{acknowledged} bytes cannot be at the peer"
    );
    assert_eq!(event_loop.io().backlog(flow), (4 << 20) - acknowledged);
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 4 << 20];
        (&stream).read_exact(&mut bytes).unwrap();
        stream
    });
    let until = Instant::now() + Duration::from_secs(10);
    while app.sent < 4 << 20 && Instant::now() < until {
        event_loop
            .turn(&mut app, Some(Duration::from_millis(10)))
            .unwrap();
    }
    assert_eq!((app.sent, event_loop.io().backlog(flow)), (4 << 20, 0));
    drop(reader.join().unwrap());
}

#[derive(Default)]
struct Told(Vec<String>);

impl Handler for Told {
    fn on_knock(&mut self, _: &mut Io, _: Flow, knock: Knock) -> Answer {
        self.0.push(format!("knock from {}", knock.peer.ip()));
        Answer::Reject
    }

    fn on_connected(&mut self, _: &mut Io, _: Flow, result: Result<(), Status>) {
        self.0.push(format!("connected {result:?}"));
    }

    fn on_dead(&mut self, _: &mut Io, _: Flow, reason: Result<(), Status>) {
        self.0.push(format!("dead {reason:?}"));
    }

    fn on_udp_refused(&mut self, _: &mut Io, _: UdpPort, peer: SocketAddr) {
        self.0.push(format!("{peer} refuses"));
    }

    fn on_udp_sent(&mut self, _: &mut Io, _: UdpPort, result: Result<(), Status>) {
        self.0.push(format!("datagram {result:?}"));
    }
}

#[test]
fn a_refused_connection_an_aborted_one_and_a_rejected_one() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut told = Told::default();
    event_loop.io().connect(address(6)).unwrap();
    turn_for(&mut event_loop, &mut told, Duration::from_millis(100));
    let listener = TcpListener::bind(address(7)).unwrap();
    let flow = event_loop.io().connect(address(7)).unwrap();
    turn_for(&mut event_loop, &mut told, Duration::from_millis(100));
    event_loop.io().abort(flow).unwrap();
    turn_for(&mut event_loop, &mut told, Duration::from_millis(100));
    let (mut accepted, _) = listener.accept().unwrap();
    assert!(accepted.read(&mut [0]).is_err(), "reset");

    event_loop.io().listen_at(Some(address(8).ip()), PORT, 0).unwrap();
    let mut stream = connect(address(8));
    turn_for(&mut event_loop, &mut told, Duration::from_millis(100));
    assert!(stream.read(&mut [0]).is_err(), "reset");
    assert_eq!(
        told.0,
        [
            "connected Err(ConnectionRefused)",
            "connected Ok(())",
            "dead Err(Aborted)",
            "knock from 127.0.0.1",
        ]
    );
}

#[test]
fn a_closed_udp_port_is_told_with_its_address() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut told = Told::default();
    for any in [None, Some(Ipv4Addr::UNSPECIFIED.into())] {
        let port = event_loop.io().udp_bind_at(any, 0).unwrap();
        event_loop.io().udp_send(port, address(9), "anyone?");
        turn_for(&mut event_loop, &mut told, Duration::from_millis(100));
        assert_eq!(told.0, ["datagram Ok(())", "127.0.7.9:7007 refuses"]);
        told.0.clear();
    }
}

#[test]
fn a_datagram_that_is_too_long_is_told_to_be() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut told = Told::default();
    let port = event_loop.io().udp_bind(0).unwrap();
    event_loop.io().udp_send(port, address(10), vec![0; 70_000]);
    turn_for(&mut event_loop, &mut told, Duration::from_millis(100));
    assert_eq!(told.0, ["datagram Err(MessageTooLong)"]);
}

#[test]
fn timers_go_off_in_order_and_not_early() {
    #[derive(Default)]
    struct Timed(Vec<(libix::Timer, Duration)>);
    impl Handler for Timed {
        fn on_timer(&mut self, io: &mut Io, timer: libix::Timer) {
            self.0.push((timer, io.now()));
        }
    }
    let mut event_loop = EventLoop::new().unwrap();
    let io = event_loop.io();
    let start = io.now();
    let delays = [30, 1, 5].map(Duration::from_millis);
    let timers = delays.map(|delay| io.start_timer(delay).unwrap());
    let cancelled = io.start_timer(Duration::from_millis(2)).unwrap();
    let short = io.start_timer(Duration::from_micros(300)).unwrap();
    io.cancel_timer(cancelled);
    let mut app = Timed::default();
    turn_for(&mut event_loop, &mut app, Duration::from_millis(60));
    let order: Vec<libix::Timer> = app.0.iter().map(|(timer, _)| *timer).collect();
    assert_eq!(order, [short, timers[1], timers[2], timers[0]]);
    assert!(app.0[3].1 - start >= delays[0] && app.0[0].1 - start >= Duration::from_micros(300));
}

#[test]
fn frames_are_linuxs_own_business() {
    let mut event_loop = EventLoop::new().unwrap();
    for mode in [libix::FrameMode::Bridge, libix::FrameMode::Route] {
        let bound = event_loop.io().bind_frames(0, mode);
        assert_eq!(bound, Err(Status::NotSupported));
    }
}
