//! Hosted mode on several cores: what holds on Ixion of listeners, ports and connections holds here.

use libix::{Answer, Error, EventLoop, Flow, Handler, Io, Knock, RecvBuf, Status, UdpPort, Waker, run_on};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

const CORES: u16 = 4;

/// Each test has a loopback address of its own.
fn address(host: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(127, 0, 9, host).into(), 7007)
}

/// Stops when asked to, from outside.
struct Service<'a> {
    at: SocketAddr,
    core: u16,
    ready: &'a Sender<(u16, Waker)>,
    over: &'a AtomicBool,
    /// Which core each client is told to be on.
    tells_core: bool,
}

impl Handler for Service<'_> {
    fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
        assert_eq!(io.core(), self.core);
        io.listen_at(Some(self.at.ip()), self.at.port(), 0)?;
        io.udp_bind_at(Some(self.at.ip()), self.at.port())?;
        Ok(())
    }

    fn on_ready(&mut self, io: &mut Io) {
        self.ready.send((self.core, io.waker())).unwrap();
    }

    fn on_knock(&mut self, io: &mut Io, flow: Flow, _: Knock) -> Answer {
        if self.tells_core {
            io.send(flow, vec![u8::try_from(self.core).unwrap()]).unwrap();
        }
        Answer::Accept
    }

    fn on_recv(&mut self, io: &mut Io, flow: Flow, data: RecvBuf) {
        io.send(flow, data).unwrap();
    }

    fn on_udp(&mut self, io: &mut Io, port: UdpPort, peer: SocketAddr, data: RecvBuf) {
        assert_eq!(&*data, b"which core?");
        io.udp_send(port, peer, vec![u8::try_from(self.core).unwrap()]);
    }

    fn on_turn(&mut self, io: &mut Io) {
        if self.over.load(Ordering::SeqCst) {
            io.stop();
        }
    }
}

/// Serves on four cores while `client` runs.
fn with_cores(at: SocketAddr, tells_core: bool, client: impl FnOnce()) {
    let (ready, is_ready) = channel();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ready, over) = (&ready, &over);
        let server = scope.spawn(move || {
            run_on(CORES, |core| Service {
                at,
                core,
                ready,
                over,
                tells_core,
            })
        });
        let wakers = wakers(&is_ready);
        client();
        over.store(true, Ordering::SeqCst);
        wakers.iter().for_each(Waker::wake);
        assert_eq!(server.join().unwrap(), Ok(()));
    });
}

fn wakers(is_ready: &Receiver<(u16, Waker)>) -> Vec<Waker> {
    let patience = Duration::from_secs(20);
    let all: Vec<_> = (0..CORES)
        .map(|_| is_ready.recv_timeout(patience).unwrap())
        .collect();
    let cores: BTreeSet<u16> = all.iter().map(|(core, _)| *core).collect();
    assert_eq!(cores.len(), CORES.into());
    all.into_iter().map(|(_, waker)| waker).collect()
}

fn exchange(stream: &TcpStream, seed: usize) {
    let bytes: Vec<u8> = (0..=250).cycle().skip(seed % 251).take(3_000).collect();
    let mut echoed = vec![0; bytes.len()];
    (&mut &*stream).write_all(&bytes).unwrap();
    (&mut &*stream).read_exact(&mut echoed).unwrap();
    assert!(echoed == bytes);
}

#[test]
fn connections_are_spread_over_all_cores_and_each_gets_its_own_bytes() {
    with_cores(address(1), true, || {
        let streams: Vec<_> = (0..64).map(|_| TcpStream::connect(address(1)).unwrap()).collect();
        let mut by_core = [0; CORES as usize];
        for stream in &streams {
            let mut core = [0];
            (&mut &*stream).read_exact(&mut core).unwrap();
            by_core[usize::from(core[0])] += 1;
        }
        assert!(by_core.iter().all(|&count| count > 2), "{by_core:?}");
        for round in 0..3 {
            for (number, stream) in streams.iter().enumerate() {
                exchange(stream, round * 1_000 + number);
            }
        }
        for stream in &streams {
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!((&mut &*stream).read(&mut [0]).unwrap(), 0);
        }
    });
}

#[test]
fn datagrams_of_a_socket_keep_to_a_core_and_all_cores_get_some() {
    with_cores(address(2), false, || {
        let cores: BTreeSet<u8> = (0..64)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let ask = || {
                    socket.send_to(b"which core?", address(2)).unwrap();
                    let mut core = [0];
                    let (_, from) = socket.recv_from(&mut core).unwrap();
                    assert_eq!(from, address(2));
                    core[0]
                };
                let first = ask();
                assert_eq!(first, ask());
                first
            })
            .collect();
        assert_eq!(cores.len(), CORES.into());
    });
}

#[test]
fn a_port_is_had_once_by_each_core_and_not_by_another_process() {
    let at = address(3);
    let listen = |event_loop: &mut EventLoop| event_loop.io().listen_at(Some(at.ip()), at.port(), 0);
    let bind = |event_loop: &mut EventLoop| event_loop.io().udp_bind_at(Some(at.ip()), at.port());
    let mut first = EventLoop::on_core(0).unwrap();
    let mut second = EventLoop::on_core(1).unwrap();
    let mut first_again = EventLoop::on_core(0).unwrap();
    let taken = Some(Status::AddressInUse);

    let listener = listen(&mut first).unwrap();
    let port = bind(&mut first).unwrap();
    assert_eq!((listen(&mut first).err(), bind(&mut first).err()), (taken, taken));
    assert_eq!(listen(&mut first_again).err(), taken);
    listen(&mut second).unwrap();
    bind(&mut second).unwrap();
    // Given up by one, it is free for that one.
    first.io().unlisten(listener);
    first.io().udp_unbind(port);
    first.turn(&mut Quiet, Some(Duration::ZERO)).unwrap();
    listen(&mut first_again).unwrap();
    bind(&mut first_again).unwrap();
    drop((first_again, second));

    // What is nobody's of ours is others', also where they would share.
    let others = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    others.set_reuse_port(true).unwrap();
    others.bind(&at.into()).unwrap();
    others.listen(1).unwrap();
    assert_eq!(listen(&mut first).err(), taken);
    let others = UdpSocket::bind(at).unwrap();
    assert_eq!(bind(&mut first).err(), taken);
    drop(others);
    bind(&mut first).unwrap();
}

struct Quiet;
impl Handler for Quiet {}

#[test]
fn where_one_core_cannot_listen_none_serves() {
    struct Listens(IpAddr);
    impl Handler for Listens {
        fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
            io.listen_at(Some(self.0), 7007, 0)?;
            Ok(())
        }

        fn on_ready(&mut self, _: &mut Io) {
            panic!("it is not ready");
        }
    }
    let other = std::net::TcpListener::bind(address(4)).unwrap();
    // Core 2 wants an address that somebody has.
    let ip = |core| address(if core == 2 { 4 } else { 5 }).ip();
    let result = run_on(CORES, |core| Listens(ip(core)));
    assert_eq!(result, Err(Status::AddressInUse.into()));
    drop(other);
    // And nothing is left of the others.
    std::net::TcpListener::bind(address(5)).unwrap();
}

#[test]
fn cores_wake_each_other_out_of_a_long_sleep() {
    /// Hands a token around.
    struct Hands<'a> {
        core: u16,
        turn: &'a AtomicU16,
        rounds: &'a AtomicUsize,
        wakers: &'a [OnceLock<Waker>],
    }
    impl Hands<'_> {
        fn pass_on(&self, to: u16) {
            self.turn.store(to, Ordering::SeqCst);
            self.wakers[usize::from(to)].get().unwrap().wake();
        }
    }
    impl Handler for Hands<'_> {
        fn on_start(&mut self, io: &mut Io) -> Result<(), Error> {
            assert!(self.wakers[usize::from(self.core)].set(io.waker()).is_ok());
            Ok(())
        }

        fn on_ready(&mut self, _: &mut Io) {
            if self.core == 0 {
                self.pass_on(1);
            }
        }

        fn on_turn(&mut self, io: &mut Io) {
            if self.rounds.load(Ordering::SeqCst) == 0 {
                io.stop();
                self.wakers.iter().for_each(|waker| waker.get().unwrap().wake());
            } else if self.turn.load(Ordering::SeqCst) == self.core {
                self.rounds.fetch_sub(1, Ordering::SeqCst);
                self.pass_on((self.core + 1) % CORES);
            }
        }
    }
    let (turn, rounds) = (AtomicU16::new(CORES), AtomicUsize::new(1_000));
    let wakers = [const { OnceLock::new() }; CORES as usize];
    let hands = |core| Hands {
        core,
        turn: &turn,
        rounds: &rounds,
        wakers: &wakers,
    };
    run_on(CORES, hands).unwrap();
    assert_eq!(rounds.into_inner(), 0);
}
